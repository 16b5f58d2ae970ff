"""Hostile and broken files: no code runs, little work, little memory, one clear sentence."""

import contextlib
import cProfile
import os
import pickletools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile_corpus import MARK, SNAPSHOT, Hostile, corpus
from hypothesis import given, settings
from hypothesis import strategies as st

from stylehead.errors import JobError
from stylehead.weights import import_snapshot

CORPUS = corpus()
MOST_CALLS = 3_000_000
"""Calls of functions that reading a file may cost: a few for each of the instructions that it may have."""


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that code in the corpus would make."""
    path = tmp_path / "code-has-run"
    monkeypatch.setenv(MARK, str(path))
    return path


@pytest.mark.parametrize("hostile", CORPUS.values(), ids=CORPUS)
def test_every_file_is_refused_with_one_sentence(hostile: Hostile, tmp_path: Path, mark: Path) -> None:
    source, target = tmp_path / "a.pkl", tmp_path / "a.safetensors"
    source.write_bytes(hostile.content)
    before, calls = set(sys.modules), []
    with pytest.raises(JobError, match=hostile.says) as caught, counted(calls):
        import_snapshot(source, target)
    assert 0 < calls[0] < MOST_CALLS
    sentence = str(caught.value).removeprefix(str(source))
    assert re.fullmatch(r" [^\n\x1b]{5,300}\.", sentence)
    assert not mark.exists()
    assert not target.exists()
    assert not {"antigravity", "dnnlib", "torch_utils", "training"} & (set(sys.modules) - before)


def test_there_are_enough_of_them_and_all_differ() -> None:
    assert len(CORPUS) >= 100
    assert len({hostile.content for hostile in CORPUS.values()}) >= len(CORPUS) - 1


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="the peak is read from /proc")
def test_the_whole_corpus_takes_little_memory(tmp_path: Path) -> None:
    for number, hostile in enumerate(CORPUS.values()):
        (tmp_path / f"{number:03d}.pkl").write_bytes(hostile.content)
    code = (
        "import contextlib, pathlib, re, sys\n"
        "from stylehead.errors import JobError\n"
        "from stylehead.weights import import_snapshot\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).glob('*.pkl')):\n"
        "    with contextlib.suppress(JobError):\n"
        "        import_snapshot(path, path.with_suffix('.safetensors'))\n"
        # not ru_maxrss: a child inherits that of the process that started it
        "status = pathlib.Path('/proc/self/status').read_text()\n"
        "print(int(re.search(r'VmHWM:\\s*(\\d+)', status)[1]) / 1024)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    root = Path(__file__).parents[2]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
    assert float(result.stdout) < 500  # megabytes


@contextlib.contextmanager
def counted(calls: list[int]) -> Iterator[None]:
    """Add how many functions, Python's own among them, were called in the block."""
    profile = cProfile.Profile()
    try:
        with profile:
            yield
    finally:
        calls.append(sum(entry.callcount for entry in profile.getstats()))


def test_other_loaders_would_have_run_the_code(tmp_path: Path, mark: Path) -> None:
    """The corpus is not harmless: Python's own loader makes the mark."""
    import pickle

    pickle.loads(CORPUS["os.system, protocol 4"].content)
    assert mark.exists()


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_damage_anywhere_is_refused_or_harmless(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    raw = bytearray(SNAPSHOT)
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.sampled_from(PROGRAM))] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "a.pkl").write_bytes(bytes(raw))
    calls: list[int] = []
    with counted(calls), contextlib.suppress(JobError):
        import_snapshot(folder / "a.pkl", folder / "a.safetensors")
    assert 0 < calls[0] < MOST_CALLS


def _program() -> list[int]:
    """Places of the snapshot that are not inside of numbers: damage there means something."""
    places: list[int] = []
    last = 0
    for _, argument, position in pickletools.genops(SNAPSHOT):
        assert position is not None
        places += range(last, min(position, last + 40))
        last = position
        del argument
    return places


PROGRAM = _program()


def test_the_command_refuses_with_exit_code_1(tmp_path: Path, mark: Path) -> None:
    source = tmp_path / "evil.pkl"
    source.write_bytes(CORPUS["os.system, protocol 4"].content)
    code = "from stylehead.cli.app import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", code, "weights", "import", str(source)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "COLUMNS": "500"},
        check=False,
    )
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith(
        f"error: {source} was refused, and nothing in it was run: it names posix.system"
    )
    assert not mark.exists()
