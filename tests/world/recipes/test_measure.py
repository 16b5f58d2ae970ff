import dataclasses

import pytest
import torch

from stylehead.generator import GeneratorConfig, PanoHead
from stylehead.geometry import conditioning_camera
from stylehead.inversion.pose import pose_of_label
from stylehead.perception.attributes import AttributeEncoder, Attributes
from stylehead.perception.embedded import ImageTextEncoder
from stylehead.weights.presets import MINI_WEIGHTS
from stylehead.world.heads.identity import numbers_from_z
from stylehead.world.recipes.measure import attribute_figures, generator_figures
from stylehead.world.recipes.train_attributes import layout


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


class Knowing(AttributeEncoder):
    """Says of every picture what it was told of it, in the order of the pictures."""

    def forward(self, image_pm1):
        said, self.said = self.said.split([len(image_pm1), len(self.said) - len(image_pm1)])
        return Attributes(said, torch.zeros(len(said), 4, 32, 32))


def test_who_is_read_right_is_counted_from_the_front(photo):
    numbers = torch.from_numpy(numbers_from_z(photo.z.double().numpy())).float()
    photo = dataclasses.replace(photo, numbers=numbers)
    encoder = Knowing()
    encoder.describe(torch.cat([numbers, numbers + 1]), **layout())
    people = (pose_of_label(photo.cameras.flatten(0, 1))[:, 0].abs() < 1.06).nonzero()[:, 0] // 4
    encoder.said = encoder.learned(numbers)[people]
    figures = attribute_figures(encoder, photo)
    assert {figures[name] for name in ("hair", "beard", "glasses", "shirt")} == {1.0}
    assert figures["melanin"] == figures["hair_colour"] == 0
    encoder.said = -encoder.learned(numbers)[people]
    wrong = attribute_figures(encoder, photo)
    assert wrong["hair"] == 0 < wrong["melanin"]
