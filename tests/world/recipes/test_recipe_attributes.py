"""Heads become photographs without becoming others, and a step learns from them."""

import importlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stylehead.world.heads import VECTOR_FIELDS, identity_vector
from stylehead.world.heads.identity import identity_from_z, numbers_from_z, z_from_seed
from stylehead.world.heads.traits import HAIR_COLOURS
from stylehead.world.recipes.photographed import LabelledHeads, clutter, dyed, framed, photographed
from stylehead.world.recipes.train_attributes import AttributesRecipe, draw_portrait

R = 64
COLOURS = torch.from_numpy(HAIR_COLOURS).float()


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def heads(count=6, seed=0):
    """Made-up heads: hair above skin above clothes."""
    images, parts = torch.ones(count, 3, R, R), torch.zeros(count, 3, R, R)
    for part, (top, bottom) in enumerate(((24, 44), (8, 24), (44, 64))):
        shade = 0.2 + 0.6 * torch.rand(count, 3, 1, 1, generator=rng(seed + part))
        images[:, :, top:bottom, 16:48] = shade
        parts[:, part, top:bottom, 16:48] = 1
    hair = images[:, :, 12, 30] ** 2.2
    return LabelledHeads(images, parts.sum(dim=1, keepdim=True), parts, hair)


class Crowd:
    """Stands for a stream of people."""

    numbers = torch.from_numpy(numbers_from_z(np.random.RandomState(9).randn(200, 64))).float()

    def take(self, count, rng):
        rows = []
        for seed in torch.randint(100, (count,), generator=rng).tolist():
            drawn = heads(2, seed)
            rows.append(
                {
                    "images": (drawn.images.permute(0, 2, 3, 1) * 255).byte().numpy(),
                    "mask": (drawn.masks[:, 0] * 255).byte().numpy(),
                    "parts": (drawn.parts.permute(0, 2, 3, 1) * 255).byte().numpy(),
                    "params": identity_vector(identity_from_z(z_from_seed(seed))),
                }
            )
        return rows


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_photographs_are_pictures_and_parts_are_shares(seed):
    made = photographed(heads(), COLOURS, rng(seed))
    assert made.images.shape == (6, 3, R, R)
    assert 0 <= made.images.min() <= made.images.max() <= 1
    assert -1e-5 <= made.parts.min() <= made.parts.sum(dim=1).max() <= 1 + 1e-5
    assert 0 <= made.hair.min() <= made.hair.max() <= 0.85
    again = photographed(heads(), COLOURS, rng(seed))
    assert torch.equal(made.images, again.images)


def test_dyed_hair_is_told_and_nothing_else_is_dyed():
    before, after = heads(64), dyed(heads(64), COLOURS, rng(1))
    changed = (before.hair != after.hair).any(dim=1)
    assert 5 < changed.sum() < 40
    assert torch.equal(before.images[:, :, 30], after.images[:, :, 30])
    assert torch.equal(before.images[~changed], after.images[~changed])
    seen = after.images[:, :, 12, 30] ** 2.2
    inside = (seen < 0.99).all(dim=1) & (after.hair < 0.85).all(dim=1)
    torch.testing.assert_close(seen[inside], after.hair[inside], atol=0.01, rtol=0.01)


def test_framing_moves_pictures_and_parts_together():
    parts = heads(16).parts
    moved = framed(LabelledHeads(parts, parts.sum(dim=1, keepdim=True), parts, torch.zeros(16, 3)), rng(2))
    assert torch.equal(moved.images, moved.parts)
    assert not torch.equal(moved.parts, parts)


def test_clutter_is_never_twice_the_same():
    made = clutter(8, R, rng(3))
    assert 0 <= made.min() <= made.max() <= 1
    assert len({round(float(picture.mean()), 4) for picture in made}) == 8


def test_steps_learn_and_say_what_they_learned(tmp_path):
    recipe = AttributesRecipe(Crowd(), batch=4)
    loss, figures = recipe.loss(0.0, rng())
    loss.backward()
    assert all(parameter.grad is not None for parameter in recipe.model.parameters())
    named = {field.name for field in VECTOR_FIELDS}
    assert figures.keys() - {"parts"} <= named
    assert {"hair", "beard", "glasses", "hair_colour", "melanin", "parts"} <= figures.keys()
    assert not AttributesRecipe(Crowd()).warm_start(tmp_path)
    recipe.export(recipe.model, tmp_path, {})
    other = AttributesRecipe(Crowd())
    assert other.warm_start(tmp_path)
    for one, two in zip(recipe.model.parameters(), other.model.parameters(), strict=True):
        assert (one - two).abs().max() <= one.abs().max() / 50  # matrices have 63 steps


def test_a_portrait_is_drawn_with_its_parts():
    pytest.importorskip("moderngl", reason="needs the extra `mini`")
    if importlib.util.find_spec("anny") is None:
        pytest.skip("needs the extra `mini`")
    from stylehead.world.heads import HeadRenderer

    with HeadRenderer(32, 1) as renderer:
        one, other = (draw_portrait(renderer, 7, 2) for _ in range(2))
    assert one["images"].shape == one["parts"].shape == (2, 32, 32, 3)
    assert all(np.array_equal(one[name], other[name]) for name in one)
    assert one["params"].shape == (128,)
