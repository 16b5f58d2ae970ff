"""The autoencoder in half precision: its gradients are those of single precision, to a hundredth."""

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL

from stylehead.generator import PanoHead
from stylehead.geometry import turntable
from stylehead.teacher import Autoencoder
from stylehead.teacher.paths import part_of
from stylehead.weights.presets import mini_preset
from stylehead.weights.pretrained import load_network

MOST = 0.01


@pytest.fixture(scope="module")
def head() -> torch.Tensor:
    """A render of the embedded generator [1, 3, S, S]."""
    generator = PanoHead.load(mini_preset().require_generator())
    with torch.no_grad():
        ws = generator.mapping(torch.zeros(1, generator.config.z_dim), turntable(1))
        return generator.synthesis(ws, turntable(1), background="white").image


def autoencoder(dtype: torch.dtype, folder: Path | None = None) -> Autoencoder:
    vae = folder or part_of(mini_preset().require_teacher(), "vae")
    return Autoencoder(load_network(AutoencoderKL, vae, device=torch.device("cpu"), dtype=dtype))


def gradient(network: Autoencoder, picture: torch.Tensor, on_latent: torch.Tensor) -> torch.Tensor:
    pixels = picture.clone().requires_grad_()
    (found,) = torch.autograd.grad(network.encode(pixels), pixels, on_latent)
    return found


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_gradient_is_that_of_single_precision(head: torch.Tensor, dtype: torch.dtype) -> None:
    """At the sizes of gradients that methods put on latents, and far below what half precision holds."""
    single, half = autoencoder(torch.float32), autoencoder(dtype)
    with torch.no_grad():
        latents = single.encode(head)
        assert (half.encode(head) - latents).norm() < MOST * latents.norm()
        assert (half.decode(latents) - single.decode(latents)).norm() < MOST * single.decode(latents).norm()
    rng = torch.Generator().manual_seed(0)
    for size in (1e-3, 1e-7):
        on_latent = torch.randn(latents.shape, generator=rng) * size
        wanted = gradient(single, head, on_latent)
        error = (gradient(half, head, on_latent) - wanted).norm() / wanted.norm()
        assert error < MOST, (size, float(error))


def test_recomputing_changes_nothing(head: torch.Tensor) -> None:
    half = autoencoder(torch.float16)
    on_latent = torch.full_like(half.encode(head), 1e-4)
    wanted = gradient(half, head, on_latent)
    half.save_memory(recompute=True, one_at_a_time=True)
    assert (gradient(half, head, on_latent) - wanted).norm() < 1e-3 * wanted.norm()


def test_kernels_have_their_channels_last_in_half_precision_only() -> None:
    def last(network: Autoencoder) -> bool:
        kernel = network.network.encoder.conv_in.weight
        return kernel.is_contiguous(memory_format=torch.channels_last)

    assert last(autoencoder(torch.float16))
    assert not last(autoencoder(torch.float32))
