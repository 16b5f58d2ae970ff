import dataclasses

import pytest
import torch

from stylehead.generator import GeneratorConfig, PanoHead
from stylehead.geometry import conditioning_camera
from stylehead.perception.embedded import ImageTextEncoder
from stylehead.weights.presets import MINI_WEIGHTS
from stylehead.world.recipes.measure import generator_figures


@pytest.fixture(scope="module")
def looks():
    return ImageTextEncoder.load(MINI_WEIGHTS / "image_text.safetensors")


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    config = dataclasses.replace(GeneratorConfig.tiny(), z_dim=64)
    rendering = dataclasses.replace(config.rendering, use_background=False, c_gen_conditioning_zero=True)
    return PanoHead(dataclasses.replace(config, rendering=rendering)).eval()


def drawn_by(generator, photo, psi):
    """Renders that a generator made itself: what it draws of them is all right."""
    pictures, masks = [], []
    with torch.no_grad():
        for z, cameras, share in zip(photo.z, photo.cameras, psi, strict=True):
            ws = generator.mapping(z[None], conditioning_camera(), truncation_psi=float(share))
            out = generator.synthesis(ws, cameras, background="white")
            pictures.append(((out.image.clamp(-1, 1) + 1) * 127.5).round().byte())
            masks.append((out.mask[:, 0] * 255).round().byte())
    return dataclasses.replace(photo, images=torch.stack(pictures), masks=torch.stack(masks))


def test_a_generator_is_measured_on_the_people_it_was_asked_for(tiny, looks, photo):
    for psi in (torch.ones(3), torch.tensor([0.5, 0.75, 1.0])):
        truth = drawn_by(tiny, photo, psi)
        figures = generator_figures(tiny, looks, dataclasses.replace(truth, psi=psi), people=3)
        assert figures["psnr"] > 50
        assert figures["perceptual"] < 0.01
    whole = generator_figures(tiny, looks, dataclasses.replace(truth, psi=None), people=3)
    assert whole["psnr"] < figures["psnr"] - 10
