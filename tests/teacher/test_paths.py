"""Where the parts of a teacher are."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from stylehead.errors import JobError, MissingError
from stylehead.teacher import Teacher, TeacherPaths
from stylehead.teacher.check import check_teacher
from stylehead.teacher.paths import SHARED, part_of


@pytest.fixture
def sharing(teacher_folder: Path, tmp_path: Path) -> Path:
    """A pipeline whose autoencoder and words are those of the pipeline beside it."""
    shutil.copytree(teacher_folder, tmp_path / "editor")
    base = shutil.copytree(teacher_folder, tmp_path / "teacher")
    for part in ("vae", "text_encoder", "tokenizer"):
        shutil.rmtree(base / part)
    (base / SHARED).write_text(json.dumps(dict.fromkeys(("vae", "text_encoder", "tokenizer"), "editor")))
    return base


def test_a_pipeline_shares_parts_with_the_one_beside_it(sharing: Path, teacher_folder: Path) -> None:
    whole, shared = Teacher.load(teacher_folder), Teacher.load(sharing)
    pictures = torch.rand(1, 3, whole.image_size, whole.image_size) * 2 - 1
    assert torch.equal(shared.encode(pictures), whole.encode(pictures))
    assert TeacherPaths(sharing).tokenizer_folder == sharing.parent / "editor" / "tokenizer"
    assert part_of(sharing, "unet") == sharing / "unet"
    assert {name.split("/")[0] for name in TeacherPaths(sharing).weight_files()} >= {"vae", "text_encoder"}


def test_its_own_part_comes_first(sharing: Path) -> None:
    (sharing / "vae").mkdir()
    assert part_of(sharing, "vae") == sharing / "vae"


@pytest.mark.parametrize("elsewhere", ["../../else", "/else", "", ".."])
def test_parts_are_nowhere_else(sharing: Path, elsewhere: str) -> None:
    (sharing / SHARED).write_text(json.dumps({"vae": elsewhere}))
    assert part_of(sharing, "vae") == sharing / "vae"
    with pytest.raises(MissingError, match="lacks the folder"):
        check_teacher(TeacherPaths(sharing))


def test_a_damaged_list_of_shared_parts_is_named(sharing: Path) -> None:
    (sharing / SHARED).write_text("{")
    with pytest.raises(JobError, match=SHARED):
        check_teacher(TeacherPaths(sharing))
