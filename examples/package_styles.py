"""The styles that come with the package: trained one after the other, resumable.

    python examples/package_styles.py   # all six, best quality: about two hours of two cores
    python examples/package_styles.py --only joker pixar --quality good --out trial --work trial-runs

A style that is finished for the generator of today is not trained again; one that was stopped goes on. When
the generator has changed, its styles are made anew by the same command.
"""

import argparse
import json
import shutil
from pathlib import Path

import stylehead
from stylehead.files import atomic_write
from stylehead.generator import PanoHead, load_style
from stylehead.jobs.named_styles import PACKAGE_STYLES
from stylehead.mini.captions import PROMPTED_STYLES, STYLE_WORDS
from stylehead.weights.presets import mini_preset

CARD = """# The styles of the package

Styles of the embedded generator, by name: `stylehead render --seed 42 --style joker`. Made by
`python examples/package_styles.py`, which makes them again when the generator changes; each file's header
says how (`stylehead info FILE`).

Licence: {licence}. They contain no photograph of anybody and no published weights.

| file | prompt | method | steps | seed | bytes | generator |
|---|---|---|---|---|---|---|
{rows}
"""


def main(arguments: list[str] | None = None) -> None:
    """Train what is missing, and write styles and card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PROMPTED_STYLES, default=PROMPTED_STYLES)
    parser.add_argument("--method", default="edit")
    parser.add_argument("--quality", default="best")
    parser.add_argument("--work", type=Path, default=Path("runs/package"), help="folder of the runs")
    parser.add_argument("--out", type=Path, default=PACKAGE_STYLES, help="folder of the styles")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="other settings")
    options = parser.parse_args(arguments)
    own = dict(pair.split("=", 1) for pair in options.set)
    base = PanoHead.load(mini_preset().require_generator()).fingerprint()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.only:
        run = trained(name, options, base, {key: json.loads(value) for key, value in own.items()})
        shutil.copyfile(run / "style.safetensors", options.out / f"{name}.safetensors")
        print(options.out / f"{name}.safetensors")
    write_card(options.out)


def trained(name: str, options: argparse.Namespace, base: str, settings: dict[str, object]) -> Path:
    """Return the finished run of a style: as it is, resumed, or new."""
    folder = options.work / name
    manifest = folder / "run.json"
    facts = json.loads(manifest.read_text()) if manifest.is_file() else {}
    if facts.get("generator") != base:
        stylehead.stylize(
            prompt_of(name), method=options.method, quality=options.quality, preset="mini", out=folder,
            overwrite=bool(facts), **settings,
        )  # fmt: skip
    elif facts.get("outcome") != "finished":
        stylehead.stylize(resume=folder)
    return folder


def prompt_of(name: str) -> str:
    """Return the plainest words for a style: "the joker", "a werewolf"."""
    return STYLE_WORDS[name].nouns[0]


def write_card(folder: Path) -> None:
    """Write the README of a folder of styles, from what their headers say."""
    rows, licences = [], set()
    for path in sorted(folder.glob("*.safetensors")):
        about = load_style(path).metadata
        facts = [about[f"stylehead.{key}"] for key in ("prompt", "method", "iterations", "seed")]
        base = about["stylehead.base"][:12]
        rows.append(f"| `{path.name}` | {' | '.join(facts)} | {path.stat().st_size:,} | `{base}` |")
        licences.add(about["stylehead.licence"])
    card = CARD.format(licence="; ".join(sorted(licences)), rows="\n".join(rows))
    atomic_write(folder / "README.md", card)


if __name__ == "__main__":
    main()
