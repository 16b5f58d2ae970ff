"""Presets say which files they need, which they lack, and why they were chosen."""

from pathlib import Path

import pytest

from stylehead.errors import LicenseError, MissingError, UsageError
from stylehead.units import now
from stylehead.weights import catalogue, presets, store
from stylehead.weights.presets import resolve_preset


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(presets, "MINI_WEIGHTS", tmp_path)
    return tmp_path


def test_auto_is_the_embedded_preset_and_says_why(root: Path) -> None:
    preset, why = resolve_preset("auto")
    assert preset.name == "mini"
    assert preset.generator == root / "generator.safetensors"
    assert why == "preset mini: the embedded models, which need no download; full scale is --preset panohead"
    assert "\n" not in why
    assert resolve_preset("mini").preset == preset
    assert resolve_preset("mini").why != why


def test_the_full_preset_is_missing_until_weights_are_registered() -> None:
    with pytest.raises(MissingError, match="none are registered") as caught:
        resolve_preset("panohead")
    assert caught.value.exit_code == 3
    assert "stylehead weights fetch panohead" in str(caught.value.hint)


def register(folder: Path, entry_id: str = "panohead") -> Path:
    path = folder / "generator.safetensors"
    path.write_bytes(b"weights")
    facts = {path.name: store.hash_file(path)}
    store.write_record(store.Record(entry_id, path, facts, "a test", None, now()))
    return path


def test_registered_weights_need_an_accepted_licence(tmp_path: Path) -> None:
    register(tmp_path)
    with pytest.raises(LicenseError, match="not accepted") as caught:
        resolve_preset("panohead")
    assert caught.value.exit_code == 4
    assert resolve_preset("auto").why == (
        "preset mini: the embedded models, as the licence of the panohead weights is not accepted"
    )


def test_the_preset_is_where_the_catalogue_says(tmp_path: Path) -> None:
    path = register(tmp_path)
    store.record_licence("panohead")
    preset, why = resolve_preset("panohead")
    assert preset.require_generator() == catalogue.local_path("panohead") == path
    assert "as asked" in why
    assert "CC BY-NC-SA 4.0" in preset.licence
    assert preset.vocabulary is None
    with pytest.raises(MissingError, match="teacher of the panohead preset") as caught:
        preset.require_teacher()
    assert caught.value.hint == "stylehead weights fetch"


@pytest.mark.parametrize(("gpu", "name"), [(True, "panohead"), (False, "mini")])
def test_auto_wants_a_gpu(gpu: bool, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(tmp_path)
    store.record_licence("panohead")
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpu)
    preset, why = resolve_preset("auto")
    assert preset.name == name
    assert "GPU" in why


def test_unknown_presets_are_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"`--preset` \(=maxi\) must be one of auto, mini, panohead"):
        resolve_preset("maxi")


def test_missing_files_name_the_path_and_the_repair(root: Path) -> None:
    preset = resolve_preset("mini").preset
    with pytest.raises(MissingError, match=r"generator of the mini preset is missing: .*\.safetensors"):
        preset.require_generator()
    with pytest.raises(MissingError, match="teacher of the mini preset") as caught:
        preset.require_teacher()
    assert "pip install" in str(caught.value.hint)
    (root / "generator.safetensors").write_bytes(b"x")
    (root / "teacher").mkdir()
    assert preset.require_generator() == root / "generator.safetensors"
    assert preset.require_teacher() == root / "teacher"


def test_companions_are_there_or_none(root: Path) -> None:
    preset = resolve_preset("mini").preset
    assert preset.companion("faces") is None
    assert preset.lacks("faces").message == "The mini preset has no identity.safetensors here."
    (root / "identity.safetensors").write_bytes(b"x")
    assert preset.companion("faces") == root / "identity.safetensors"
