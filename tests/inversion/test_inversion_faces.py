"""Faces, crops and cameras of photographs, with a detector that answers as insightface's does."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from inversion_helpers import FakeAnalyser, mean_face
from PIL import Image

from stylehead.errors import JobError, MissingError, UsageError
from stylehead.geometry import camera_from_angles
from stylehead.inversion import (
    Face,
    FaceFinder,
    align_face,
    choose_face,
    crop,
    finders,
    load_face_finder,
    whole_square,
)
from stylehead.inversion.align import Square, eyes_and_mouth_square, fit_similarity, with_margins
from stylehead.inversion.centerface import CenterFace
from stylehead.inversion.pose import label_of_pose, pose_of_label, rotation_between_deg

FRONT = camera_from_angles(0.0)
BLANK = np.zeros((400, 600, 3), np.uint8)


def camera(yaw: float, pitch: float, roll: float) -> torch.Tensor:
    angles = [math.radians(value) for value in (yaw, pitch, roll)]
    return label_of_pose(torch.tensor([[*angles, 0.0, 0.0, 0.0]]))


# ------------------------------------------------------------------------------------------------- choosing


def test_pictures_reach_the_detector_blue_first() -> None:
    analyser = FakeAnalyser((FRONT, 60.0, (300, 200)))
    red = BLANK.copy()
    red[..., 0] = 9
    FaceFinder(analyser).find(red)
    assert (analyser.seen[0][..., 2] == 9).all()
    assert analyser.seen[0].flags["C_CONTIGUOUS"]


def test_the_largest_face_is_taken_and_the_others_are_named() -> None:
    analyser = FakeAnalyser((FRONT, 30.0, (100, 100)), (FRONT, 60.0, (300, 200)), (FRONT, 40.0, (500, 90)))
    faces = FaceFinder(analyser).find(BLANK)
    areas = [face.area for face in faces]
    assert areas == sorted(areas, reverse=True)
    choice = choose_face(faces, None, "us.jpg")
    assert choice.number == 1
    assert choice.note is not None
    assert "3 faces" in choice.note
    assert "--face 2" in choice.note
    assert "--face 3" in choice.note
    second = choose_face(faces, 2, "us.jpg")
    assert second.face is faces[1]
    assert second.note is None


def test_a_single_face_needs_no_word() -> None:
    faces = FaceFinder(FakeAnalyser((FRONT, 60.0, (300, 200)))).find(BLANK)
    assert choose_face(faces, None, "me.jpg").note is None


def test_no_face_says_what_to_try() -> None:
    with pytest.raises(JobError) as caught:
        choose_face(FaceFinder(FakeAnalyser()).find(BLANK), None, "tree.jpg")
    assert caught.value.message == "No face was found in tree.jpg."
    assert "--aligned" in str(caught.value.hint)


@pytest.mark.parametrize("number", [0, 3, -1])
def test_a_face_that_is_not_there(number: int) -> None:
    faces = FaceFinder(FakeAnalyser((FRONT, 60.0, (300, 200)), (FRONT, 40.0, (100, 100)))).find(BLANK)
    with pytest.raises(UsageError, match="must be between 1 and 2"):
        choose_face(faces, number, "us.jpg")


def test_without_models_centerface_finds_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finders.catalogue, "local_path", lambda _id: None)
    detector, entry, note = load_face_finder()
    assert isinstance(detector, CenterFace)
    assert entry is None
    assert "insightface-buffalo_l, which is finer, is not here" in note


def test_models_whose_licence_is_not_accepted_are_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(finders.catalogue, "local_path", lambda _id: tmp_path)
    monkeypatch.setattr(finders.catalogue, "accepted", lambda _id: False)
    detector, entry, note = load_face_finder()
    assert isinstance(detector, CenterFace)
    assert entry is None
    assert "its licence is not accepted" in note


def test_accepted_models_are_preferred(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    finder = FaceFinder(FakeAnalyser())
    monkeypatch.setattr(finders.catalogue, "local_path", lambda _id: tmp_path)
    monkeypatch.setattr(finders.catalogue, "accepted", lambda _id: True)
    monkeypatch.setattr(FaceFinder, "load", lambda _folder: finder)
    assert load_face_finder()[:2] == (finder, finders.MODELS)


def test_a_folder_without_models_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "det.onnx").write_bytes(b"no model")
    with pytest.raises((JobError, MissingError)) as caught:
        FaceFinder.load(tmp_path)
    assert caught.value.hint


def test_the_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "insightface.app", None)
    with pytest.raises(MissingError, match="insightface cannot be used"):
        FaceFinder.load(tmp_path)


# ------------------------------------------------------------------------------------------ crop and camera


@pytest.mark.parametrize(
    ("yaw", "pitch", "roll"), [(0, 0, 0), (25, 10, 0), (-50, -15, 10), (70, 5, -20), (10, 30, 45)]
)
def test_the_camera_of_a_face_is_found(yaw: float, pitch: float, roll: float) -> None:
    truth = camera(yaw, pitch, roll)
    (face,) = FaceFinder(FakeAnalyser((truth, 60.0, (300, 200)))).find(BLANK)
    aligned = align_face(face)
    assert aligned.camera_label is not None
    found = pose_of_label(aligned.camera_label)[0]
    assert torch.allclose(found[3:], torch.zeros(3), atol=1e-4)  # the crop is centred
    lean = math.atan2(aligned.square.right[1], aligned.square.right[0])
    # What the crop was turned by and what the camera still is rolled by are together the head's lean.
    turned = label_of_pose(found[None] + torch.tensor([[0, 0, -lean, 0, 0, 0]]))
    back = label_of_pose(found[None] + torch.tensor([[0, 0, lean, 0, 0, 0]]))
    nearer = min(float(rotation_between_deg(label, truth)) for label in (turned, back))
    assert nearer < 0.1


def test_a_leaning_head_is_cropped_upright() -> None:
    (face,) = FaceFinder(FakeAnalyser((camera(0, 0, 30), 60.0, (300, 200)))).find(BLANK)
    aligned = align_face(face)
    assert aligned.camera_label is not None
    assert abs(float(torch.rad2deg(pose_of_label(aligned.camera_label)[0, 2]))) < 0.5
    assert abs(abs(math.degrees(math.atan2(*aligned.square.right[::-1]))) - 30) < 0.5


def test_the_crop_has_the_size_of_the_head_from_every_side() -> None:
    edges, centres = [], []
    for yaw in (0.0, 30.0, 60.0, 80.0):
        (face,) = FaceFinder(FakeAnalyser((camera(yaw, 0, 0), 60.0, (300, 200)))).find(BLANK)
        square = align_face(face).square
        edges.append(square.edge)
        centres.append(square.centre[1])
    assert max(edges) / min(edges) < 1.45  # eyes and mouth alone: a factor of 1.9
    assert max(centres) - min(centres) < 8


def test_a_front_view_lies_in_its_crop_as_in_the_training_pictures() -> None:
    (face,) = FaceFinder(FakeAnalyser((FRONT, 60.0, (300, 200)))).find(BLANK)
    square = align_face(face).square
    assert face.points is not None
    eyes = face.points[36:48, :2].mean(axis=0)
    mouth = face.points[[48, 54], :2].mean(axis=0)
    corner = square.centre - square.right - square.down
    places = (np.stack([eyes, mouth]) - corner) / square.edge
    assert np.allclose(places[:, 0], 0.5, atol=0.01)
    assert places[0, 1] == pytest.approx(0.49, abs=0.03)  # measured on the embedded world's front views
    assert places[1, 1] == pytest.approx(0.725, abs=0.03)


def test_a_face_that_is_too_small_or_in_profile_is_said() -> None:
    def of(edge: float, eyes: float) -> Face:
        five = np.array([[-eyes / 2, 0], [eyes / 2, 0], [0, 20], [-eyes / 3, 40], [eyes / 3, 40]], float)
        return Face((0.0, 0.0, edge, edge), 0.9, five)

    with pytest.raises(JobError, match="is 20 pixels large; at least 24"):
        choose_face([of(20, 40)], None, "far.jpg")
    assert choose_face([of(200, 40)], None, "me.jpg").doubts == ()
    assert ["little of it" in doubt for doubt in choose_face([of(50, 40)], None, "me.jpg").doubts] == [True]
    assert ["in profile" in doubt for doubt in choose_face([of(200, 4)], None, "me.jpg").doubts] == [True]


def test_margins_are_above_and_beside() -> None:
    plain = Square(np.array([100.0, 100.0]), np.array([50.0, 0.0]), np.array([0.0, 50.0]))
    grown = with_margins(plain)
    assert grown.centre[1] - grown.down[1] == pytest.approx(40)  # a tenth of 100 above
    assert grown.centre[1] + grown.down[1] == pytest.approx(150)  # nothing below
    assert grown.centre[0] - grown.right[0] == pytest.approx(45)


def test_similarities_are_recovered() -> None:
    angle = 0.7
    rotation = np.array(
        [[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]]
    )
    target = 3.5 * mean_face() @ rotation.T + [5, -2, 1]
    found = fit_similarity(mean_face(), target)
    assert found.scale == pytest.approx(3.5)
    assert np.allclose(found.rotation, rotation)
    assert np.allclose(found.translation, [5, -2, 1])
    mirrored = fit_similarity(mean_face(), mean_face() * [-1, 1, 1])
    assert np.linalg.det(mirrored.rotation) == pytest.approx(1)


def test_points_in_one_place_do_not_break_the_crop() -> None:
    (face,) = FaceFinder(FakeAnalyser((FRONT, 60.0, (300, 200)), points=False)).find(BLANK)
    degenerate = face._replace(five=np.full((5, 2), 50.0))
    square = eyes_and_mouth_square(degenerate)
    assert np.isfinite(square.centre).all()
    assert square.edge > 10


# ---------------------------------------------------------------------------------------------------- pixels


def gradient(width: int, height: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 200 / width, y * 200 / height, 0 * x + 30], axis=2).astype(np.uint8)


def upright(centre: tuple[float, float], half: float) -> Square:
    return Square(np.array(centre), np.array([half, 0.0]), np.array([0.0, half]))


def test_an_upright_crop_is_what_pillow_cuts() -> None:
    picture = gradient(400, 300)
    ours = crop(picture, upright((200, 150), 64), 64)
    theirs = Image.fromarray(picture).crop((136, 86, 264, 214)).resize((64, 64), Image.Resampling.BOX)
    assert np.abs(ours.astype(int) - np.asarray(theirs).astype(int)).max() <= 2


@pytest.mark.parametrize("size", [40, 128, 1000])
def test_a_whole_picture_keeps_its_place_at_every_size(size: int) -> None:
    picture = gradient(256, 256)
    square, note = whole_square(picture)
    assert note is None
    out = crop(picture, square, size).astype(float)
    middle = out[size // 2, size // 2]
    assert np.allclose(middle[:2], 100, atol=3)
    assert abs(float(out[..., 0].mean()) - float(picture[..., 0].mean())) < 1


def test_outside_the_picture_is_its_blurred_reflection() -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (200, 200, 3)).astype(np.uint8)
    out = crop(picture, upright((0, 100), 100), 100).astype(float)
    inside, outside = out[:, 60:], out[:, :20]
    assert outside.std() < 0.35 * inside.std()
    assert abs(outside.mean() - picture.mean()) < 8


def test_a_picture_that_is_not_square_gives_its_middle() -> None:
    square, note = whole_square(gradient(300, 200))
    assert square.edge == 200
    assert tuple(square.centre) == (150, 100)
    assert note is not None
    assert "300x200" in note


# ------------------------------------------------------------------------------------- the real thing


@pytest.mark.network
def test_sample_pictures_of_insightface() -> None:
    """The six people of the package's picture, through the real detector."""
    import insightface

    from stylehead.inversion import read_photo

    folder = Path(insightface.__file__).parent / "data" / "images"
    finder = load_face_finder().detector
    photo = read_photo(folder / "t1.jpg")
    faces = finder.find(photo.pixels)
    assert len(faces) == 6
    assert choose_face(faces, None, "t1.jpg").note is not None
    for face in faces:
        aligned = align_face(face)
        assert aligned.camera_label is not None
        yaw, pitch, roll = torch.rad2deg(pose_of_label(aligned.camera_label)[0, :3]).tolist()
        assert abs(yaw) < 90
        assert abs(pitch) < 60
        assert abs(roll) < 50
        assert crop(photo.pixels, aligned.square, 128).shape == (128, 128, 3)
