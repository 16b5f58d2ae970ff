"""The autoencoder: latents at a quarter of the size; three channels are a small copy of the picture."""

import pytest
import torch
from diffusers import AutoencoderKL

from stylehead.world.recipes.networks import latent_size
from stylehead.world.recipes.train_vae import VaeRecipe, latent_scale, new_vae
from stylehead.world.recipes.training_pictures import PictureSource


@pytest.fixture
def source(photo, styled):
    return PictureSource(photo, styled)


def test_latents_have_a_quarter_of_the_size():
    vae = new_vae()
    assert latent_size(vae) == 32
    with torch.no_grad():
        latents = vae.encode(torch.zeros(1, 3, 128, 128)).latent_dist
    assert latents.mean.shape == (1, 4, 32, 32)
    assert latents.std.max() < 0.2  # little noise at first, or it drowns what is to be learned


def test_a_step_trains_all_of_it(source):
    recipe = VaeRecipe(source, batch=2)
    loss, figures = recipe.loss(0.0, torch.Generator().manual_seed(0))
    loss.backward()
    assert set(figures) == {"psnr", "kl", "anchor"}
    assert all(parameter.grad is not None for parameter in recipe.model.parameters())


def test_with_a_fixed_encoder_the_decoder_alone_is_trained(source):
    recipe = VaeRecipe(source, batch=2, fixed_encoder=True)
    recipe.loss(0.0, torch.Generator().manual_seed(0))[0].backward()
    trained = {name for name, parameter in recipe.model.named_parameters() if parameter.grad is not None}
    assert trained
    assert all(name.startswith(("decoder.", "post_quant_conv.")) for name in trained)
    assert len(recipe.parameters()[0]["params"]) == len(trained)


def test_training_goes_on_from_what_was_exported(source, tmp_path):
    recipe = VaeRecipe(source, batch=2)
    assert not VaeRecipe(source).warm_start(tmp_path)
    recipe.export(recipe.model, tmp_path, {})
    assert VaeRecipe(source).warm_start(tmp_path)


def test_the_scale_gives_latents_unit_variance(source):
    vae = new_vae()
    scale = latent_scale(vae, source, pictures=16)
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        means = torch.cat([vae.encode(source.draw(8, rng).images).latent_dist.mean for _ in range(2)])
    assert float((scale * means).std()) == pytest.approx(1, rel=1e-3)


def test_an_encoder_that_stays_keeps_the_scale_of_its_latents(source, tmp_path):
    first = VaeRecipe(source, batch=2)
    first.export(first.model, tmp_path, {})
    folder = tmp_path / "ip2p" / "vae"
    vae = AutoencoderKL.from_pretrained(folder)
    vae.register_to_config(scaling_factor=1.25)
    vae.save_pretrained(folder)
    for fixed in (True, False):
        recipe = VaeRecipe(source, batch=2, fixed_encoder=fixed)
        assert recipe.warm_start(tmp_path)
        recipe.export(recipe.model, tmp_path, {})
        kept = AutoencoderKL.load_config(folder)["scaling_factor"] == 1.25
        assert kept == fixed
