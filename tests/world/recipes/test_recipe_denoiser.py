import math

import pytest
import torch

from stylehead.teacher import Teacher
from stylehead.world.recipes.networks import NoisyBatch, new_controlnet, new_unet
from stylehead.world.recipes.train_denoiser import KINDS, DenoiserRecipe, condition_parts, steering
from stylehead.world.recipes.training_pictures import PictureSource


@pytest.fixture
def make(photo, styled, editor_folder):
    def make():
        return DenoiserRecipe(PictureSource(photo, styled, grid_part=0.0), editor_folder, batch=6)

    return make


@pytest.fixture
def recipe(make):
    return make()


def test_the_parts_of_a_batch_add_up():
    for count in range(6, 49):
        plain, edges, depth = condition_parts(count)
        assert plain + edges + depth == count
        assert 0 < plain < edges <= depth <= edges + 1


def test_a_fresh_controlnet_is_silent_but_not_blind(recipe):
    controlnet = new_controlnet(recipe.model.unet)
    pictures = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        seen = controlnet.controlnet_cond_embedding(pictures)
        down, mid = controlnet(
            torch.zeros(2, 4, 8, 8), torch.tensor([500, 500]), torch.zeros(2, 7, 128),
            controlnet_cond=pictures, return_dict=False,
        )  # fmt: skip
    assert (seen[0] - seen[1]).abs().mean() > 0.01
    assert max(output.abs().max() for output in (*down, mid)) == 0


def test_steering_leaves_the_first_part_alone_and_gives_each_kind_its_own(recipe):
    rng = torch.Generator().manual_seed(1)
    items = recipe.pool.draw(6, rng)
    for kind, bias in zip(KINDS, (1.0, 2.0), strict=True):
        controlnet = recipe.model.controlnets[kind]
        torch.nn.init.constant_(controlnet.controlnet_mid_block.bias, bias)
    batch = NoisyBatch(items.latents, items.latents, torch.full((6,), 500), items.captions)
    with torch.no_grad():
        down, mid = steering(recipe.model, batch, torch.zeros(6, 7, 128), items, [2, 2, 2])
    assert mid.mean(dim=(1, 2, 3)).tolist() == [0, 0, 1, 1, 2, 2]
    assert all(len(level) == 6 for level in down)


def test_a_step_reaches_every_network(recipe):
    loss, values = recipe.loss(0.0, torch.Generator().manual_seed(2))
    loss.backward()
    assert set(values) == {"plain", *KINDS}
    assert all(math.isfinite(value) for value in values.values())
    networks = [recipe.model.unet, *recipe.model.controlnets.values()]
    for network in networks:
        assert any(p.grad is not None and p.grad.abs().max() > 0 for p in network.parameters())


def test_what_the_editor_shares_is_not_trained(recipe):
    recipe.loss(0.0, torch.Generator().manual_seed(2))[0].backward()
    for name in ("vae", "text_encoder"):
        assert not any(tensor.requires_grad for tensor in recipe.shared[name].parameters())


def test_training_goes_on_from_what_was_exported(recipe, make, tmp_path):
    with torch.no_grad():
        for parameter in recipe.model.parameters():
            parameter.copy_(parameter.half().float())  # what the files keep
    expected = {name: tensor.clone() for name, tensor in recipe.model.state_dict().items()}
    recipe.export(recipe.model, tmp_path / "export", {})
    other = make()
    torch.nn.init.zeros_(other.model.unet.conv_in.weight)
    assert other.warm_start(tmp_path / "export")
    for name, tensor in other.model.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
    assert not other.warm_start(tmp_path / "nothing")


def test_what_is_exported_teaches_with_the_parts_of_the_editor(recipe, editor_folder):
    export = editor_folder.parent
    recipe.export(recipe.model, export, {})
    assert not (export / "teacher" / "vae").exists()
    teacher = Teacher.load(export / "teacher")
    assert set(teacher.kinds) == set(KINDS)
    pictures = torch.rand(1, 3, 32, 32) * 2 - 1
    assert teacher.decode(teacher.encode(pictures)).shape == pictures.shape


def test_a_denoiser_without_weights_of_its_own_starts_from_the_editor(recipe, editor_folder):
    assert not recipe.warm_start(editor_folder.parent)
    torch.manual_seed(5)
    editor = new_unet(8, in_channels=8)
    editor.save_pretrained(editor_folder / "unet")
    assert recipe.warm_start(editor_folder.parent)
    latents, states = torch.randn(1, 4, 8, 8), torch.randn(1, 77, 128)
    unet = recipe.model.unet.eval()
    unseen = torch.cat([latents, torch.zeros_like(latents)], dim=1)
    with torch.no_grad():
        torch.testing.assert_close(
            unet(latents, 500, states).sample, editor.eval()(unseen, 500, states).sample
        )
    edges = recipe.model.controlnets["canny"]
    assert torch.equal(edges.conv_in.weight, unet.conv_in.weight)
