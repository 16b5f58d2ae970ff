import itertools
import json

import pytest
import torch
from torch import nn

from stylehead.errors import JobError
from stylehead.runs import RunDirectory
from stylehead.world.recipes.loop import Budget, learning_rate_factor, train


class LineRecipe:
    """Fits a line to noisy points: enough of a training to see what the loop does."""

    name = "line"
    learning_rate = 0.05

    def __init__(self):
        torch.manual_seed(0)
        self.model = nn.Linear(1, 1)
        self.progresses = []

    def parameters(self):
        return [{"params": list(self.model.parameters())}]

    def loss(self, progress, rng):
        self.progresses.append(progress)
        x = torch.rand(16, 1, generator=rng)
        loss = (self.model(x) - (3 * x - 1)).square().mean()
        return loss, {"slope": self.model.weight.item()}

    def warm_start(self, folder):
        path = folder / "line.json"
        if not path.is_file():
            return False
        with torch.no_grad():
            self.model.weight.fill_(json.loads(path.read_text())["slope"])
        return True

    def export(self, averaged, folder, metadata):
        (folder / "line.json").write_text(json.dumps({"slope": float(averaged.weight), **metadata}))


def run(tmp_path, steps, name="work"):
    recipe = LineRecipe()
    lines = []
    train(
        recipe,
        Budget(minutes=1e6, max_steps=steps, ema_decay=0.9),
        tmp_path / name,
        tmp_path / "export",
        report=lines.append,
    )
    return recipe, lines


def test_it_learns_and_exports_the_average(tmp_path):
    run(tmp_path, 400)
    exported = json.loads((tmp_path / "export" / "line.json").read_text())
    assert exported["slope"] == pytest.approx(3, abs=0.1)
    assert exported["steps"] == "400"
    assert json.loads((tmp_path / "work" / "run.json").read_text())["outcome"] == "finished"


def test_starting_again_goes_on(tmp_path):
    run(tmp_path, 5)
    recipe, lines = run(tmp_path, 5)
    assert lines[0] == "line: going on from step 5"
    weights = recipe.model.weight.detach().clone()

    straight, _ = run(tmp_path, 5, name="other")
    assert not torch.equal(weights, straight.model.weight.detach())


def test_progress_stays_in_its_range(tmp_path):
    recipe, _ = run(tmp_path, 20)
    assert all(0 <= progress < 1 for progress in recipe.progresses)


def test_the_time_budget_ends_it(tmp_path):
    recipe = LineRecipe()
    train(recipe, Budget(minutes=0.01), tmp_path / "work", tmp_path / "export", report=lambda line: None)
    assert 0 < len(recipe.progresses) < 100_000


def test_learning_rate_warms_up_then_falls():
    factors = [learning_rate_factor(step / 1000, step, floor=0.04) for step in range(1001)]
    assert factors[0] < 0.02
    assert max(factors) == max(factors[90:130])
    assert factors[-1] == pytest.approx(0.04, abs=1e-3)
    assert all(a >= b for a, b in itertools.pairwise(factors[130:]))


def test_a_new_run_starts_from_what_was_exported(tmp_path):
    run(tmp_path, 400)
    _, lines = run(tmp_path, 1, name="other")
    assert lines[0].endswith(f"starting from {tmp_path / 'export'}")
    exported = json.loads((tmp_path / "export" / "line.json").read_text())
    assert exported["slope"] == pytest.approx(3, abs=0.2)
    assert exported["steps"] == "1"


def checkpoints(tmp_path):
    return sorted((tmp_path / "work" / "checkpoints").glob("step_*"))


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_taken(tmp_path):
    run(tmp_path, 5)
    run(tmp_path, 5)
    _, second = checkpoints(tmp_path)
    weights = second / "weights.safetensors"
    weights.write_bytes(b"\xff" * weights.stat().st_size)  # of the right size, and of no use
    _, lines = run(tmp_path, 1)
    assert str(second) in lines[0]
    assert "damaged" in lines[0]
    assert lines[1] == "line: going on from step 5"


def test_no_checkpoint_that_can_be_read_is_an_error(tmp_path):
    run(tmp_path, 5)
    for folder in checkpoints(tmp_path):
        weights = folder / "weights.safetensors"
        weights.write_bytes(b"\xff" * weights.stat().st_size)
    with pytest.raises(JobError, match="No checkpoint"):
        run(tmp_path, 1)


def test_a_full_disk_is_a_sentence_and_the_last_good_checkpoint_stays(tmp_path, monkeypatch):
    run(tmp_path, 5)

    def full(self, *args, **options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(RunDirectory, "save_checkpoint", full)
        _, lines = run(tmp_path, 3)
    assert any("could not be written" in line and "No space left" in line for line in lines)
    _, lines = run(tmp_path, 1)
    assert lines[0] == "line: going on from step 5"


def test_an_export_that_cannot_be_written_says_how_to_go_on(tmp_path, monkeypatch):
    def full(self, *args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(LineRecipe, "export", full)
    with pytest.raises(JobError, match="could not be written") as failure:
        run(tmp_path, 3)
    assert "goes on" in failure.value.hint
    assert len(checkpoints(tmp_path)) == 1


def test_the_last_figures_are_returned(tmp_path):
    figures = train(
        LineRecipe(),
        Budget(minutes=1e6, max_steps=3),
        tmp_path / "w",
        tmp_path / "e",
        report=lambda _line: None,
    )
    assert set(figures) == {"loss", "slope"}
