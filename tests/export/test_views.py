"""Rendering for export: seeds, turntables, backgrounds."""

import numpy as np
import pytest
import torch

from stylehead.errors import UsageError
from stylehead.export.views import latent_from_seed, parse_colour, render_views, turntable_yaws
from stylehead.generator import GeneratorConfig, PanoHead
from stylehead.geometry import turntable
from stylehead.images import to_pixels


@pytest.fixture(scope="module")
def generator() -> PanoHead:
    torch.manual_seed(0)
    return PanoHead(GeneratorConfig.tiny()).eval()


def test_a_seed_is_one_head_and_other_seeds_are_others(generator: PanoHead) -> None:
    first = latent_from_seed(generator, 42, psi=0.7)
    assert torch.equal(first, latent_from_seed(generator, 42, psi=0.7))
    assert not torch.equal(first, latent_from_seed(generator, 43, psi=0.7))
    assert first.shape == (1, generator.num_ws, generator.config.w_dim)


def test_psi_zero_is_the_average_head(generator: PanoHead) -> None:
    assert torch.equal(latent_from_seed(generator, 1, psi=0.0), latent_from_seed(generator, 2, psi=0.0))


def test_views_equal_single_renders_whatever_the_chunks(generator: PanoHead) -> None:
    ws = latent_from_seed(generator, 3, psi=0.7)
    seen: list[int] = []
    frames = render_views(generator, ws, turntable_yaws(8), done=seen.append)
    assert seen == [6, 8]
    with torch.no_grad():
        for index, label in enumerate(turntable(8)):
            alone = to_pixels(generator.synthesis(ws, label[None], background="white").image)[0]
            assert np.abs(frames[index].astype(int) - alone).max() <= 1


def test_a_colour_shows_exactly_where_the_head_does_not(generator: PanoHead) -> None:
    ws = latent_from_seed(generator, 3, psi=0.7)
    white = render_views(generator, ws, [0.0], backdrop="white")
    assert np.array_equal(render_views(generator, ws, [0.0], backdrop="#ffffff"), white)
    red = render_views(generator, ws, [0.0], backdrop="#ff0000")
    assert (red[..., 0].astype(int) >= white[..., 0].astype(int) - 1).all()
    assert (red[..., 1] <= white[..., 1]).all()
    assert red[..., 1].mean() < white[..., 1].mean()


def test_the_learned_background_needs_one(generator: PanoHead) -> None:
    ws = latent_from_seed(generator, 3, psi=0.7)
    learned = render_views(generator, ws, [0.0], backdrop="learned")
    assert not np.array_equal(learned, render_views(generator, ws, [0.0]))
    torch.manual_seed(0)
    without = PanoHead(GeneratorConfig.mini()).eval()
    with pytest.raises(UsageError, match="no background of its own"):
        render_views(without, latent_from_seed(without, 0, psi=0.7), [0.0], backdrop="learned")


def test_colours_are_names_or_hex() -> None:
    assert parse_colour("black").tolist() == [-1.0, -1.0, -1.0]
    assert parse_colour("#ff0000").tolist() == [1.0, -1.0, -1.0]
    with pytest.raises(UsageError, match="`--background` \\(=bogus\\)"):
        parse_colour("bogus")
