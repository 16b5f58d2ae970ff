import dataclasses
import importlib.util

import numpy as np
import pytest

from stylehead.errors import MissingError, UsageError
from stylehead.geometry import camera_from_angles, mirror
from stylehead.world.heads import STYLES, HeadRenderer, identity_from_z, z_from_seed
from stylehead.world.heads.traits import BEARDS, HAIR_STYLES


@pytest.fixture(scope="module")
def drawn(renderer, person, cameras):
    """The same person from three sides in every style."""
    return {style: renderer.render(person, style, cameras) for style in STYLES}


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union of two masks."""
    a, b = first > 127, second > 127
    return (a & b).sum() / (a | b).sum()


def test_views_have_the_documented_shapes_and_types(drawn):
    for views in drawn.values():
        assert views.image.shape == (3, 64, 64, 3)
        assert views.mask.shape == views.depth.shape == (3, 64, 64)
        assert (views.image.dtype, views.mask.dtype, views.depth.dtype) == (np.uint8, np.uint8, np.float16)


@pytest.mark.parametrize("style", STYLES)
def test_depth_is_where_the_mask_is_and_white_where_it_is_not(drawn, style):
    views = drawn[style]
    assert np.array_equal(views.depth > 0, views.mask > 0)
    assert (views.image[views.mask == 0] == 255).all()
    inside = views.depth[views.mask > 0].astype(float)
    assert 2.1 < inside.min() < inside.max() < 3.3


def test_the_face_is_nearer_than_the_shoulders(drawn):
    depth = drawn["photo"].depth[0].astype(float)
    assert depth[30:34, 30:34].max() < 2.6
    assert depth[-1, 32] > depth[32, 32] + 0.1


@pytest.mark.parametrize("style", STYLES)
def test_a_head_fills_the_picture(drawn, style):
    mask = drawn[style].mask[0] > 127
    assert 0.25 < mask.mean() < 0.7
    assert not mask[0].any()
    assert mask[-1, 20:44].all()


def test_styles_differ_visibly_and_keep_the_outline(drawn):
    for view in range(3):
        for i, first in enumerate(STYLES):
            for second in STYLES[i + 1 :]:
                a, b = drawn[first], drawn[second]
                both = (a.mask[view] > 127) & (b.mask[view] > 127)
                difference = np.abs(a.image[view][both].astype(float) - b.image[view][both]).mean()
                assert difference > 8, (first, second)
            assert overlap(drawn["photo"].mask[view], drawn[first].mask[view]) > 0.75, first
    for same_shape in ("sketch", "statue"):
        assert np.array_equal(drawn["photo"].mask, drawn[same_shape].mask)


def test_styles_have_their_colours(drawn):
    def colour(style: str, rows: slice, columns: slice) -> np.ndarray:
        return drawn[style].image[0, rows, columns].reshape(-1, 3).mean(axis=0)

    hair, forehead = (slice(9, 12), slice(30, 34)), (slice(18, 22), slice(30, 34))
    red, green, blue = colour("joker", *hair)
    assert green > 1.5 * max(red, blue)
    assert colour("joker", *forehead).min() > 150  # white paint
    red, green, blue = colour("photo", *forehead)
    assert red > green > blue  # skin
    for grey in ("sketch", "statue"):
        pixels = drawn[grey].image[0].astype(int)
        assert np.ptp(pixels, axis=-1).max() < 30


@pytest.mark.parametrize("style", STYLES)
def test_drawing_is_deterministic(renderer, drawn, person, cameras, style):
    renderer.render(identity_from_z(z_from_seed(1)), "zombie", cameras[:1])
    again = renderer.render(person, style, cameras)
    for name in ("image", "mask", "depth"):
        assert np.array_equal(getattr(again, name), getattr(drawn[style], name))


def test_a_symmetric_head_obeys_the_mirror(renderer, symmetric_person):
    label = camera_from_angles([0.0, 0.6, 2.2], [0.1, -0.2, 0.3])
    straight, mirrored = (
        renderer.render(symmetric_person, "photo", which) for which in (label, mirror(label))
    )
    flipped_mask, flipped_depth = mirrored.mask[:, :, ::-1], mirrored.depth[:, :, ::-1]
    assert np.abs(straight.mask.astype(float) - flipped_mask).mean() < 0.5
    solid = (straight.mask == 255) & (flipped_mask == 255)
    assert np.abs(straight.depth.astype(float) - flipped_depth)[solid].mean() < 2e-3


def test_front_and_side_show_different_things(drawn):
    assert overlap(drawn["photo"].mask[0], drawn["photo"].mask[1]) < 0.97
    assert np.abs(drawn["photo"].image[0].astype(float) - drawn["photo"].image[2]).mean() > 8


def test_arrays_and_tensors_and_single_labels_are_the_same_cameras(renderer, person, drawn, cameras):
    import torch

    assert np.array_equal(
        renderer.render(person, "photo", torch.from_numpy(cameras)).image, drawn["photo"].image
    )
    assert np.array_equal(renderer.render(person, "photo", cameras[1]).image, drawn["photo"].image[1:2])


def test_the_principal_point_shifts_the_picture(renderer, person, drawn, cameras):
    shifted = cameras[:1].copy()
    shifted[0, 16 + 2] += 5 / 64
    shifted[0, 16 + 5] += 3 / 64
    mask = renderer.render(person, "photo", shifted).mask[0]
    assert overlap(mask[3:, 5:], drawn["photo"].mask[0][:-3, :-5]) > 0.995


def test_identities_look_different(renderer, cameras):
    faces = [renderer.render(identity_from_z(z_from_seed(s)), "photo", cameras[:1]).image for s in range(6)]
    pairs = [(i, j) for i in range(6) for j in range(i)]
    assert min(np.abs(faces[i].astype(float) - faces[j]).mean() for i, j in pairs) > 5


@pytest.mark.parametrize("cut", HAIR_STYLES)
def test_hair_shows(renderer, person, cameras, cut):
    bald = renderer.render(dataclasses.replace(person, hair="bald"), "photo", cameras)
    grown = renderer.render(dataclasses.replace(person, hair=cut), "photo", cameras)
    changed = (bald.image != grown.image).any(axis=-1)
    assert (changed.mean() > 0.05) == (cut != "bald")


@pytest.mark.parametrize("beard", BEARDS[1:])
def test_beards_show_below_the_eyes(renderer, person, cameras, beard):
    shaved, bearded = (
        renderer.render(dataclasses.replace(person, beard=kind), "photo", cameras[:1]).image[0]
        for kind in ("none", beard)
    )
    changed = (np.abs(shaved.astype(int) - bearded).max(axis=-1) > 4).any(axis=1)
    assert changed[34:].any()
    assert not changed[:26].any()


def test_a_finer_picture_is_the_same_picture(renderer, person, drawn, cameras):
    with HeadRenderer(128, 1) as finer:
        views = finer.render(person, "photo", cameras)
    halved = views.image.reshape(3, 64, 2, 64, 2, 3).mean(axis=(2, 4))
    assert np.abs(halved - drawn["photo"].image).mean() < 0.6


def test_renderers_can_take_turns(renderer, person, drawn, cameras):
    with HeadRenderer(64, 2) as other:
        other.render(identity_from_z(z_from_seed(1)), "joker", cameras[:1])
        between = renderer.render(person, "photo", cameras)
        other.close()  # leaving the block closes it once more
    after = renderer.render(person, "photo", cameras)
    assert np.array_equal(between.image, drawn["photo"].image)
    assert np.array_equal(after.image, drawn["photo"].image)


def test_the_layout_of_the_blocks_is_the_drivers(renderer):
    rasterizer = renderer._rasteriser
    program = rasterizer._program("skin", "photo")
    assert program["Head"].size == rasterizer._head_block.size
    assert program["Camera"].size == rasterizer._camera_block.size


def test_unknown_styles_are_refused_with_the_list(renderer, person, cameras):
    with pytest.raises(UsageError, match="vampire") as caught:
        renderer.render(person, "vampire", cameras)
    assert "werewolf" in (caught.value.hint or "")


@pytest.mark.parametrize("shape", [(0, 25), (2, 24), (1, 1, 25), (16,)])
def test_labels_of_the_wrong_shape_are_refused(renderer, person, shape):
    with pytest.raises(UsageError, match="shape"):
        renderer.render(person, "photo", np.zeros(shape))


def test_labels_that_are_not_finite_are_refused(renderer, person, cameras):
    broken = cameras.copy()
    broken[1, 3] = np.nan
    with pytest.raises(UsageError, match="finite"):
        renderer.render(person, "photo", broken)


@pytest.mark.parametrize("size", [(0, 2), (64, 0), (-1, 1)])
def test_sizes_below_one_are_refused(size):
    with pytest.raises(UsageError, match="at least 1"):
        HeadRenderer(*size)


@pytest.mark.parametrize("package", ["anny", "moderngl", "scipy"])
def test_without_the_extra_it_is_named(monkeypatch, package):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else object())
    with pytest.raises(MissingError, match=package) as caught:
        HeadRenderer()
    assert caught.value.hint == 'pip install "stylehead[mini]"'


@pytest.mark.slow
@pytest.mark.parametrize("style", STYLES)
def test_every_kind_of_person_can_be_drawn_in_every_style(renderer, cameras, style):
    """All materials of a style are compiled and drawn."""
    for seed in range(24):
        views = renderer.render(identity_from_z(z_from_seed(seed)), style, cameras)
        assert np.array_equal(views.depth > 0, views.mask > 0)
        assert views.image[views.mask == 255].std() > 5


def test_parts_say_what_each_pixel_shows(renderer, person, cameras):
    person = dataclasses.replace(person, hair="long", glasses="none")
    views = renderer.render(person, "photo", cameras, parts=True)
    skin, hair, clothes = np.moveaxis(views.parts.astype(float) / 255, -1, 0)
    covered = views.mask / 255
    assert np.abs(skin + hair + clothes - covered).max() < 0.02
    assert skin[0, 36, 32] > 0.9
    assert hair[2, 20, 32] > 0.9  # from behind
    assert clothes[0, -1, 20] > 0.9
    assert np.array_equal(views.image, renderer.render(person, "photo", cameras).image)


def test_a_bald_head_has_no_hair_and_a_shaved_one_has(renderer, person, cameras):
    shares = {}
    for cut in ("bald", "buzz", "long"):
        drawn = renderer.render(
            dataclasses.replace(person, hair=cut, beard="full"), "photo", cameras, parts=True
        )
        shares[cut] = drawn.parts[0, ..., 1].mean()
    assert shares["bald"] < 0.1 < shares["buzz"] < shares["long"]  # of 255; rounding at edges
