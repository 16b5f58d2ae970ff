"""Attributes: what numbers mean is stored with the network, and what is learned can be read back."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from stylehead.errors import JobError
from stylehead.perception.attributes import ATTRIBUTES_FILE, NUMBERS, PARTS, PARTS_EDGE, AttributeEncoder
from stylehead.perception.embedded import StyleClassifier
from stylehead.weights.presets import MINI_WEIGHTS
from stylehead.world.heads import VECTOR_FIELDS
from stylehead.world.heads.identity import numbers_from_z
from stylehead.world.recipes.train_attributes import field_columns, layout


@pytest.fixture(scope="module")
def numbers():
    z = torch.randn(300, 64, generator=torch.Generator().manual_seed(0))
    return torch.from_numpy(numbers_from_z(z.double().numpy())).float()


@pytest.fixture(scope="module")
def encoder(numbers):
    torch.manual_seed(0)
    made = AttributeEncoder().eval().requires_grad_(False)
    made.describe(numbers, **layout())
    return made


@given(seed=st.integers(0, 1000), size=st.sampled_from([16, 64, 128, 200]))
def test_any_picture_gets_scores_and_parts(encoder, seed, size):
    picture = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    found = encoder(picture)
    assert found.scores.shape == (2, NUMBERS)
    assert found.parts.shape == (2, 1 + len(PARTS), PARTS_EDGE, PARTS_EDGE)


def test_what_is_learned_of_people_reads_back_as_those_people(encoder, numbers):
    back = encoder.numbers(encoder.learned(numbers))
    torch.testing.assert_close(back, numbers, atol=1e-3, rtol=1e-3)
    measures = encoder.learned(numbers)[:, encoder.group == 0]
    assert measures.mean(dim=0).abs().max() < 1e-3
    assert measures.std(dim=0).max() < 1.01


@given(seed=st.integers(0, 1000))
def test_a_choice_is_one_option_and_colours_are_light(encoder, seed):
    scores = 3 * torch.randn(5, NUMBERS, generator=torch.Generator().manual_seed(seed))
    read = encoder.numbers(scores)
    for options in encoder.choices():
        assert torch.equal(read[:, options].sort(dim=1).values[:, -1], torch.ones(5))
        assert torch.equal(read[:, options].sum(dim=1), torch.ones(5))
    assert (read[:, field_columns("hair_colour")] >= 0).all()


def test_choices_are_those_of_the_world(encoder):
    names = [field.name for field in VECTOR_FIELDS if field.categories]
    assert names[0] == "hair"
    assert len(encoder.choices()) == len(names)
    for name, options in zip(names, encoder.choices(), strict=True):
        assert options[field_columns(name)].all()
        assert options.sum() == field_columns(name).stop - field_columns(name).start
    doubted = encoder.doubted[field_columns("beard")].tolist()
    assert doubted == [0, 1, 1, 1, 1]


def test_the_file_keeps_what_numbers_mean(encoder, tmp_path):
    encoder.save(tmp_path / ATTRIBUTES_FILE, {})
    loaded = AttributeEncoder.load(tmp_path / ATTRIBUTES_FILE)
    for name in ("group", "doubted", "colour"):
        assert torch.equal(getattr(loaded, name), getattr(encoder, name))
    torch.testing.assert_close(loaded.spread, encoder.spread, rtol=1e-3, atol=1e-3)
    StyleClassifier().save(tmp_path / "other.safetensors", {})
    with pytest.raises(JobError, match="AttributeEncoder"):
        AttributeEncoder.load(tmp_path / "other.safetensors")


def test_the_embedded_file_means_what_the_world_says_now():
    embedded, now = AttributeEncoder.load(MINI_WEIGHTS / ATTRIBUTES_FILE), layout()
    assert {name: torch.equal(getattr(embedded, name), now[name]) for name in now} == dict.fromkeys(now, True)


def test_a_file_in_which_something_lacks_or_is_too_much_is_refused(encoder, tmp_path):
    path = tmp_path / ATTRIBUTES_FILE
    encoder.save(path, {})
    tensors = load_file(path)
    for name in ("packed", "scales", "mean"):
        for damaged in (tensors[name][:-40], torch.zeros_like(tensors[name])[:1]):
            save_file({**tensors, name: damaged}, path)
            with pytest.raises(JobError, match="AttributeEncoder"):
                AttributeEncoder.load(path)


def test_packed_weights_are_near_to_what_they_were(encoder, tmp_path):
    encoder.save(tmp_path / ATTRIBUTES_FILE, {})
    loaded = dict(AttributeEncoder.load(tmp_path / ATTRIBUTES_FILE).named_parameters())
    for name, wanted in encoder.named_parameters():
        rows = wanted.flatten(1) if wanted.dim() > 1 else wanted[None]
        step = rows.abs().amax(dim=1, keepdim=True) / (31 if wanted.dim() > 1 else 500)
        assert ((loaded[name].view_as(rows) - rows).abs() <= 0.52 * step + 1e-6).all(), name
