"""What a run directory promises: nothing half there, nothing lost, and the same run after it was stopped."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stylehead.checkpoints import pack_state, unpack_state
from stylehead.errors import JobError, UsageError
from stylehead.runs import RunDirectory, new_run_path, slugify

Scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
)
Keys = st.integers(-5, 5) | st.text(max_size=5)
States = st.recursive(
    Scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(Keys, inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
    ),
    max_leaves=12,
)


def make_run(path: Path, **manifest: Any) -> RunDirectory:
    return RunDirectory.create(path, {"command": "stylehead stylize", **manifest})


def save(run: RunDirectory, step: int, keep: int = 3) -> None:
    run.save_checkpoint(step, {"w": torch.full((2,), float(step))}, {"step": step}, keep=keep)


@given(States)
@settings(max_examples=60, deadline=None)
def test_packed_state_comes_back_with_its_types(value: Any) -> None:
    packed, tensors = pack_state(value)
    again = unpack_state(json.loads(json.dumps(packed)), tensors)
    assert repr(again) == repr(value)


def test_optimiser_and_generator_state_come_back_bit_for_bit() -> None:
    weight = torch.nn.Parameter(torch.randn(3, 2, generator=torch.Generator().manual_seed(0)))
    optimiser = torch.optim.Adam([weight], lr=1e-3)
    weight.square().sum().backward()
    optimiser.step()
    rng = torch.Generator().manual_seed(7)
    state = {"optimizer": optimiser.state_dict(), "rng": rng.get_state()}
    packed, tensors = pack_state(state)
    again = unpack_state(json.loads(json.dumps(packed)), tensors)
    assert list(again["optimizer"]["state"]) == [0]
    for name, value in optimiser.state_dict()["state"][0].items():
        assert torch.equal(again["optimizer"]["state"][0][name], value)
    assert torch.equal(again["rng"], rng.get_state())
    torch.optim.Adam([weight], lr=1.0).load_state_dict(again["optimizer"])


def test_nothing_but_plain_state_is_stored() -> None:
    with pytest.raises(TypeError, match="cannot store set"):
        pack_state({"seen": {1, 2}})


def test_checkpoints_come_back_and_only_the_last_ones_stay(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    for step in (10, 20, 30, 40):
        save(run, step, keep=2)
    assert [item.step for item in run.checkpoints()] == [30, 40]
    weights, state = run.checkpoints()[-1].load()
    assert torch.equal(weights["w"], torch.full((2,), 40.0))
    assert state == {"step": 40}
    assert sorted(path.name for path in (run.path / "checkpoints").iterdir()) == [
        "step_000030",
        "step_000040",
    ]


@pytest.mark.parametrize(
    "damage", ["no state", "cut json", "cut tensors", "no weights", "part folder", "empty json"]
)
def test_half_written_checkpoints_are_not_resumed_from(tmp_path: Path, damage: str) -> None:
    run = make_run(tmp_path / "run")
    save(run, 10)
    save(run, 20)
    newest = run.path / "checkpoints" / "step_000020"
    if damage == "no state":
        (newest / "state.json").unlink()
    elif damage == "cut json":
        (newest / "state.json").write_text((newest / "state.json").read_text()[:-9])
    elif damage == "empty json":
        (newest / "state.json").write_text("[]")
    elif damage == "cut tensors":
        (newest / "state.safetensors").write_bytes(b"")
    elif damage == "no weights":
        (newest / "weights.safetensors").unlink()
    else:
        newest.rename(newest.with_name(".step_000020.abcd.part"))
    assert [item.step for item in run.checkpoints()] == [10]


def test_a_checkpoint_of_the_same_step_takes_the_place_of_a_damaged_one(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    save(run, 10)
    (run.path / "checkpoints" / "step_000010" / "state.json").unlink()
    save(run, 10)
    assert [item.step for item in run.checkpoints()] == [10]


def test_a_failed_checkpoint_leaves_the_earlier_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path / "run")
    save(run, 10)

    def no_space(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space left"):
        save(run, 20)
    assert [path.name for path in (run.path / "checkpoints").iterdir()] == ["step_000010"]


def test_events_survive_a_torn_line_and_can_be_rewound(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    assert run.events() == []
    for step in (1, 2, 3):
        run.log({"step": step, "loss": 0.5})
    with (run.path / "events.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')
    assert [event["step"] for event in run.events()] == [1, 2, 3]
    run.rewind_events(2)
    run.log({"step": 3, "loss": 0.25})
    assert [(event["step"], event["loss"]) for event in run.events()] == [(1, 0.5), (2, 0.5), (3, 0.25)]


def test_the_manifest_is_updated_field_by_field(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", seed=3)
    run.update({"outcome": "finished"})
    assert RunDirectory.open(run.path).manifest() == {
        "format": 1,
        "outcome": "finished",
        "command": "stylehead stylize",
        "seed": 3,
    }


def test_a_second_process_is_kept_out_until_the_first_is_gone(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    code = (
        "import pathlib, sys\n"
        "from stylehead.runs import RunDirectory\n"
        "with RunDirectory(pathlib.Path(sys.argv[1])).lock():\n"
        "    print('locked', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    other = subprocess.Popen(  # the lock has to be seen from another process
        [sys.executable, "-c", code, str(run.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(JobError, match="Another process"), run.lock():
            pass
        other.kill()
    with run.lock():
        pass


def test_what_a_run_goes_on_from_is_there_when_its_manifest_is(tmp_path: Path) -> None:
    def begin(folder: Path) -> None:
        assert not (tmp_path / "run" / "run.json").exists()
        (folder / "aligned.png").write_bytes(b"crop")

    RunDirectory.create(tmp_path / "run", {}, begin=begin)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["aligned.png", "run.json"]

    def fails(folder: Path) -> None:
        (folder / "aligned.png").write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        RunDirectory.create(tmp_path / "other", {}, begin=fails)
    assert not (tmp_path / "other").exists()


def test_the_lock_clears_what_a_killed_writer_left(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    save(run, 10)
    (run.path / ".run.abcd.part.json").write_text("{")
    (run.path / "checkpoints" / ".step_000020.abcd.part").mkdir()
    with run.lock():
        assert sorted(path.name for path in run.path.iterdir()) == [".lock", "checkpoints", "run.json"]
        assert [path.name for path in (run.path / "checkpoints").iterdir()] == ["step_000010"]


def test_a_finished_run_is_only_overwritten_on_request(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", outcome="finished")
    save(run, 10)
    (run.path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="already holds a finished run") as caught:
        make_run(run.path)
    assert "--overwrite" in str(caught.value.hint)
    again = RunDirectory.create(run.path, {"command": "new"}, overwrite=True)
    assert again.manifest()["outcome"] == "running"
    assert again.checkpoints() == []
    assert (run.path / "notes.txt").read_text() == "mine"


def test_an_unfinished_run_says_how_to_go_on(tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    with pytest.raises(UsageError, match="unfinished run") as caught:
        make_run(tmp_path / "run")
    assert caught.value.hint == f"stylehead stylize --resume {tmp_path / 'run'}"


def test_foreign_folders_and_files_are_never_taken(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"x")
    with pytest.raises(UsageError, match="is a file"):
        make_run(tmp_path / "photo.jpg")
    with pytest.raises(UsageError, match="not empty and is not a run"):
        RunDirectory.create(tmp_path, {}, overwrite=True)
    assert (tmp_path / "photo.jpg").read_bytes() == b"x"


def test_only_runs_can_be_opened(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a run"):
        RunDirectory.open(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(JobError, match="damaged"):
        RunDirectory.open(tmp_path)
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(JobError, match="no JSON object"):
        RunDirectory.open(tmp_path)
    (tmp_path / "run.json").write_text('{"format": 2}')
    with pytest.raises(JobError, match="format 2"):
        RunDirectory.open(tmp_path)


def test_names_become_free_safe_paths(tmp_path: Path) -> None:
    assert slugify("Portrait of a Werewolf!") == "portrait-of-a-werewolf"
    assert slugify("../../etc") == "etc"
    assert slugify("人") == "run"
    assert len(slugify("x" * 300)) == 40
    first = new_run_path(tmp_path, "Pixar character")
    first.mkdir()
    assert first.name.startswith("pixar-character-")
    assert new_run_path(tmp_path, "Pixar character") != first


def test_no_tensor_library_is_needed_to_look_at_runs() -> None:
    code = "import sys, stylehead.runs; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_copied_run_is_a_run(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    save(run, 10)
    shutil.copytree(run.path, tmp_path / "copy")
    assert [item.step for item in RunDirectory.open(tmp_path / "copy").checkpoints()] == [10]


def test_a_damaged_newest_checkpoint_is_named_and_the_older_one_is_taken(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    save(run, 10)
    save(run, 20)
    file = run.path / "checkpoints" / "step_000020" / "weights.safetensors"
    file.write_bytes(b"\xff" * file.stat().st_size)
    said: list[str] = []
    found = run.saved.newest(said.append)
    assert found is not None
    assert (found[0].step, float(found[1]["w"][0]), found[2]) == (10, 10.0, {"step": 10})
    assert said == [f"{file} is damaged: it is not as it was written."]


def test_a_run_of_damaged_checkpoints_is_not_started_again_silently(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    assert run.saved.newest(pytest.fail) is None
    save(run, 10)
    (run.path / "checkpoints" / "step_000010" / "state.json").write_text("{")
    with pytest.raises(JobError, match="no checkpoint that can be read"):
        run.saved.newest(lambda _: None)


def test_an_unfinished_run_keeps_its_newest_checkpoint_and_a_finished_one_none(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    for step in (10, 20):
        save(run, step, keep=0)
    assert [item.step for item in run.checkpoints()] == [20]
    run.saved.prune(0)
    assert not (run.path / "checkpoints").exists()


def test_numbers_that_json_does_not_know_come_back(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    run.save_checkpoint(1, {}, {"best": float("inf"), "worst": [float("nan")]}, keep=1)
    state = run.checkpoints()[0].load()[1]
    assert state["best"] == float("inf")
    assert state["worst"][0] != state["worst"][0]
    text = (run.path / "checkpoints" / "step_000001" / "state.json").read_text()
    json.loads(text, parse_constant=pytest.fail)


@pytest.mark.parametrize("line", ["5", "null", '{"step": "x"}', "[" * 100_000, "\x00", '{"step": 4}x'])
def test_damaged_events_are_left_out(tmp_path: Path, line: str) -> None:
    run = make_run(tmp_path / "run")
    run.log({"step": 1, "loss": float("nan")})
    with (run.path / "events.jsonl").open("a") as file:
        file.write(line + "\n")
    run.log({"step": 2})
    assert [event["step"] for event in run.events()] == [1, 2]
    assert run.events()[0]["loss"] is None
    run.rewind_events(1)
    assert len(run.events()) == 1


def test_a_manifest_of_wrong_kinds_is_one_sentence(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    for field, value in {"config": [1], "steps": "x", "files": {"style": 1}, "outcome": 5}.items():
        run.update({field: value})
        with pytest.raises(JobError, match=rf"run\.json is damaged: `{field}` is"):
            run.manifest()
        (run.path / "run.json").write_text('{"format": 1, "outcome": "running"}')


def test_own_pictures_and_tables_in_a_run_stay(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    (run.path / "previews").mkdir()
    mine = ["photo.jpg", "table.json", "previews/best.jpg", "film.mp4"]
    theirs = ["previews/step_000050.jpg", "style.safetensors", "contact_sheet.jpg", "events.jsonl"]
    for name in (*mine, *theirs):
        (run.path / name).write_text("x")
    RunDirectory.create(run.path, {}, overwrite=True)
    assert [name for name in mine if not (run.path / name).exists()] == []
    assert [name for name in theirs if (run.path / name).exists()] == []
