"""Cameras of other programs: found by the picture's name, and refused when they do not look at the head."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stylehead.errors import JobError
from stylehead.geometry import camera_from_angles
from stylehead.inversion.camera_files import read_camera_file, why_not_seen

CAMERA = camera_from_angles(0.4, -0.1)
NUMBERS = CAMERA[0].tolist()
WORDS = [str(number) for number in NUMBERS]
OTHER = camera_from_angles(-0.4)[0].tolist()


def write(path: Path, content: Any) -> Path:
    if path.suffix == ".json":
        path.write_text(json.dumps(content))
    elif path.suffix == ".npy":
        np.save(path, content)
    else:
        np.savez(path, **content)
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", NUMBERS),
        ("a.json", [NUMBERS]),
        ("a.json", WORDS),
        ("a.json", {"camera": NUMBERS}),
        ("a.json", {"labels": [["me.png", NUMBERS], ["you.png", OTHER]]}),
        ("a.json", {"labels": [["00001/me.png", WORDS], ["you.png", OTHER]]}),
        ("a.json", {"labels": [["me.jpg", WORDS], ["you.jpg", OTHER]]}),
        ("a.json", {"labels": {"me.png": NUMBERS, "you.png": OTHER}}),
        ("a.json", {"labels": [["someone.png", NUMBERS]]}),
        ("a.npy", np.array(NUMBERS)),
        ("a.npy", np.array([NUMBERS], np.float32)),
        ("a.npz", {"camera": np.array(NUMBERS, np.float32), "w": np.zeros(3)}),
    ],
)
def test_every_kind_of_file_gives_the_camera(name: str, content: Any, tmp_path: Path) -> None:
    label = read_camera_file(write(tmp_path / name, content), "me.png")
    assert torch.allclose(label, CAMERA, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.json", [1, 2, 3], "no camera of 25 numbers"),
        ("a.json", "left", "no camera of 25 numbers"),
        ("a.json", {"poses": 3}, "neither `labels` nor `camera`"),
        ("a.json", {"labels": [["a.png"]]}, "neither `labels` nor `camera`"),
        (
            "a.json",
            {"labels": [["a.png", NUMBERS], ["b.png", OTHER]]},
            "has 2 cameras, and not one of me",
        ),
        ("a.json", {"labels": [["me.png", ["x"] * 25]]}, "no camera of 25 numbers"),
        ("a.npy", np.zeros((4, 4)), "no camera of 25 numbers"),
        ("a.npy", np.array(["a"] * 25), "no camera of 25 numbers"),
        ("a.npz", {"w": np.zeros(3)}, "has no `camera`"),
        ("a.npy", np.full(25, np.nan), "its numbers are not all finite"),
    ],
)
def test_files_without_a_camera_say_so(name: str, content: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        read_camera_file(write(tmp_path / name, content), "me.png")
    assert says in str(caught.value)


@pytest.mark.parametrize("name", ["a.json", "a.npy", "a.npz"])
def test_damaged_files_are_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"PK garbage")
    with pytest.raises(JobError, match=r"a\.(json|npy|npz) is "):
        read_camera_file(tmp_path / name)


angles = st.floats(-math.pi, math.pi), st.floats(-1.2, 1.2)


@given(*angles, st.floats(1.5, 10), st.floats(10, 40))
def test_cameras_on_a_sphere_around_the_head_see_it(
    yaw: float, pitch: float, radius: float, fov: float
) -> None:
    assert why_not_seen(camera_from_angles(yaw, pitch, radius=radius, fov_diag_deg=fov)) is None


@given(*angles)
def test_a_camera_in_the_other_convention_looks_away(yaw: float, pitch: float) -> None:
    label = camera_from_angles(yaw, pitch)
    pose = label[0, :16].reshape(4, 4) @ torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    flipped = torch.cat([pose.reshape(1, 16), label[:, 16:]], dim=1)
    assert "looks away" in str(why_not_seen(flipped))


def changed(**places: float) -> torch.Tensor:
    label = CAMERA.clone()
    for place, value in places.items():
        label[0, int(place[1:])] = value
    return label


IDENTITY = torch.cat([torch.eye(4).reshape(1, 16), CAMERA[:, 16:]], dim=1)


@pytest.mark.parametrize(
    ("label", "says"),
    [
        (IDENTITY, "inside of the head"),
        (changed(_16=0.0), "focal lengths"),
        (changed(_16=2000.0, _20=2000.0), "focal lengths"),
        (changed(_0=2.0), "no rotation"),
        (changed(_18=3.0), "outside of its picture"),
        (changed(_3=math.inf), "not all finite"),
        (CAMERA * torch.tensor([-1.0, 1, 1, 1] * 3 + [1.0] * 13), "no rotation"),
    ],
)
def test_cameras_that_see_no_head_say_why(label: torch.Tensor, says: str) -> None:
    assert says in str(why_not_seen(label))
