import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stylehead.world.heads import VECTOR_FIELDS, identity_from_z, identity_vector, truncated, z_from_seed
from stylehead.world.heads.truncation import MEASURES, average_measures

SEEDS, SHARES = st.integers(0, 1000), st.floats(0, 1)


def person(seed):
    return identity_from_z(z_from_seed(seed))


@given(SEEDS, SHARES)
def test_choices_stay_and_measures_shrink_alike(seed, psi):
    before, after = person(seed), truncated(person(seed), psi)
    for field in VECTOR_FIELDS:
        was, now = getattr(before, field.name), getattr(after, field.name)
        if field.categories:
            assert now == was
        else:
            average = average_measures()[field.name]
            assert np.allclose(now - average, psi * (was - average))


@given(SEEDS, SHARES, SHARES)
def test_truncating_twice_multiplies(seed, once, again):
    twice = identity_vector(truncated(truncated(person(seed), once), again))
    assert np.allclose(twice, identity_vector(truncated(person(seed), once * again)), atol=1e-5)


def test_everybody_has_the_same_measures_at_zero_and_nothing_changes_at_one():
    one, other = (truncated(person(seed), 0) for seed in (1, 2))
    assert all(np.allclose(getattr(one, name), getattr(other, name)) for name in MEASURES)
    assert np.array_equal(identity_vector(truncated(person(3), 1.0)), identity_vector(person(3)))


def test_haircuts_glasses_beards_and_necklines_are_the_choices():
    choices = {field.name for field in VECTOR_FIELDS} - set(MEASURES)
    assert choices == {"hair", "glasses", "beard", "shirt"}


@pytest.mark.parametrize("seed", range(4))
def test_a_truncated_person_stays_within_the_limits_of_people(seed):
    after = truncated(person(seed), 0.5)
    assert after.ancestry.sum() == pytest.approx(1)
    assert 0.6 <= after.age <= 0.98
    assert not after.hair_colour.flags.writeable
