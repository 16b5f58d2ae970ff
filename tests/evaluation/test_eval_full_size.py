"""FID, KID, CMMD, LPIPS and depth over networks of the published sizes with random weights."""

import math

import pytest
import torch
from eval_helpers import random_portraits
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPModel

from stylehead.cost.network_parts import Builder, Sizes
from stylehead.evaluation import distributions
from stylehead.evaluation.columns import find_column
from stylehead.evaluation.comparison import Comparison, EncodedPortraits, Reference, Target
from stylehead.evaluation.numbers import Number
from stylehead.perception.depth import DepthEstimator
from stylehead.perception.image_text import Clip
from stylehead.perception.inception import FEATURES
from stylehead.perception.lpips import Lpips, LpipsPictures
from stylehead.perception.roles import Encoders
from stylehead.teacher.shapes import depth_skeleton

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]
PICTURE = 512


class RandomInception(nn.Module):
    """As many features as Inception's pools, of pictures of any size."""

    name = "random Inception"

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, FEATURES, 7, stride=6)

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        small = nn.functional.interpolate(images.float() / 255, size=75, mode="area")
        return self.convolution(small).relu().mean(dim=(2, 3))


@pytest.fixture(scope="module")
def encoders() -> Encoders:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        clip = Clip(CLIPModel(CLIPConfig()), None)
        inception, lpips = RandomInception(), Lpips("alex").requires_grad_(False)
    depth = Builder(Sizes.published(), torch.device("cpu")).filled(depth_skeleton(), torch.float32)
    return Encoders(
        image_text=clip, inception=inception, depth=DepthEstimator(depth), features=LpipsPictures(lpips)
    )


@pytest.fixture(scope="module")
def case(encoders: Encoders) -> Comparison:
    stylised, untouched, reference = (
        EncodedPortraits(random_portraits(seed, people=3, yaws=(0.0,), size=PICTURE), encoders, batch=2)
        for seed in (1, 2, 3)
    )
    target = Target("a werewolf", "werewolf", reference=Reference(reference, True, "others"))
    return Comparison(stylised, untouched, target, force=True)


@pytest.mark.parametrize("name", ["fid", "kid", "cmmd", "clip_img", "dd_mono", "diversity"])
def test_it_is_measured(case: Comparison, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributions, "LARGE_FRECHET_RESAMPLES", 2)  # each takes seconds
    found = find_column(name).measure(case)
    assert isinstance(found, Number)
    assert math.isfinite(found.value)
    assert found.low <= found.high
