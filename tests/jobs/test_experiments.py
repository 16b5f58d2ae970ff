"""What runs are called in a table."""

import errno
import os
from pathlib import Path

from stylehead.bank.manifest import TRUE_EDITOR
from stylehead.jobs.experiments import FoundRun, find_runs, label_runs, row_of_run
from stylehead.methods.config import StylizeConfig


def found(name, prompt="Joker", licence="Apache-2.0", method="edit"):
    config = StylizeConfig.from_dict({"prompt": prompt, "method": method})
    return FoundRun(Path("runs") / name, config, {"licence": licence})


def test_runs_of_one_prompt_and_method_are_told_apart_by_their_folders():
    runs = [found("a"), found("b", "joker"), found("c", "Pixar character")]
    assert list(label_runs(runs).values()) == [
        "edit, then regress, a",
        "edit, then regress, b",
        "edit, then regress",
    ]


def test_a_run_that_learned_from_true_pictures_is_called_the_oracle():
    run, oracle = found("run"), found("oracle", licence=f"Apache-2.0; edited by {TRUE_EDITOR}")
    assert row_of_run(oracle) == "oracle"
    assert list(label_runs([run, oracle]).values()) == [
        "edit, then regress",
        "oracle: true pictures of others",
    ]


def test_a_run_that_may_not_be_read_does_not_cost_the_others(tmp_path, monkeypatch):
    for name in ("locked", "open"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text('{"format": 1, "outcome": "interrupted"}')
    look = Path.is_file

    def refused(path):
        if path.parent.name == "locked":  # root may read anything, so the refusal is simulated
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return look(path)

    monkeypatch.setattr(Path, "is_file", refused)
    skipped = {path.name: why for path, why in find_runs([tmp_path], "0" * 64).skipped}
    assert skipped.keys() == {"locked", "open"}
    assert skipped["locked"] == "it cannot be read (Permission denied)"
