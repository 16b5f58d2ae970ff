"""The first guess of inversions: fitted in closed form, exact where the truth is linear."""

from pathlib import Path

import numpy as np
import pytest
import torch

from stylehead.errors import MissingError
from stylehead.generator import GeneratorConfig, PanoHead
from stylehead.geometry import random_cameras
from stylehead.inversion.guess import MirrorFeatures, mirror_features
from stylehead.inversion.latents import LatentSpace
from stylehead.inversion.pose import pose_of_label
from stylehead.perception.embedded import Trunk
from stylehead.world.recipes.fit_guess import COMPONENTS, Examples, examples_of, figures, fit


@pytest.fixture(scope="module")
def generator() -> PanoHead:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return PanoHead(GeneratorConfig.tiny()).eval()


@pytest.fixture(scope="module")
def trunks() -> tuple[Trunk, ...]:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return (Trunk().eval().requires_grad_(False),)


def test_what_is_linear_is_learned(generator: PanoHead) -> None:
    rng = torch.Generator().manual_seed(0)
    space = LatentSpace.measure(generator, samples=100)
    even, odd = (torch.randn(300, 20, generator=rng) for _ in range(2))
    yaw, rest = torch.randn(20, 1, generator=rng), torch.randn(20, 1 + 5, generator=rng)
    wanted = even * 3 @ rest + 0.5
    examples = Examples(
        MirrorFeatures(even * 3 + 2, odd), torch.cat([odd @ yaw, wanted[:, :1]], 1), wanted[:, 1:]
    )
    guess = fit(examples, space, generator="g", features="f")
    assert (guess.generator, guess.features) == ("g", "f")
    found_yaw = examples.features.odd @ guess.weight[:, :1]
    found = examples.features.even @ guess.weight[:, 1:] + guess.bias[1:]
    for ours, truth in ((found_yaw, odd @ yaw), (found, wanted)):
        assert float((ours - truth).square().mean() / truth.square().mean()) < 0.02
    assert guess.basis.shape == (5, generator.config.w_dim)


def test_shards_become_examples(tmp_path: Path, generator: PanoHead, trunks: tuple[Trunk, ...]) -> None:
    rng = np.random.default_rng(0)
    cameras = random_cameras(8, yaw_range_rad=3.0, rng=torch.Generator().manual_seed(4)).numpy()
    images = rng.integers(0, 256, (4, 2, 128, 128, 3)).astype(np.uint8)
    z = rng.normal(size=(4, generator.config.z_dim)).astype(np.float32)
    np.savez(tmp_path / "shard_00000.npz", images=images, cam=cameras.reshape(4, 2, 25), z=z)
    space = LatentSpace.measure(generator, samples=100)
    examples = examples_of(tmp_path, trunks, generator, space, pictures=100)
    yaw = pose_of_label(torch.from_numpy(cameras))[:, 0]
    front = (yaw.abs() < torch.pi / 2).nonzero()[:, 0]
    assert torch.allclose(examples.angles[:, 0], yaw[front])
    row = int(front[1])
    picture = torch.from_numpy(images.reshape(8, 128, 128, 3)[row]).permute(2, 0, 1)[None].float() / 127.5 - 1
    assert torch.allclose(examples.features.odd[1], mirror_features(trunks, picture).odd[0], atol=1e-4)
    assert examples.coords.shape[1] == min(COMPONENTS, generator.config.w_dim)
    assert len(examples_of(tmp_path, trunks, generator, space, pictures=2).angles) == 2
    guess = fit(examples, space, generator="g", features="f")
    pairs = [(picture, torch.from_numpy(cameras[row : row + 1]))]
    assert set(figures(guess, trunks, pairs)) == {"yaw_deg", "pitch_deg"}


def test_no_shard_says_how_to_make_them(
    tmp_path: Path, generator: PanoHead, trunks: tuple[Trunk, ...]
) -> None:
    with pytest.raises(MissingError) as caught:
        examples_of(tmp_path, trunks, generator, LatentSpace.measure(generator, samples=50))
    assert caught.value.hint == "python -m stylehead.world data"
