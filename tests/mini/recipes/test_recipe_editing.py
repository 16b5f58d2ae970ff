"""The recipes of what edits pictures: an instructed denoiser and a face adapter."""

import pytest
import torch

from stylehead.mini.recipes.denoiser import DenoiserRecipe
from stylehead.mini.recipes.face_adapter import FaceAdapterRecipe, adapter_state
from stylehead.mini.recipes.instruction import InstructionRecipe, widened
from stylehead.mini.recipes.networks import new_unet
from stylehead.mini.recipes.pictures import PictureSource
from stylehead.mini.recipes.vae import new_vae
from stylehead.perception.embedded import IdentityEncoder


@pytest.fixture
def source(photo, styled):
    return PictureSource(photo, styled, grid_part=0.0)


@pytest.fixture
def export(source, tmp_path):
    """A folder with an untrained teacher and identity encoder."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        denoiser = DenoiserRecipe(source, new_vae(), tmp_path / "work")
        denoiser.export(denoiser.model, tmp_path, {})
        new_vae().save_pretrained(tmp_path / "teacher" / "vae")
        IdentityEncoder().save(tmp_path / "identity.safetensors", {})
    return tmp_path


@pytest.fixture(params=["instruction", "face_adapter"])
def make(source, export, request):
    def instruction():
        return InstructionRecipe(source, export / "teacher", batch=6)

    def face_adapter():
        faces = IdentityEncoder.load(export / "identity.safetensors")
        return FaceAdapterRecipe(source, export / "teacher", faces, batch=6)

    return {"instruction": instruction, "face_adapter": face_adapter}[request.param]


def test_a_widened_denoiser_ignores_its_new_channels_at_first():
    unet = new_unet().eval()
    wide = widened(unet).eval()
    latents, photos = torch.randn(2, 2, 4, 8, 8).unbind()
    text = torch.randn(2, 5, unet.config.cross_attention_dim)
    with torch.no_grad():
        expected = unet(latents, 500, text).sample
        torch.testing.assert_close(wide(torch.cat([latents, photos], dim=1), 500, text).sample, expected)


def test_a_step_trains_what_it_should_and_nothing_else(make):
    recipe = make()
    loss, _ = recipe.loss(0.0, torch.Generator().manual_seed(2))
    loss.backward()
    assert torch.isfinite(loss)
    assert all(parameter.grad is not None for parameter in recipe.model.parameters())
    own = {id(parameter) for parameter in recipe.model.parameters()}
    others = [recipe.text_encoder, recipe.pool.vae, getattr(recipe, "unet", None)]
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
