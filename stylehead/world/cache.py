"""Where the workshop keeps what it draws and trains, unless it is told otherwise."""

from pathlib import Path

import platformdirs

CACHE = Path(platformdirs.user_cache_dir("stylehead")) / "mini"
DATA = CACHE / "data"
"""Renders of the procedural heads."""
WORK = CACHE / "work"
"""Checkpoints and logs of trainings."""
