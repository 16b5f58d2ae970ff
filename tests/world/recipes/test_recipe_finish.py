import copy
import dataclasses

import pytest
import torch

from stylehead.generator import GeneratorConfig, PanoHead
from stylehead.geometry import conditioning_camera
from stylehead.images import bytes_to_pm1
from stylehead.methods import critic as critics
from stylehead.world.recipes import train_finish
from stylehead.world.recipes.people import KeptPeople


@pytest.fixture
def tiny():
    torch.manual_seed(0)
    config = dataclasses.replace(GeneratorConfig.tiny(), z_dim=64)
    rendering = dataclasses.replace(config.rendering, use_background=False)
    return PanoHead(dataclasses.replace(config, rendering=rendering)).eval()


@pytest.fixture
def recipe(tiny, photo):
    photo = dataclasses.replace(photo, images=photo.images.repeat_interleave(2, -1).repeat_interleave(2, -2))
    return train_finish.FinishRecipe(KeptPeople(photo), tiny, batch=3, warmup=2, bank=5)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def test_only_super_resolution_and_the_critic_learn(recipe, tiny):
    before = {name: tensor.clone() for name, tensor in tiny.state_dict().items()}
    optimizer = torch.optim.Adam(recipe.parameters(), lr=1e-3)
    for _ in range(2):
        loss, _ = recipe.loss(0.0, rng())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    changed = {name for name, tensor in tiny.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed
    assert all(name.startswith("superresolution.") for name in changed)
    assert all(parameter.grad is not None for parameter in recipe.model.critic.parameters())


def test_the_critic_learns_from_its_lesson_alone(recipe, monkeypatch):
    monkeypatch.setattr(critics, "_NOISE", 0.0)
    painted = torch.randn(2, 3, 64, 64, generator=rng()).requires_grad_()
    truth = torch.randn(2, 3, 64, 64, generator=rng(1))
    critic = recipe.model.critic
    train_finish._losses(critic, painted, truth, rng())[0].backward()
    lesson = {name: parameter.grad.clone() for name, parameter in critic.named_parameters()}
    critic.zero_grad()
    true, false = (critic(x.detach())[0] for x in (truth, painted))
    ((1 - true).clamp(min=0).mean() + (1 + false).clamp(min=0).mean()).backward()
    for name, parameter in critic.named_parameters():
        assert torch.allclose(parameter.grad, lesson[name], atol=1e-6), name


def test_what_is_kept_belongs_together(recipe, tiny):
    for _ in range(4):
        recipe._render(rng(3))
    assert len(recipe.seen.w) == 5
    _, _, w, truth = recipe.seen.draw(4, rng())
    with torch.no_grad():
        people = tiny.mapping(recipe.people.views.z, conditioning_camera())[:, -1]
    for row in range(4):
        person = (people - w[row]).norm(dim=1).argmin()
        torch.testing.assert_close(w[row], people[person])
        assert any(torch.equal(truth[row], image) for image in recipe.people.views.images[person])


def test_the_edge_of_a_picture_counts_more():
    weights = train_finish._edge_weights(torch.zeros(1, 3, 16, 16))
    assert weights[0].min() == weights[:, -1].min() > weights[2:-2, 2:-2].max() == 1


def test_super_resolution_is_shown_what_the_renderer_gives_it(recipe, tiny):
    recipe._render(rng(5))
    features, raw, w, truth = (torch.stack(kept) for kept in dataclasses.astuple(recipe.seen)[1:])
    picture = tiny.superresolution.upscale(raw, features.float(), w[:, None])
    assert picture.shape == bytes_to_pm1(truth).shape
    views = recipe.people.views
    rows = [i for i, z in enumerate(views.z) if _draws(tiny, z, views.cameras[i], picture[0])]
    assert len(rows) == 1


def test_truncated_people_are_rendered_truncated(recipe, tiny):
    z, psi = recipe.people.views.z, torch.tensor([1.0, 0.5, 0.75])
    ws = recipe._ws(dataclasses.replace(recipe.people.views, psi=psi))
    for row, share in enumerate(psi.tolist()):
        wanted = tiny.mapping(z[row : row + 1], conditioning_camera(), truncation_psi=share)
        torch.testing.assert_close(ws[row : row + 1], wanted)


def _draws(generator, z, cameras, wanted):
    with torch.no_grad():
        for camera in cameras:
            ws = generator.mapping(z[None], conditioning_camera())
            found = generator.synthesis(ws, camera[None], background="white").image[0]
            if torch.allclose(found, wanted, atol=2e-2):
                return True
    return False


def test_what_is_exported_lies_halfway(recipe, tiny, tmp_path):
    before = {name: tensor.clone() for name, tensor in tiny.superresolution.state_dict().items()}
    after = copy.deepcopy(recipe.model)
    with torch.no_grad():
        for parameter in after.superresolution.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=rng()))
    recipe.export(after, tmp_path, {})
    exported = PanoHead.load(tmp_path / "generator.safetensors").superresolution.state_dict()
    for name, tensor in after.superresolution.state_dict().items():
        torch.testing.assert_close(exported[name], (before[name] + tensor) / 2, rtol=2e-3, atol=1e-3)
