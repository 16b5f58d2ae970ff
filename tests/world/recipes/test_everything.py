"""One command that trains every embedded model."""

import json
import types
from dataclasses import replace

import pytest
import torch

from stylehead.errors import JobError, MissingError
from stylehead.world.recipes import assembly, everything
from stylehead.world.recipes.assembly import RECIPES, Place
from stylehead.world.recipes.drawing import render_sets
from stylehead.world.recipes.everything import SHARES, stage_minutes, summary, too_large, train_everything
from stylehead.world.recipes.loop import Budget
from stylehead.world.recipes.training_pictures import PictureSource


@pytest.fixture
def at(tmp_path):
    return Place(tmp_path / "data", tmp_path / "work", tmp_path / "export")


@pytest.fixture
def stages(monkeypatch):
    """What was trained, in order, instead of training it."""
    run = []

    def trained(name, budget, at, *, report):
        assert at.everything
        run.append((name, budget))
        return {"loss": 0.5}

    monkeypatch.setattr(assembly, "run", trained)
    monkeypatch.setattr(everything, "_draw", lambda *args, **options: [])
    monkeypatch.setattr(everything, "_fit_guess", lambda at: "fitted")
    monkeypatch.setattr(everything, "_measure_likeness", lambda at: "measured")
    return run


def go(at, lines=None):
    lines = [] if lines is None else lines
    return train_everything(at, 100.0, people=4, seed=0, report=lines.append)


def test_the_table_has_every_recipe_and_leaves_time_to_draw():
    assert set(SHARES) == set(RECIPES)
    assert 0 < everything.DRAWING < 0.2


def test_what_builds_on_a_network_comes_after_it():
    order = list(SHARES)
    for first, second in (
        ("vae", "instruction"), ("text", "instruction"), ("vae", "denoiser"), ("generator", "mapping"),
        ("mapping", "finish"), ("denoiser", "face_adapter"), ("identity", "face_adapter"), ("vae", "style"),
    ):  # fmt: skip
        assert order.index(first) < order.index(second)


def test_the_minutes_are_used_up_and_no_more():
    left, done = 60.0, {}
    for name in SHARES:
        part = stage_minutes(name, left, done)
        assert 0 < part <= left
        left, done[name] = left - part, {}
    assert left == pytest.approx(0, abs=1e-9)
    assert stage_minutes("vae", -3.0, {}) == 0


def test_every_stage_runs_once_with_checkpoints_every_minute(at, stages):
    lines = []
    done = go(at, lines)
    assert [name for name, _ in stages] == list(SHARES) == list(done)
    assert all(budget.checkpoint_minutes == 1 for _, budget in stages)
    assert sum(budget.minutes for _, budget in stages) <= 100 * len(SHARES)
    assert lines[-len(SHARES) :] == [f"{name}: loss 0.5" for name in SHARES]


def test_what_is_finished_is_not_trained_again(at, stages):
    go(at)
    (at.work / "all.json").write_text(json.dumps({name: {"figures": {}} for name in list(SHARES)[:-2]}))
    stages.clear()
    go(at)
    assert [name for name, _ in stages] == list(SHARES)[-2:]
    (at.work / "all.json").write_text("{")
    with pytest.raises(JobError, match="damaged"):
        go(at)


def test_a_stage_that_fails_is_named_and_the_others_run(at, stages, monkeypatch):
    trained = assembly.run

    def failing(name, budget, at, *, report):
        if name == "vae":
            raise MissingError("There are no pictures.", "draw some")
        return trained(name, budget, at, report=report)

    monkeypatch.setattr(assembly, "run", failing)
    lines = []
    with pytest.raises(JobError, match="vae could not be trained"):
        go(at, lines)
    assert "vae: not trained, There are no pictures." in lines
    assert [name for name, _ in stages] == list(SHARES)[1:]


def test_the_encoder_learns_where_the_editor_is_trained_after_it(at, monkeypatch, photo, styled):
    monkeypatch.setattr(assembly, "_pictures", lambda at, **options: PictureSource(photo, styled))
    (at.editor / "unet").mkdir(parents=True)
    assert assembly._vae(at).fixed_encoder
    assert not assembly._vae(replace(at, everything=True)).fixed_encoder


def test_files_that_are_too_large_are_named(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "large.safetensors").write_bytes(b"0" * 15_000_001)
    (tmp_path / "small.safetensors").write_bytes(b"0" * 15_000_000)
    large = too_large(tmp_path)
    assert list(large.values()) == [15_000_001]
    assert "more than 15" in summary({}, {}, large)[-1]


def test_judges_learn_from_people_of_their_own():
    sets = {render_set.name: render_set for render_set in render_sets(2000)}
    trained = range(sets["photo"].first_seed, sets["photo"].first_seed + 10**8)
    judged = range(sets["judged"].first_seed, sets["judged"].first_seed + sets["judged"].people)
    assert judged.start not in trained
    assert judged.stop < 2**32 - 777_000_000
    for name in ("styled", "judgedstyled"):
        photo = sets[name.removesuffix("styled") or "photo"]
        assert photo.first_seed == sets[name].first_seed
        assert photo.people >= sets[name].people


@pytest.mark.slow
def test_the_rehearsal_runs_every_stage(tmp_path, capsys):
    from stylehead.world.__main__ import main

    assert main(["all", "--rehearse", "--device", "cpu", "--export", str(registry_weights())]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines[-len(SHARES) :]] == list(SHARES)
    assert torch.get_num_threads() >= 1


def registry_weights():
    from stylehead.weights.presets import MINI_WEIGHTS

    return MINI_WEIGHTS


def test_processes_that_draw_people_end_with_the_training(tmp_path, monkeypatch):
    class Stream:
        closed = 0

        def close(self):
            self.closed += 1

    recipe = types.SimpleNamespace(people=Stream())
    monkeypatch.setitem(assembly._BUILD, "generator", lambda at: recipe)
    monkeypatch.setattr(assembly, "train", lambda *given, **options: {"loss": 1.0})
    place = Place(tmp_path, tmp_path / "work", tmp_path)
    assert assembly.run("generator", Budget(1.0), place) == {"loss": 1.0}
    assert recipe.people.closed == 1
