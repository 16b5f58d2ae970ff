"""A tiny teacher on the disk and in memory."""

import sys
from pathlib import Path

import pytest

from stylehead.teacher import Teacher

sys.path.append(str(Path(__file__).parents[1] / "teacher"))
from tiny_teacher import write_tiny_teacher


@pytest.fixture(scope="session")
def teacher_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_teacher(tmp_path_factory.mktemp("teacher"))


@pytest.fixture(scope="session")
def teacher(teacher_folder: Path) -> Teacher:
    return Teacher.load(teacher_folder)
