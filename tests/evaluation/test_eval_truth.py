"""True pictures: packed, read back, and the embedded set."""

import json
import shutil

import numpy as np
import pytest
import torch

from stylehead.errors import JobError, MissingError
from stylehead.evaluation.portraits import Portraits, find_overlap
from stylehead.evaluation.truth import INDEX, MINI_REFERENCE, open_truth, sheet_name, write_truth
from stylehead.images import psnr
from stylehead.mini.captions import STYLES


def smooth_portraits(people: int = 11, size: int = 32) -> Portraits:
    """Soft blobs on white with an outline that pictures know about."""
    rng = torch.Generator().manual_seed(1)
    low = torch.rand(people * 2, 3, 4, 4, generator=rng)
    colour = torch.nn.functional.interpolate(low, size=size, mode="bicubic").clamp(0, 1)
    grid = torch.linspace(-1, 1, size)
    mask = (1.5 - 2 * (grid[:, None].square() + grid[None].square())).clamp(0, 1)
    images = ((mask * colour + 1 - mask) * 255).round().to(torch.uint8).unflatten(0, (people, 2))
    masks = mask.expand(people, 2, 1, size, size)
    return Portraits(images, tuple(range(100, 100 + people)), (0.0, -90.0), masks)


@pytest.fixture
def folder(tmp_path):
    portraits = smooth_portraits()
    write_truth(tmp_path, {"photo": portraits, "pixar": portraits}, {"made_with": "a test"})
    return tmp_path


def test_what_is_written_is_read_back(folder) -> None:
    truth, wanted = open_truth(folder), smooth_portraits()
    read = truth.portraits("pixar")
    assert (read.seeds, read.yaws_deg, truth.psi) == (wanted.seeds, wanted.yaws_deg, 1.0)
    assert torch.equal(read.masks, (wanted.masks * 255).round() / 255)
    assert psnr(read.images.flatten(0, 1) / 255, wanted.images.flatten(0, 1) / 255).min() > 30
    assert (read.images.permute(0, 1, 3, 4, 2)[read.masks[:, :, 0] == 0] == 255).all()


def test_only_what_is_asked_for_and_there(folder) -> None:
    some = open_truth(folder).portraits("photo", seeds=[110, 3, 102], yaws_deg=[-90.0, 45.0])
    assert some.seeds == (102, 110)
    assert some.yaws_deg == (-90.0,)
    whole = open_truth(folder).portraits("photo")
    assert torch.equal(some.images, whole.images[[2, 10]][:, [1]])


def test_a_style_that_is_not_there(folder) -> None:
    with pytest.raises(JobError, match="shows no statue; it shows photo, pixar"):
        open_truth(folder).portraits("statue")


def test_damage_is_told(folder) -> None:
    sheet = folder / sheet_name("pixar", 0)
    sheet.write_bytes(sheet.read_bytes()[:100])
    with pytest.raises(JobError, match="damaged"):
        open_truth(folder).portraits("pixar")
    sheet.unlink()
    with pytest.raises(MissingError, match="missing") as caught:
        open_truth(folder).portraits("pixar")
    assert "stylehead.world reference" in str(caught.value.hint)
    index = json.loads((folder / INDEX).read_text())
    (folder / INDEX).write_text(json.dumps({**index, "format": 99}))
    with pytest.raises(JobError, match="format 99"):
        open_truth(folder)
    (folder / INDEX).write_text("{")
    with pytest.raises(JobError, match="damaged"):
        open_truth(folder)
    shutil.rmtree(folder)
    with pytest.raises(MissingError):
        open_truth(folder)


def test_the_embedded_set_is_whole_and_small() -> None:
    truth = open_truth()
    assert truth.styles == STYLES
    assert truth.resolution == 128
    assert len(truth.seeds) >= 32
    assert max(truth.seeds) < 10_000_000  # nobody of the training
    assert sum(path.stat().st_size for path in MINI_REFERENCE.iterdir()) < 5_000_000
    for style in STYLES:
        front = truth.portraits(style, yaws_deg=[0.0])
        share = (front.masks > 0.5).float().mean(dim=(1, 2, 3, 4))
        assert (share > 0.2).all(), style
        assert (share < 0.8).all(), style


def test_the_embedded_people_are_the_same_in_every_style() -> None:
    """Outlines of one person overlap across styles more than those of different people."""
    truth = open_truth()
    photo, statue = (
        truth.portraits(style, yaws_deg=[90.0]).masks[:, 0, 0] > 0.5 for style in ("photo", "statue")
    )
    both = (photo[:, None] & statue[None]).sum(dim=(2, 3)) / (photo[:, None] | statue[None]).sum(dim=(2, 3))
    assert (both.argmax(dim=1) == torch.arange(len(both))).float().mean() > 0.8


def test_overlap_keeps_the_order_of_the_first() -> None:
    one = smooth_portraits()
    other = one.pick(seeds=[104, 101], yaws_deg=[-90.0, 0.0])
    both = find_overlap(one, other)
    assert both.seeds == (101, 104)
    assert torch.equal(both.first(one.images), both.second(other.images))
    assert torch.equal(both.first(one.images), one.images[[1, 4]])


def test_the_set_shows_people_as_truncated_as_it_says(tmp_path) -> None:
    """In every style, from four sides."""
    from stylehead.world.heads.head_renderer import HeadViews
    from stylehead.world.recipes.reference import YAWS_DEG, draw_truth

    class Shades:
        """Draws a person's redness in one channel, and the style in another."""

        def render(self, identity, style, cameras) -> HeadViews:
            picture = np.zeros((len(cameras), 16, 16, 3), np.uint8)
            picture[..., 0] = round(255 * float(identity.age))
            picture[..., 1] = 30 * STYLES.index(style)
            return HeadViews(picture, np.full(picture.shape[:3], 255, np.uint8), np.zeros(picture.shape[:3]))

    whole, half = (draw_truth(tmp_path / str(psi), Shades(), (4, 9, 11), psi=psi) for psi in (1.0, 0.5))
    assert (half.seeds, half.psi, half.yaws_deg) == ((4, 9, 11), 0.5, YAWS_DEG)
    ages = [truth.portraits("joker").images[:, 0, 0, 8, 8].float() for truth in (whole, half)]
    assert ages[1].max() - ages[1].min() < 0.7 * (ages[0].max() - ages[0].min())
    shades = [int(half.portraits(style).images[0, 3, 1, 8, 8]) for style in STYLES]
    assert np.abs(np.array(shades) - 30 * np.arange(len(STYLES))).max() <= 3


@pytest.mark.slow
def test_the_embedded_pictures_are_what_the_procedural_world_draws_today() -> None:
    """Fails when the heads or styles changed and the set was not made again."""
    heads = pytest.importorskip("stylehead.world.heads")
    pytest.importorskip("anny")
    from stylehead.geometry import camera_from_angles
    from stylehead.world.heads.truncation import truncated

    truth = open_truth()
    seed = truth.seeds[3]
    with heads.HeadRenderer(resolution=128, supersample=2) as renderer:
        identity = truncated(heads.identity_from_z(heads.z_from_seed(seed)), truth.psi)
        for style in ("photo", "werewolf"):
            drawn = renderer.render(identity, style, camera_from_angles(0.0))
            stored = truth.portraits(style, seeds=[seed], yaws_deg=[0.0]).images[0]
            fresh = torch.from_numpy(drawn.image).permute(0, 3, 1, 2)
            assert psnr(stored / 255, fresh / 255) > 30
