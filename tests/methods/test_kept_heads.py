"""Heads that come again and again: their untouched renders are made once and stay what they were."""

import json

import pytest
import torch

from stylehead.checkpoints import pack_state, unpack_state
from stylehead.errors import UsageError
from stylehead.methods import Stylizer
from stylehead.methods.config import profile
from stylehead.methods.kept import KeptHeads

SETTINGS = {**profile("paper"), "perceptual_weight": 0.0, "latent_weight": 0.1, "iterations": 6}


def calls(stylizer: Stylizer) -> list[int]:
    """Count how often the reference makes tri-grids."""
    seen: list[int] = []
    real = stylizer.reference.planes

    def counted(*args, **options):
        seen.append(1)
        return real(*args, **options)

    vars(stylizer.reference)["planes"] = counted
    return seen


@pytest.fixture(autouse=True)
def _forget(pristine):
    yield
    vars(pristine).pop("planes", None)


def test_the_reference_draws_each_head_once(make_stylizer):
    stylizer = make_stylizer(**SETTINGS, reference_heads=2)
    seen = calls(stylizer)
    draws = []
    real = stylizer._draw
    stylizer._draw = lambda: draws.append(real()) or draws[-1]
    records = [stylizer.step() for _ in range(6)]
    assert len(seen) == 2
    heads = {tuple(draw.z.flatten().tolist()) for draw in draws}
    cameras = {tuple(draw.labels["grid"].flatten().tolist()) for draw in draws}
    noises = {tuple(draw.eps["single"].flatten().tolist()) for draw in draws}
    assert (len(heads), len(cameras), len(noises)) == (2, 2, 6)
    assert not any(record.non_finite for record in records)


def test_numbers_are_those_of_renders_made_anew(make_stylizer, monkeypatch):
    kept = make_stylizer(**SETTINGS, reference_heads=2)
    wanted = [kept.step().to_dict() for _ in range(4)]
    monkeypatch.setattr(KeptHeads, "once", lambda self, name, make: make())
    anew = make_stylizer(**SETTINGS, reference_heads=2)
    for then, now in zip(wanted, (anew.step().to_dict() for _ in range(4)), strict=True):
        assert {**now, "seconds": 0, "elapsed_s": 0} == {**then, "seconds": 0, "elapsed_s": 0}


def test_a_resumed_run_equals_a_straight_one_bit_for_bit(make_stylizer):
    settings = {**SETTINGS, "reference_heads": 2, "noise_mode": "random", "iterations": 4}
    straight = make_stylizer(**settings)
    first = make_stylizer(**settings)
    for _ in range(2):
        straight.step()
        first.step()
    packed, tensors = pack_state(first.state_dict())
    second = make_stylizer(**settings)
    second.load_state_dict(unpack_state(json.loads(json.dumps(packed)), tensors))
    for _ in range(2):
        straight.step()
        second.step()
    assert all(torch.equal(straight.trained[name], second.trained[name]) for name in straight.trained)


def test_runs_of_other_seeds_keep_other_heads():
    drawn = [KeptHeads(seed, index, torch.device("cpu")).choices for seed, index in ((0, 0), (0, 1), (1, 0))]
    assert len({float(torch.rand((), generator=rng)) for rng in drawn}) == 3


def test_a_method_that_chooses_its_heads_itself_refuses(make_stylizer):
    with pytest.raises(UsageError, match=r"--reference-heads.*edit"):
        make_stylizer(method="edit", bank="nowhere", perceptual_weight=0.0, reference_heads=2)


def test_an_optimisers_state_of_another_device_is_taken_as_this_one_computes(make_stylizer):
    stylizer = make_stylizer(iterations=2)
    stylizer.step()
    state = stylizer.state_dict()
    for group in state["optimizer"]["param_groups"]:
        group["fused"] = True
    again = make_stylizer(iterations=2)
    again.load_state_dict(state)
    assert [group["fused"] for group in again.optimizer.param_groups] == [False]
