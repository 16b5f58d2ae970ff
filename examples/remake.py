"""Make everything anew that follows from the embedded weights, after one of them was trained again.

    python examples/remake.py                  # all of it; two hours of two cores, nearly all for the styles
    python examples/remake.py --from pictures  # go on with a later step
    python examples/remake.py --dry-run        # say what it would do

The guess that `stylehead invert` starts from needs renders to learn from (`python -m stylehead.world data`).
"""

import argparse
import subprocess
import sys

PYTHON = sys.executable
STYLEHEAD = [PYTHON, "-m", "stylehead"]
PACKAGED = "stylehead/mini/styles"
ORDER = ("pixar", "joker", "werewolf", "sketch", "statue", "zombie")
STEPS: dict[str, list[list[str]]] = {
    "guess": [[PYTHON, "-m", "stylehead.world", "guess"]],
    "likeness": [[PYTHON, "-m", "stylehead.world", "likeness"]],
    "styles": [[PYTHON, "examples/package_styles.py"]],
    "pictures": [
        [PYTHON, "examples/style_sheet.py", *(f"{PACKAGED}/{name}.safetensors" for name in ORDER),
         "--out", "examples/pictures/styles.webp"],
        [*STYLEHEAD, "render", "--seed", "4", "--style", "joker", "--side-by-side", "--format", "webp",
         "--out", "runs/turntable", "--overwrite"],
        [PYTHON, "-c", "import shutil; shutil.copy('runs/turntable/turntable.webp', 'examples/pictures')"],
    ],
}  # fmt: skip
"""Each step uses what the one before it made."""


def main(arguments: list[str] | None = None) -> int:
    """Run the steps one after the other; stops at the first that fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--from", dest="first", choices=STEPS, default="guess", help="step to begin with")
    parser.add_argument("--dry-run", action="store_true", help="print the commands")
    options = parser.parse_args(arguments)
    names = list(STEPS)
    for name in names[names.index(options.first) :]:
        for command in STEPS[name]:
            print(" ".join(command), flush=True)
            if not options.dry_run and (code := subprocess.run(command, check=False).returncode):
                return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
