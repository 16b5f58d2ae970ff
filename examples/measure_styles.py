"""Measure finished runs from Python: how `stylehead eval` puts a row of its table together.

    python examples/measure_styles.py runs/pixar-* runs/joker-*

For each run: the share of stylised heads (seeds 0, 1, ...; four sides) that a separately trained classifier
calls by the prompted style, the share that is still found among the photographic heads by their face alone,
and how alike different people have become. The untouched generator is the first row. Every number comes with
its 95 % interval. `stylehead eval` measures more, and from true pictures.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from stylehead.evaluation.columns import find_column, measure_row
from stylehead.evaluation.comparison import Comparison, EncodedPortraits, Target
from stylehead.evaluation.numbers import Cell
from stylehead.evaluation.portraits import render_portraits
from stylehead.evaluation.table import format_cell
from stylehead.export.views import latent_from_seed
from stylehead.generator import PanoHead, load_style, remove_styles
from stylehead.mini.captions import place_prompt
from stylehead.perception.loading import open_perception
from stylehead.weights.presets import mini_preset

YAWS_DEG = (-60.0, 0.0, 60.0, 180.0)
PSI = 0.75
COLUMNS = [find_column(name) for name in ("style", "id_rank1", "id", "diversity_id")]


def measure(runs: Sequence[Path], people: int) -> dict[str, dict[str, Cell]]:
    """The numbers of every run, by its name; the untouched generator first."""
    preset = mini_preset()
    encoders = open_perception(preset)
    generator = PanoHead.load(preset.require_generator())
    latents = {seed: latent_from_seed(generator, seed, psi=PSI) for seed in range(people)}
    untouched = EncodedPortraits(render_portraits(generator, latents, YAWS_DEG), encoders)
    photo = Target("a photo of a person", "photo")
    table = {"(untouched, photo)": measure_row(Comparison(untouched, untouched, photo), COLUMNS)}
    for run in runs:
        prompt = json.loads((run / "run.json").read_text())["prompt"]
        load_style(run / "style.safetensors").apply(generator)
        stylised = EncodedPortraits(render_portraits(generator, latents, YAWS_DEG), encoders)
        remove_styles(generator)
        target = Target(prompt, place_prompt(prompt))
        table[run.name] = measure_row(Comparison(stylised, untouched, target), COLUMNS)
    return table


def main(arguments: list[str] | None = None) -> None:
    """Print one line a run, or all figures as JSON with --json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="*", type=Path, help="run directories")
    parser.add_argument("--people", type=int, default=64, help="seeds 0 .. people - 1")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead")
    options = parser.parse_args(arguments)

    table = measure(options.runs, options.people)
    if options.json:
        values = {name: {c: cell.value for c, cell in row.items()} for name, row in table.items()}
        print(json.dumps(values, indent=2))
        return
    for name, row in table.items():
        print(name, *(f"{c.name} {format_cell(row[c.name], c.digits)}" for c in COLUMNS), sep="  ")


if __name__ == "__main__":
    main()
