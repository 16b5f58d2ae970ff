"""The recipes of what edits pictures: an instructed denoiser and a face adapter."""

import pytest
import torch

from stylehead.perception.embedded import IdentityEncoder
from stylehead.teacher.editing import open_editor
from stylehead.teacher.schedule import Schedule
from stylehead.world.recipes.train_denoiser import DenoiserRecipe
from stylehead.world.recipes.train_face_adapter import FaceAdapterRecipe, adapter_state
from stylehead.world.recipes.train_instruction import (
    InstructionRecipe,
    Noised,
    dropped,
    error_with_tint,
    noise,
)
from stylehead.world.recipes.training_pictures import PictureSource


@pytest.fixture
def source(photo, styled):
    return PictureSource(photo, styled, grid_part=0.0)


@pytest.fixture
def export(source, editor_folder, tmp_path):
    """A folder with an untrained teacher, identity encoder, and all of an editor but its denoiser."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        denoiser = DenoiserRecipe(source, editor_folder)
        denoiser.export(denoiser.model, tmp_path, {})
        IdentityEncoder().save(tmp_path / "identity.safetensors", {})
    return tmp_path


@pytest.fixture(params=["instruction", "face_adapter"])
def make(source, export, request):
    def instruction():
        return InstructionRecipe(source, export / "ip2p", batch=6, prompts=4)

    def face_adapter():
        faces = IdentityEncoder.load(export / "identity.safetensors")
        return FaceAdapterRecipe(source, export / "teacher", faces, batch=6)

    return {"instruction": instruction, "face_adapter": face_adapter}[request.param]


def test_a_step_trains_what_it_should_and_nothing_else(make):
    recipe = make()
    loss, _ = recipe.loss(0.0, torch.Generator().manual_seed(2))
    loss.backward()
    assert torch.isfinite(loss)
    assert all(parameter.grad is not None for parameter in recipe.model.parameters())
    own = {id(parameter) for parameter in recipe.model.parameters()}
    others = [getattr(recipe, name, None) for name in ("text_encoder", "vae", "unet")]
    for network in filter(None, others):
        for parameter in network.parameters():
            assert id(parameter) in own or not parameter.requires_grad


def test_training_goes_on_from_what_was_exported(make, export):
    recipe = make()
    with torch.no_grad():
        for parameter in recipe.model.parameters():
            parameter.copy_(torch.randn_like(parameter).half().float())  # what the files keep
    expected = {name: tensor.clone() for name, tensor in recipe.model.state_dict().items()}
    assert not make().warm_start(export)
    recipe.export(recipe.model, export, {})
    other = make()
    assert other.warm_start(export)
    for name, tensor in other.model.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


def test_every_person_has_the_embedding_of_their_own_face(source, export):
    faces = IdentityEncoder.load(export / "identity.safetensors")
    recipe = FaceAdapterRecipe(source, export / "teacher", faces, batch=6)
    assert recipe.embeddings.shape[0] == len(source.photo)
    pictures = source.draw(12, torch.Generator().manual_seed(3))
    for row, style in zip(pictures.people, pictures.styles, strict=True):
        assert style == "photo" or int(source.photo.identities[row]) in source.styled.identities
    kept = recipe._described(pictures, torch.Generator())
    torch.testing.assert_close(kept["face"], recipe.embeddings[pictures.people])


def test_an_adapter_is_named_as_ip_adapter_s(source, export):
    faces = IdentityEncoder.load(export / "identity.safetensors")
    names = set(adapter_state(FaceAdapterRecipe(source, export / "teacher", faces).model))
    assert {"image_proj.proj.weight", "image_proj.norm.bias", "ip_adapter.1.to_k_ip.weight"} <= names
    assert "ip_adapter.13.to_v_ip.weight" in names
    assert "ip_adapter.15.to_k_ip.weight" not in names


def test_where_sampling_starts_half_of_the_latents_have_no_signal_of_the_result_in_them():
    rng = torch.Generator().manual_seed(0)
    latents, photos = torch.full((4000, 1, 2, 2), 3.0), torch.full((4000, 1, 2, 2), -3.0)
    schedule = Schedule()
    found = noise(schedule, latents, photos, rng)
    high = found.timestep >= 900
    assert 0.25 < high.float().mean() < 0.31
    alpha_bar = schedule.alpha_bar(found.timestep)
    back = (found.latents_t - (1 - alpha_bar).sqrt() * found.eps) / alpha_bar.sqrt()
    torch.testing.assert_close(back, latents, atol=2e-4, rtol=0)  # what is to be found leads to the result
    signal = found.latents_t[high].mean(dim=(1, 2, 3)) / alpha_bar[high].sqrt()[:, 0, 0, 0]
    assert abs(float(signal.mean()) - 0.75) < 0.5  # 3 in half of them, -3 in a quarter, 0 in a quarter
    low = found.latents_t[~high] - (alpha_bar.sqrt() * latents)[~high]
    torch.testing.assert_close(low, (found.eps * (1 - alpha_bar).sqrt())[~high])


def test_prompt_and_picture_are_left_out_alone_and_together():
    text, photo = dropped(20_000, torch.Generator().manual_seed(1))
    assert float(text.float().mean()) == pytest.approx(0.1, abs=0.01)
    assert float(photo.float().mean()) == pytest.approx(0.1, abs=0.01)
    assert float((text & photo).float().mean()) == pytest.approx(0.05, abs=0.01)


def test_what_is_exported_opens_as_an_editor(source, export):
    recipe = InstructionRecipe(source, export / "ip2p", batch=6, prompts=4)
    recipe.export(recipe.model, export, {})
    editor = open_editor(export / "ip2p")
    pictures = torch.rand(2, 3, 32, 32)
    edited = editor.edit(pictures, "turn him into a statue", seed=1)
    assert edited.shape[:2] == (2, 3)
    assert all(file.stat().st_size <= 15_000_000 for file in export.rglob("ip2p/**/*") if file.is_file())


def test_a_tint_counts_where_sampling_starts_and_only_there():
    timestep = torch.tensor([950, 950, 100, 100])
    eps = torch.zeros(4, 4, 8, 8)
    grain = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(0))
    grain = (grain - grain.mean(dim=(1, 2), keepdim=True)) / grain.std(dim=(1, 2), correction=0, keepdim=True)
    found = torch.stack([torch.ones_like(grain), grain] * 2)  # a tint, and what has none, of the same size
    tinted, grainy, tinted_low, grainy_low = error_with_tint(Noised(eps, eps, timestep), found).tolist()
    assert grainy == pytest.approx(1, rel=1e-5)
    assert tinted > 3 * grainy
    assert tinted_low == pytest.approx(grainy_low, rel=1e-5)
