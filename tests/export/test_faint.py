"""Faint parts that stand off a head belong to its surface where they are opaque, and only there."""

import numpy as np
import pytest

from stylehead.export.faint import with_faint_parts
from stylehead.export.surface import surface

SIZE, LEVEL, BOX = 64, 30.0, 1.0


def ball(radius: float, at: tuple[float, float, float], density: float) -> np.ndarray:
    """A ball with a soft edge: density inside, nothing outside."""
    edge = np.linspace(-BOX / 2, BOX / 2, SIZE)
    x, y, z = np.meshgrid(edge, edge, edge, indexing="ij")
    r = np.sqrt((x - at[0]) ** 2 + (y - at[1]) ** 2 + (z - at[2]) ** 2)
    return (density * np.clip((radius - r) / 0.03 + 0.5, 0, 1)).astype(np.float32)


HEAD = ball(0.2, (0, -0.1, 0), 200.0)


def highest(density: np.ndarray) -> float:
    vertices, _ = surface(density, level=LEVEL, box=BOX)
    return float(vertices[:, 1].max())


def test_an_ear_that_renders_show_is_there() -> None:
    ear = ball(0.1, (0, 0.15, 0), 15.0)  # optical thickness 2.8: seven parts in a hundred come through
    assert highest(HEAD) == pytest.approx(0.11, abs=0.01)
    assert highest(np.maximum(HEAD, ear)) == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize(("radius", "density"), [(0.1, 5.0), (0.025, 15.0)])
def test_mist_and_specks_are_not(radius: float, density: float) -> None:
    seen = np.maximum(HEAD, ball(radius, (0, 0.15, 0), density))
    assert highest(seen) == pytest.approx(highest(HEAD), abs=0.01)


def test_what_flies_alone_is_not() -> None:
    alone = np.maximum(HEAD, ball(0.1, (0, 0.3, 0), 15.0))
    assert highest(alone) == highest(HEAD)


@pytest.mark.parametrize("level", [30.0, 0.0, -3.0])
def test_a_head_without_such_parts_stays_bit_for_bit(level: float) -> None:
    assert np.array_equal(with_faint_parts(HEAD, level=level, box=BOX), HEAD)
