"""Whom a photograph may show: people who differ by their hair; nothing is worn that is not sure."""

import shutil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stylehead.errors import JobError, MissingError
from stylehead.geometry import camera_from_angles, conditioning_camera
from stylehead.inversion.identity_to_w import IDENTITY_TO_W, IdentityToW
from stylehead.inversion.likely import SURE, LikelyPeople
from stylehead.inversion.tints import tints
from stylehead.perception.attributes import ATTRIBUTES_FILE, NUMBERS, AttributeEncoder
from stylehead.weights.presets import MINI_WEIGHTS
from stylehead.world.heads.identity import numbers_from_z
from stylehead.world.recipes.train_attributes import field_columns


@pytest.fixture(scope="module")
def likely():
    return LikelyPeople.load(MINI_WEIGHTS)


@pytest.fixture(scope="module")
def encoder():
    return AttributeEncoder.load(MINI_WEIGHTS / ATTRIBUTES_FILE)


HAIR_COLOUR = field_columns("hair_colour")


def drawn(generator, w, label):
    """The picture of a style vector."""
    with torch.no_grad():
        ws = w[:, None].expand(-1, generator.num_ws, -1)
        return generator.synthesis(ws, label, background="white").image.clamp(-1, 1)


def people_of(count, seed=3):
    z = torch.randn(count, 64, generator=torch.Generator().manual_seed(seed))
    return z, torch.from_numpy(numbers_from_z(z.double().numpy())).float()


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), views=st.integers(1, 4), people=st.integers(1, 20))
def test_candidates_differ_by_their_hair_alone_the_likeliest_first(likely, encoder, seed, views, people):
    scores = 2 * torch.randn(views, NUMBERS, generator=torch.Generator().manual_seed(seed))
    numbers, log_odds = likely.candidates(scores, people)
    hair = encoder.choices()[0]
    assert 1 <= len(numbers) <= people
    assert torch.equal(log_odds, log_odds.sort(descending=True).values)
    assert (log_odds <= 0).all()
    assert (numbers[:, ~hair] == numbers[:1, ~hair]).all()
    assert len(numbers[:, hair].argmax(dim=1).unique()) == len(numbers)


@pytest.mark.parametrize(("chance", "worn"), [(SURE + 0.02, True), (SURE - 0.02, False)])
def test_a_beard_is_worn_only_where_it_is_sure(likely, encoder, chance, worn):
    _, beard, *_ = encoder.choices()
    places = torch.nonzero(beard)[:, 0]
    scores = torch.zeros(1, NUMBERS)
    scores[0, places] = -20.0
    scores[0, places[4]] = torch.tensor(chance / (1 - chance)).log()  # a full beard, against none
    scores[0, places[0]] = 0.0
    numbers, _ = likely.candidates(scores, 1)
    assert bool(numbers[0, places[4]]) is worn
    assert bool(numbers[0, places[0]]) is not worn


def test_a_bald_head_or_a_ponytail_that_is_not_sure_is_nobodys(likely, encoder):
    hair = encoder.choices()[0]
    numbers, _ = likely.candidates(torch.zeros(1, NUMBERS), 12)
    doubted = encoder.doubted[hair] > 0
    assert doubted.sum() == 3
    assert not numbers[:, hair][:, doubted].any()
    assert len(numbers) == 9


def test_the_person_of_a_render_is_found_again(likely, encoder, mini):
    """Hair, beard and glasses of rendered people; the front of their heads is where the head is expected."""
    _, numbers = people_of(8)
    network, label = IdentityToW.load(MINI_WEIGHTS / IDENTITY_TO_W), camera_from_angles(0.2)
    hair, beard, glasses, _ = encoder.choices()
    right = torch.zeros(3)
    for row in numbers:
        ws = network(row[None])[:, None].expand(-1, mini.num_ws, -1)
        out = mini.synthesis(ws, label, background="white")
        found, _ = likely.candidates(likely.read(out.image.clamp(-1, 1)).scores, 1)
        right += torch.stack([(found[0, of] == row[of]).all() for of in (hair, beard, glasses)]).float()
        expected = likely.expected_mask(out.image.clamp(-1, 1))
        share = torch.nn.functional.adaptive_avg_pool2d(out.mask, expected.shape[-1])[0, 0]
        assert ((expected > 0.5) == (share > 0.5)).float().mean() > 0.93
    assert right[0] >= 4  # of the generator's hair, which is softer than what was learned from
    assert right[1] >= 6
    assert right[2] >= 5


def test_who_is_read_from_a_render_looks_like_it(likely, mini):
    """The person with the darkest and the one with the brightest hair of forty, in whichever cut."""
    _, numbers = people_of(40)
    network, label = IdentityToW.load(MINI_WEIGHTS / IDENTITY_TO_W), camera_from_angles(0.0)
    brightness = numbers[:, HAIR_COLOUR].sum(dim=1)
    shades = []
    for row in (int(brightness.argmin()), int(brightness.argmax())):
        picture = drawn(mini, network(numbers[row : row + 1]), label)
        w = likely.w(mini, picture, None, label, people=3)
        assert w.shape == (1, mini.config.w_dim)
        parts = likely.read(picture).parts.softmax(dim=1)[0, 1:]
        wanted, found = (tints(image, parts) for image in (picture, drawn(mini, w, label)))
        assert (found.colours[:2] - wanted.colours[:2]).abs().max() < 0.35
        shades.append(float(found.colours[1].mean()))
    assert shades[0] < shades[1] - 0.3


def test_numbers_and_latents_of_a_person_lead_to_nearly_one_style(mini):
    z, numbers = people_of(200)
    mapped = mini.mapping(z, conditioning_camera())[:, 0]
    wanted = IdentityToW.load(MINI_WEIGHTS / IDENTITY_TO_W)(numbers)
    missed = (mapped - wanted).square().sum() / (wanted - wanted.mean(dim=0)).square().sum()
    assert missed < 0.15


def test_missing_and_damaged_files_are_named(tmp_path):
    with pytest.raises(MissingError, match=ATTRIBUTES_FILE):
        LikelyPeople.load(tmp_path)
    shutil.copy(MINI_WEIGHTS / ATTRIBUTES_FILE, tmp_path)
    with pytest.raises(MissingError, match=IDENTITY_TO_W):
        LikelyPeople.load(tmp_path)
    (tmp_path / IDENTITY_TO_W).write_bytes(b"nothing")
    with pytest.raises(JobError, match=IDENTITY_TO_W):
        LikelyPeople.load(tmp_path)
    shutil.copy(MINI_WEIGHTS / ATTRIBUTES_FILE, tmp_path / IDENTITY_TO_W)
    with pytest.raises(JobError, match="IdentityToW"):
        LikelyPeople.load(tmp_path)
