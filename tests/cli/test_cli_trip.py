"""How far the trip is: files and functions of the package that a prompt passes on its way to a style file.

A number that grows says that an idea was spread over more rooms; one that shrinks is to be written down here.
`python -m pytest tests/cli/test_cli_trip.py --junitxml -` holds them.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import CO_NEWLOCALS
from pathlib import Path
from types import CodeType, FrameType

import pytest
from cli_helpers import FAST, Run

import stylehead
from stylehead.methods import Stylizer

PACKAGE = Path(stylehead.__file__).parent
PROMPT_TO_STYLE = (78, 590)
STEP = (28, 184)


class Trip:
    """Code of the package that ran."""

    def __init__(self) -> None:
        self.codes: set[CodeType] = set()

    @property
    def size(self) -> tuple[int, int]:
        """Numbers of files and of functions; bodies of modules and classes do not count."""
        files = {code.co_filename for code in self.codes}
        return len(files), len(self.codes)

    @contextmanager
    def walked(self) -> Iterator[None]:
        """Note every function of the package that is called meanwhile, in any thread."""
        before = sys.getprofile()
        sys.setprofile(self._note)
        threading.setprofile(self._note)
        try:
            yield
        finally:
            sys.setprofile(before)
            threading.setprofile(None)

    def _note(self, frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        of_package = code.co_filename.startswith(str(PACKAGE))
        if event == "call" and of_package and code.co_flags & CO_NEWLOCALS and code.co_name[0] != "<":
            self.codes.add(code)


def step_noted(step: Callable, trip: Trip) -> Callable:
    """Return the trainer's step, noted."""

    def noted(*arguments: object, **named: object) -> object:
        with trip.walked():
            return step(*arguments, **named)

    return noted


def test_the_way_of_a_step_is_short(
    run: Run, monkeypatch: pytest.MonkeyPatch, record_property: Callable
) -> None:
    trip = Trip()
    monkeypatch.setattr(Stylizer, "step", step_noted(Stylizer.step, trip))
    assert run("stylize", *FAST, "--out", "run").code == 0
    record_property("files and functions", trip.size)
    assert all(now <= then for now, then in zip(trip.size, STEP, strict=True)), trip.size


def test_the_way_from_a_prompt_to_a_style_is_short(run: Run, record_property: Callable) -> None:
    trip = Trip()
    with trip.walked():
        assert run("stylize", *FAST, "--out", "run").code == 0
    record_property("files and functions", trip.size)
    assert all(now <= then for now, then in zip(trip.size, PROMPT_TO_STYLE, strict=True)), trip.size
