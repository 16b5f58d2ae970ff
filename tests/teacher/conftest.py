"""Fixtures of the teacher's tests."""

from pathlib import Path

import pytest
from tiny_teacher import write_tiny_teacher

from stylehead.teacher import Teacher


@pytest.fixture(scope="session")
def teacher_folder(tmp_path_factory) -> Path:
    return write_tiny_teacher(tmp_path_factory.mktemp("teacher"))


@pytest.fixture(scope="session")
def teacher(teacher_folder) -> Teacher:
    return Teacher.load(teacher_folder)
