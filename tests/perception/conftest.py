"""A tiny CLIP; and the tiny depth estimator of the teacher tests, which is used here, too."""

import sys
from pathlib import Path

import pytest
from tiny_clip import write_tiny_clip

sys.path.append(str(Path(__file__).parents[1] / "teacher"))


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random CLIP with the embedded tokenizer; not to be changed."""
    return write_tiny_clip(tmp_path_factory.mktemp("clip"))
