"""Pictures for people: sizes, white that is white, heads cut out, and the ways of the camera."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stylehead.export.frames import Look, clean_white, edge_colours, render_frames
from stylehead.export.orbit import Shot, closed_path, ease, orbit, sway
from stylehead.export.views import latent_from_seed, render_views
from stylehead.generator import GeneratorConfig, PanoHead
from stylehead.images import on_white, resize


@pytest.fixture(scope="module")
def generator() -> PanoHead:
    torch.manual_seed(0)
    return PanoHead(GeneratorConfig.tiny()).eval()


@pytest.fixture(scope="module")
def ws(generator: PanoHead) -> torch.Tensor:
    return latent_from_seed(generator, 3, psi=0.7)


def test_the_head_itself_is_what_is_measured(generator: PanoHead, ws: torch.Tensor) -> None:
    """Where it covers a pixel by a tenth or more, a picture for people is the one that views renders."""
    shots = [Shot(0.0), Shot(120.0, -10.0)]
    ours = render_frames(generator, ws, shots)
    for picture, shot in zip(ours, shots, strict=True):
        theirs = render_views(generator, ws, [shot.yaw_deg], pitch_deg=shot.pitch_deg)[0]
        opacity = render_frames(generator, ws, [shot], Look(backdrop="transparent"))[0, ..., 3]
        covered = opacity > 26
        assert covered.mean() > 0.05
        assert np.abs(picture[covered].astype(int) - theirs[covered]).max() <= 1


def test_white_is_white_where_there_is_no_head() -> None:
    rng = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, 8, 8, generator=rng) * 2 - 1
    mask = torch.linspace(0, 1, 8)[None, None, None].expand(1, 1, 8, 8).clone()
    mask[..., 0] = 0
    clean, kept = clean_white(image, mask)
    assert (clean[..., 0] == 1).all()
    assert (kept[..., 0] == 0).all()
    solid = mask[0, 0, 0] >= 0.1
    assert torch.allclose(clean[..., solid], image[..., solid])
    assert torch.equal(kept[..., solid], mask[..., solid])


@pytest.mark.parametrize("size", [20, 64, 150])
@pytest.mark.parametrize("backdrop", ["white", "transparent", "#203040", "learned"])
def test_any_size_on_any_background(generator: PanoHead, ws: torch.Tensor, size: int, backdrop: str) -> None:
    frames = render_frames(generator, ws, [Shot(20.0)], Look(size, backdrop))
    assert frames.shape == (1, size, size, 4 if backdrop == "transparent" else 3)
    assert frames.dtype == np.uint8


def test_a_larger_picture_shows_the_same(generator: PanoHead, ws: torch.Tensor) -> None:
    own = render_frames(generator, ws, [Shot(20.0)])[0]
    large = torch.from_numpy(render_frames(generator, ws, [Shot(20.0)], Look(4 * len(own)))[0])
    reduced = resize(large.permute(2, 0, 1)[None].float(), len(own))[0].permute(1, 2, 0).numpy()
    assert np.abs(reduced - own).mean() < 3


def test_colours_of_a_head_on_white_reach_its_edge() -> None:
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    mask = (20.5 - ((x - 32) ** 2 + (y - 32) ** 2).sqrt()).clamp(0, 1)[None, None]
    red = torch.tensor([0.6, -0.8, -0.8]).view(1, 3, 1, 1)
    rimmed = red * mask + (1 - mask)
    colours = edge_colours(rimmed, mask)
    seen = (mask > 0.02).expand_as(colours)
    assert (colours - red).abs()[seen].max() < 0.02


def test_laid_on_white_a_picture_with_opacity_has_no_opacity() -> None:
    frames = np.array([[[[10, 20, 30, 255], [10, 20, 30, 0], [0, 100, 200, 128]]]], np.uint8)
    assert on_white(frames)[0, 0].tolist() == [[10, 20, 30], [255, 255, 255], [127, 177, 227]]
    plain = frames[..., :3]
    assert on_white(plain) is plain


# ----------------------------------------------------------------------------------- ways of the camera


@given(st.integers(1, 200), st.floats(-30, 30), st.floats(0, 30), st.sampled_from(["linear", "smooth"]))
def test_an_orbit_goes_once_round(steps: int, pitch: float, swing: float, easing: str) -> None:
    shots = orbit(steps, pitch_deg=pitch, swing_deg=swing, easing=easing)  # type: ignore[arg-type]
    assert len(shots) == steps
    assert shots[0] == (0, pitch)
    yaws = [shot.yaw_deg for shot in shots]
    assert yaws == sorted(yaws)
    assert yaws[-1] < 360
    assert all(abs(shot.pitch_deg - pitch) <= swing + 1e-9 for shot in shots)


def test_an_even_orbit_is_the_turntable_that_it_was() -> None:
    assert [shot.yaw_deg for shot in orbit(36)] == [360.0 * step / 36 for step in range(36)]


@given(st.floats(0, 1))
def test_easing_rests_at_both_ends(share: float) -> None:
    assert 0 <= ease(share) <= 1
    assert ease(share) + ease(1 - share) == pytest.approx(1)
    assert ease(1e-3) < 1e-3
    assert ease(share, "linear") == share


@given(st.integers(2, 7), st.integers(1, 90))
def test_a_closed_path_passes_every_station_and_comes_back(stations: int, rounds: int) -> None:
    steps = stations * rounds
    path = closed_path(stations, steps)
    assert len(path) == steps
    for shares in path:
        assert sum(shares) == pytest.approx(1)
        assert min(shares) >= 0
        assert sum(share > 0 for share in shares) <= 2
    for station in range(stations):
        assert path[station * rounds][station] == pytest.approx(1)


def test_a_sway_begins_in_front_and_sees_both_sides() -> None:
    yaws = [shot.yaw_deg for shot in sway(40)]
    assert yaws[0] == 0
    assert math.isclose(max(yaws), -min(yaws))
    assert 20 < max(yaws) < 60
