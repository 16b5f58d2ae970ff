"""`render --seeds --workers`: heads for a data set, the same bytes whoever draws them."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from cli_helpers import Outcome, Run
from inline_engine import Inline
from PIL import Image

from stylehead.export.recipe import read_recipe
from stylehead.jobs import head_dataset


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head_dataset, "HEADS_A_PART", 2)
    monkeypatch.setattr(head_dataset, "open_engine", lambda **_: Inline())


def drawn(run: Run, out: str, *words: str) -> Outcome:
    return run("render", "--seeds", "0-4", "--yaw-steps", "3", "--workers", "2", "--out", out, *words)


def content(folder: str) -> dict[str, bytes]:
    files = [path for path in Path(folder).rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_folders_have_frames_latents_and_a_manifest(run: Run) -> None:
    outcome = drawn(run, "heads")
    assert outcome.code == 0, outcome
    lines = [json.loads(line) for line in Path("heads/manifest.jsonl").read_text().splitlines()]
    assert [line["seed"] for line in lines] == [0, 1, 2, 3, 4]
    facts = json.loads(Path("heads/dataset.json").read_text())
    assert facts["complete"]
    assert facts["seeds"] == "0-4"
    assert [round(camera["yaw_deg"]) for camera in facts["cameras"]] == [0, 120, 240]
    assert all(len(camera["camera"]) == 25 for camera in facts["cameras"])
    for line in lines:
        assert len(line["files"]) == 3
        assert read_recipe(Path("heads", line["files"][1]))["heads"] == [f"seed-{line['seed']}"]
    assert run("render", "--seeds", "3", "--yaw-steps", "3", "--format", "frames", "--out", "one").code == 0
    alone = Image.open("one/frames/frame_001.png")
    assert np.array_equal(np.asarray(alone), np.asarray(Image.open("heads/seed-3/frame_001.png")))
    same = run(
        "render",
        "--latent",
        "heads/seed-3/latent.npz",
        "--yaw-steps",
        "3",
        "--format",
        "frames",
        "--out",
        "l",
    )
    assert same.code == 0, same
    assert np.array_equal(np.asarray(alone), np.asarray(Image.open("l/frames/frame_001.png")))


def test_shards_are_webdataset_samples(run: Run) -> None:
    assert drawn(run, "heads", "--format", "tar").code == 0
    lines = [json.loads(line) for line in Path("heads/manifest.jsonl").read_text().splitlines()]
    assert [line["shard"] for line in lines] == ["heads-000000.tar"] * 2 + ["heads-000001.tar"] * 2 + [
        "heads-000002.tar"
    ]
    with tarfile.open("heads/heads-000001.tar") as shard:
        names = shard.getnames()
        assert names[:3] == ["0000000002_000.png", "0000000002_000.json", "0000000002_000.w.npy"]
        assert len(names) == 2 * 3 * 3
        about = json.load(shard.extractfile("0000000003_001.json"))
        assert (about["seed"], round(about["yaw_deg"]), len(about["camera"])) == (3, 120, 25)
        latent = np.load(io.BytesIO(shard.extractfile("0000000003_001.w.npy").read()), allow_pickle=False)
        assert latent.ndim == 3


@pytest.mark.parametrize("kind", ["frames", "tar"])
def test_a_job_that_was_killed_goes_on_and_equals_one_that_was_not(
    run: Run, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert drawn(run, "whole", "--format", kind).code == 0
    calls: list[int] = []
    honest = head_dataset._lines_of

    def dying(folder: Path, number: int) -> Path:
        if number == 1 and not calls and (folder / "parts/000000.jsonl").exists():
            calls.append(number)
            raise RuntimeError("killed")
        return honest(folder, number)

    monkeypatch.setattr(head_dataset, "_lines_of", dying)
    assert drawn(run, "heads", "--format", kind).code == 1
    assert not Path("heads/manifest.jsonl").exists()
    assert not json.loads(Path("heads/dataset.json").read_text())["complete"]
    monkeypatch.setattr(head_dataset, "_lines_of", honest)
    before = Path("heads/parts/000000.jsonl").stat().st_mtime_ns
    assert drawn(run, "heads", "--format", kind).code == 0
    assert Path("heads/parts/000000.jsonl").stat().st_mtime_ns == before
    assert content("heads") == content("whole")


def test_order_changes_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert drawn(run, "one", "--format", "tar").code == 0
    monkeypatch.setattr(head_dataset, "open_engine", lambda **_: Inline(last_first=True))
    assert drawn(run, "other", "--format", "tar").code == 0
    assert content("one") == content("other")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--psi", "0.5"), "heads holds other heads"),
        (("--mesh", "x.glb"), "`--mesh` does not go with `--workers`."),
        (("--format", "mp4"), "must be frames or tar"),
    ],
)
def test_what_does_not_go_together_is_refused(run: Run, words: tuple[str, ...], said: str) -> None:
    Path("heads").mkdir()
    Path("heads/dataset.json").write_text('{"format": 1}')
    outcome = drawn(run, "heads", *words)
    assert outcome.code == 2
    assert said in outcome.err
    assert [path.name for path in Path("heads").iterdir()] == ["dataset.json"]


def test_it_needs_seeds(run: Run) -> None:
    assert "add --seeds 0-999" in run("render", "--workers", "2").err
