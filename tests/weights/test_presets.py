"""Presets say which files they need, which they lack, and why they were chosen."""

import hashlib
from pathlib import Path

import pytest

from stylehead.errors import MissingError, UsageError
from stylehead.weights import presets
from stylehead.weights.presets import resolve_preset


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(presets, "MINI_WEIGHTS", tmp_path)
    return tmp_path


def test_auto_is_the_embedded_preset_and_says_why(root: Path) -> None:
    preset, why = resolve_preset("auto")
    assert preset.name == "mini"
    assert preset.generator == root / "generator.safetensors"
    assert "no panohead weights are registered" in why
    assert "\n" not in why
    assert resolve_preset("mini").preset == preset
    assert resolve_preset("mini").why != why


def test_the_full_preset_is_missing_until_weights_are_registered() -> None:
    with pytest.raises(MissingError, match="none are registered") as caught:
        resolve_preset("panohead")
    assert caught.value.exit_code == 3


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
    assert preset.companion("identity.safetensors") is None
    (root / "identity.safetensors").write_bytes(b"x")
    assert preset.companion("identity.safetensors") == root / "identity.safetensors"


def test_weight_files_carry_their_hash_and_no_local_path(root: Path) -> None:
    (root / "generator.safetensors").write_bytes(b"generator")
    (root / "teacher" / "unet").mkdir(parents=True)
    (root / "teacher" / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"unet")
    (root / "teacher" / "unet" / "config.json").write_text("{}")
    first, second = resolve_preset("mini").preset.weight_files()
    assert first.id == "mini/generator.safetensors"
    assert first.sha256 == hashlib.sha256(b"generator").hexdigest()
    assert second.id == "mini/teacher/unet/diffusion_pytorch_model.safetensors"
    assert "Apache-2.0" in second.licence
