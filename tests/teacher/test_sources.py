"""Names of models become local folders without the network."""

import json
import shutil
import socket
from pathlib import Path

import pytest
import torch

from stylehead.errors import LicenseError, MissingError, UsageError
from stylehead.teacher import Teacher, TeacherPaths, local_folder

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NOT_CACHED = "is no folder, and not in the Hugging Face cache"
NOT_HERE = "is not on this machine"
FETCH = "stylehead weights fetch controlnet-canny"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, and no network."""
    monkeypatch.setenv("STYLEHEAD_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("STYLEHEAD_ACCEPT_LICENSES", raising=False)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was reached for")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return tmp_path / "home"


def cached(home: Path, repo_id: str, source: Path) -> Path:
    """Lay a folder into the Hub's cache as a download would."""
    repo = home / "hub" / ("models--" + repo_id.replace("/", "--"))
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(COMMIT)
    shutil.copytree(source, repo / "snapshots" / COMMIT)
    return repo / "snapshots" / COMMIT


def test_a_folder_is_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "some" / "model").mkdir(parents=True)
    assert local_folder(str(tmp_path / "some" / "model"), "--vae") == tmp_path / "some" / "model"
    monkeypatch.chdir(tmp_path)
    assert local_folder("some/model", "--vae") == Path("some/model")


def test_a_hub_id_is_found_in_the_cache_and_teaches(
    home: Path, teacher_folder: Path, teacher: Teacher
) -> None:
    folder = cached(home, "somebody/a-model", teacher_folder)
    assert local_folder("somebody/a-model", "--diffusion") == folder
    assert local_folder(f"somebody/a-model@{COMMIT}", "--diffusion") == folder
    loaded = Teacher.load(local_folder("somebody/a-model", "--diffusion"))
    assert torch.equal(loaded.encode_prompt("a").cond, teacher.encode_prompt("a").cond)


def test_the_cache_of_other_programs_is_looked_into_as_well(
    tmp_path: Path, teacher_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "other" / "hub"))
    folder = cached(tmp_path / "other", "own/tiny", teacher_folder)
    assert local_folder("own/tiny", "--diffusion") == folder


def test_controlnets_of_another_repository_fit(home: Path, teacher_folder: Path, tmp_path: Path) -> None:
    bare = shutil.copytree(teacher_folder, tmp_path / "bare")
    shutil.rmtree(bare / "controlnet_canny")
    shutil.rmtree(bare / "controlnet_depth")
    cached(home, "else/where", teacher_folder / "controlnet_canny")
    paths = TeacherPaths(bare, controlnet_canny=local_folder("else/where", "--controlnet-canny"))
    assert Teacher.load(paths).kinds == ("canny",)


@pytest.mark.parametrize(
    ("source", "sentence", "hint"),
    [
        ("no/where", f"`--diffusion` (=no/where) {NOT_CACHED}.", "hf download no/where"),
        (f"no/where@{COMMIT}", NOT_CACHED, f"hf download no/where --revision {COMMIT}"),
        ("nowhere", "`--diffusion` (=nowhere) is no folder, and no hub id like owner/name.", None),
        ("../no/where", "is no folder, and no hub id", None),
        ("controlnet-canny", NOT_HERE, FETCH),
        ("lllyasviel/sd-controlnet-canny", NOT_HERE, FETCH),
    ],
)  # fmt: skip
def test_what_is_not_here_names_the_command_that_brings_it(
    source: str, sentence: str, hint: str | None
) -> None:
    with pytest.raises(MissingError) as error:
        local_folder(source, "--diffusion")
    assert sentence in error.value.message
    assert error.value.hint == hint


def test_listed_weights_are_found_where_other_programs_put_them(home: Path, tmp_path: Path) -> None:
    source = tmp_path / "canny"
    source.mkdir()
    for name in ("config.json", "diffusion_pytorch_model.safetensors"):
        (source / name).write_text(json.dumps({}))
    folder = cached(home, "lllyasviel/sd-controlnet-canny", source)
    assert local_folder("controlnet-canny", "--controlnet-canny") == folder


def test_a_restricted_licence_must_be_accepted_first(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LicenseError) as error:
        local_folder("depth-anything-v2-base", "--depth-estimator")
    assert "CC BY-NC" in error.value.message
    assert str(error.value.hint).endswith("--accept-license depth-anything-v2-base")
    monkeypatch.setenv("STYLEHEAD_ACCEPT_LICENSES", "depth-anything-v2-base")
    with pytest.raises(MissingError):
        local_folder("depth-anything-v2-base", "--depth-estimator")


def test_a_single_file_is_no_model_folder(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(UsageError, match="single file"):
        local_folder(str(tmp_path / "model.safetensors"), "--diffusion")
