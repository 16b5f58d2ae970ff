import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stylehead.errors import UsageError
from stylehead.world.heads import (
    LATENT_SIZE,
    TRAINING_SEED_BASE,
    VECTOR_FIELDS,
    VECTOR_SIZE,
    identity_from_z,
    identity_vector,
    z_from_seed,
)
from stylehead.world.heads.traits import BEARDS, FACE_DIALS, GLASSES, HAIR_STYLES, SHIRTS, colour_between

FIRST_NUMBERS = [
    0.9932436,
    0.7977801,
    0.7340449,
    0.8839517,
    0.8205476,
    0.0065611,
    0.1728912,
    0.6192102,
    0.4044264,
]
SUM_OF_NUMBERS = 17.59509

SEEDS = st.integers(0, 999_999)


def crowd(count: int) -> list:
    return [identity_from_z(z_from_seed(seed)) for seed in range(count)]


@pytest.fixture(scope="module")
def people() -> list:
    return crowd(1200)


def fields() -> dict[str, slice]:
    ends = np.cumsum([field.size for field in VECTOR_FIELDS])
    return {field.name: slice(end - field.size, end) for field, end in zip(VECTOR_FIELDS, ends, strict=True)}


def test_importing_the_heads_loads_nothing_heavy():
    heavy = {"torch", "scipy", "anny", "moderngl", "warp"}
    code = f"import sys, stylehead.world.heads; print(*{heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_seed_is_numpys():
    assert np.array_equal(z_from_seed(7), np.random.RandomState(7).randn(64))
    assert z_from_seed(TRAINING_SEED_BASE).shape == (LATENT_SIZE,)


def test_the_vector_is_what_networks_were_trained_on():
    """Figures of seed 0, written down when the embedded models were trained."""
    vector = identity_vector(identity_from_z(z_from_seed(0)))
    assert vector.dtype == np.float32
    assert vector[:9] == pytest.approx(FIRST_NUMBERS, abs=1e-6)
    assert vector.sum() == pytest.approx(SUM_OF_NUMBERS, abs=1e-4)


@given(SEEDS)
def test_the_same_latent_is_the_same_person(seed):
    first, second = (identity_vector(identity_from_z(z_from_seed(seed))) for _ in range(2))
    assert np.array_equal(first, second)


@given(SEEDS, st.floats(0.05, 50))
def test_only_the_direction_of_the_latent_counts(seed, length):
    z = z_from_seed(seed)
    assert identity_vector(identity_from_z(length * z)) == pytest.approx(
        identity_vector(identity_from_z(z)), abs=2e-4
    )


@given(SEEDS)
def test_categories_are_one_hot(seed):
    vector = identity_vector(identity_from_z(z_from_seed(seed)))
    assert vector.shape == (VECTOR_SIZE,)
    for field in VECTOR_FIELDS:
        if field.categories:
            assert sorted(vector[fields()[field.name]]) == [0.0] * (field.size - 1) + [1.0]


@given(SEEDS, SEEDS)
def test_numbers_are_smooth(seed, direction):
    """A small step in the latent is a small step in the numbers, unless a category or the sex changes."""
    z, step = z_from_seed(seed), 1e-5
    here, there = identity_from_z(z), identity_from_z(z + step * z_from_seed(direction))
    same = all(getattr(here, name) == getattr(there, name) for name in ("hair", "beard", "glasses", "shirt"))
    if same and (here.gender > 0.5) == (there.gender > 0.5):
        assert np.abs(identity_vector(there) - identity_vector(here)).max() < 60 * step


def test_fields_have_the_documented_ranges(people):
    numbers = np.stack([identity_vector(person) for person in people])
    limits = {
        "gender": (0, 1), "age": (0.6, 0.98), "weight": (0, 1), "ancestry": (0, 1), "melanin": (0, 1),
        "face_shape": (-2.2, 2.2), "smile": (0, 1), "hair_colour": (0.008, 0.85), "beard_length": (0, 1),
        "freckles": (0, 1), "lip_colour": (0, 1.3), "makeup": (0, 1), "wrinkles": (0, 1),
    }  # fmt: skip
    for name, (low, high) in limits.items():
        values = numbers[:, fields()[name]]
        assert values.min() >= low - 1e-6, name
        assert values.max() <= high + 1e-6, name
        assert values.std() > 0.01, name
    assert numbers[:, fields()["ancestry"]].sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_categories_are_as_frequent_as_meant(people):
    def share(name: str, value: str, among: list) -> float:
        return sum(getattr(person, name) == value for person in among) / len(among)

    men = [person for person in people if person.gender < 0.5]
    women = [person for person in people if person.gender >= 0.5]
    assert 0.42 < len(men) / len(people) < 0.58
    for value, expected in zip(GLASSES, (0.74, 0.11, 0.10, 0.05), strict=True):
        assert share("glasses", value, people) == pytest.approx(expected, abs=0.04)
    for value, expected in zip(SHIRTS, (0.6, 0.25, 0.15), strict=True):
        assert share("shirt", value, people) == pytest.approx(expected, abs=0.05)
    for value, expected in zip(BEARDS, (0.42, 0.20, 0.07, 0.10, 0.21), strict=True):
        assert share("beard", value, men) == pytest.approx(expected, abs=0.06)
    assert share("beard", "none", women) == 1
    assert all(share("hair", value, people) > 0.02 for value in HAIR_STYLES)
    assert share("hair", "bald", men) > 3 * share("hair", "bald", women)
    assert share("hair", "long", women) > 2 * share("hair", "long", men)


def test_people_differ(people):
    shapes = np.stack([person.face_shape for person in people[:200]])
    assert shapes.shape == (200, len(FACE_DIALS))
    distances = np.linalg.norm(shapes[:, None] - shapes[None], axis=-1)
    assert distances[~np.eye(200, dtype=bool)].min() > 2


def test_an_identity_cannot_be_changed(person):
    with pytest.raises(ValueError, match="read-only"):
        person.hair_colour[0] = 1


def test_colours_are_blended_between_neighbours():
    table = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0]])
    assert colour_between(table, 0.25) == pytest.approx([0.5, 0, 0])
    assert colour_between(table, -1) == pytest.approx(table[0])
    assert colour_between(table, 2) == pytest.approx(table[2], abs=1e-4)


@pytest.mark.parametrize("size", [0, 1, 63, 65, 128])
def test_a_latent_of_the_wrong_size_is_refused(size):
    with pytest.raises(UsageError, match=f"not from {size}"):
        identity_from_z(np.zeros(size))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_latent_that_is_not_finite_is_refused(value):
    z = z_from_seed(0)
    z[3] = value
    with pytest.raises(UsageError, match="not finite"):
        identity_from_z(z)


def test_the_zero_latent_is_somebody():
    assert np.isfinite(identity_vector(identity_from_z(np.zeros(LATENT_SIZE)))).all()
