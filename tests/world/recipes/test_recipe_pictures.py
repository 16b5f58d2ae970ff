import math

import pytest
import torch

from stylehead.geometry import camera_from_angles, turntable
from stylehead.images import on_colour
from stylehead.mini.captions import place_prompt
from stylehead.world.recipes.pool import softened
from stylehead.world.recipes.training_pictures import PictureSource, drawn_columns, half, tile_2x2, view_name


def draw(photo, styled, count=24, **options):
    source = PictureSource(photo, styled, **options)
    return source.draw(count, torch.Generator().manual_seed(0))


def test_pictures_repeat_for_the_same_seed(photo, styled):
    first, second = draw(photo, styled), draw(photo, styled)
    assert torch.equal(first.images, second.images)
    assert first.captions == second.captions


def test_captions_name_the_style_of_the_picture(photo, styled):
    pictures = draw(photo, styled, 60)
    for style, text in zip(pictures.styles, pictures.captions, strict=True):
        if style != "photo":
            assert place_prompt(text) == style
    assert set(pictures.styles) == {"photo", "joker", "pixar"}


def test_backgrounds_are_plain_and_shared_with_the_photograph(photo, styled):
    pictures = draw(photo, styled, grid_part=0.0)
    corner = pictures.images[:, :, 0, 0]
    torch.testing.assert_close(pictures.images[:, :, -1, -1], corner)
    torch.testing.assert_close(pictures.photos[:, :, 0, 0], corner)
    white = (corner == 1).all(dim=1)
    assert 0 < white.sum() < len(corner)


def test_the_photograph_shows_the_same_person(photo, styled):
    pictures = PictureSource(photo, styled, grid_part=0.0, white_part=1.0).draw(
        40, torch.Generator().manual_seed(1), styles=["joker"] * 40
    )
    middle = pictures.photos.shape[-1] // 2
    seen = {tuple(colour.tolist()) for colour in pictures.photos[:, :, middle, middle]}
    allowed = photo.images[:2, :, :, middle, middle].reshape(-1, 3).float() / 127.5 - 1
    assert seen <= {tuple(colour.tolist()) for colour in allowed}


def test_grids_hold_four_views_at_half_size(photo, styled):
    pictures = draw(photo, styled, grid_part=1.0)
    assert pictures.grid.all()
    assert pictures.images.shape == (24, 3, 32, 32)
    assert (pictures.photo_depths > 0).float().mean() > 0.2


def test_single_views_are_mostly_of_the_face_and_grids_of_any_side():
    rng, cameras = torch.Generator().manual_seed(0), turntable(6)
    singles = torch.cat([drawn_columns(cameras, rng, grid=False) for _ in range(600)]).bincount(minlength=6)
    front, behind = singles.argmax(), singles.argmin()
    assert view_name(cameras[front]) == "front"
    assert view_name(cameras[behind]) == "back"
    assert 4 < singles[front] / singles[behind] < 12
    grids = [drawn_columns(cameras, rng, grid=True) for _ in range(300)]
    assert all(len(set(grid.tolist())) == 4 for grid in grids)
    seen = torch.cat(grids).bincount(minlength=6)
    assert seen.max() < 1.4 * seen.min()


def test_half_of_the_photographs_are_softened_before_edges_are_found():
    photos = torch.randn(200, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    soft = softened(photos, torch.Generator().manual_seed(1))
    contrast = soft.std(dim=(1, 2, 3)) / photos.std(dim=(1, 2, 3))
    assert set((contrast < 0.6).tolist()) == {True, False}
    assert 0.35 < (contrast < 0.6).float().mean() < 0.65
    assert torch.equal(soft[contrast >= 0.6], photos[contrast >= 0.6])


def test_tiles_are_in_reading_order():
    tiles = torch.arange(4.0).reshape(4, 1, 1, 1).expand(4, 1, 2, 2)
    picture = tile_2x2(tiles)
    assert [picture[0, y, x].item() for y, x in ((0, 0), (0, 2), (2, 0), (2, 2))] == [0, 1, 2, 3]


def test_half_averages():
    assert half(torch.tensor([[[[1.0, 3.0], [5.0, 7.0]]]])).item() == 4


@pytest.mark.parametrize(
    ("yaw", "name"), [(0, "front"), (30, "front"), (-90, "side"), (100, "side"), (180, "back")]
)
def test_views_are_named_by_the_side_they_see(yaw, name):
    assert view_name(camera_from_angles(math.radians(yaw), 0.1)[0]) == name


def test_background_shows_where_the_mask_is_empty():
    white = torch.ones(1, 3, 2, 2)
    mask = torch.tensor([[[[0.0, 1.0], [0.5, 0.0]]]])
    colour = torch.tensor([[-1.0, 0.0, 1.0]])
    result = on_colour(white, mask, colour[..., None, None])
    assert result[0, :, 0, 0].tolist() == [-1, 0, 1]
    assert result[0, :, 0, 1].tolist() == [1, 1, 1]
    assert result[0, :, 1, 0].tolist() == [0, 0.5, 1]
