"""The catalogue: complete, honest about what is not known, and right about what is here."""

from pathlib import Path

import pytest

from stylehead.errors import LicenseError, UsageError
from stylehead.weights import catalogue, store
from stylehead.weights.catalogue import CATALOGUE


def test_everything_that_the_full_preset_needs_is_listed() -> None:
    assert {
        "panohead",
        "realistic-vision-v5.1",
        "controlnet-canny",
        "controlnet-depth",
        "depth-anything-v2-small",
        "depth-anything-v2-base",
        "clip-vit-b32",
        "insightface-buffalo_l",
        "insightface-antelopev2",
    } <= CATALOGUE.keys()


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=CATALOGUE)
def test_entries_are_whole(entry: catalogue.Entry) -> None:
    assert sum(map(bool, (entry.repo_id, entry.url, entry.by_hand, entry.urls))) == 1
    assert entry.licence_url.startswith("https://")
    assert entry.files
    assert entry.revision is None or len(entry.revision) == 40
    assert all(len(value) == 64 for value in entry.sha256.values())
    assert not entry.acceptance_needed or entry.terms
    assert entry.commercial or entry.acceptance_needed


def test_the_non_commercial_ones_say_so() -> None:
    restricted = {name for name, entry in CATALOGUE.items() if not entry.commercial}
    assert restricted == {
        "panohead",
        "depth-anything-v2-base",
        "insightface-buffalo_l",
        "insightface-antelopev2",
    }
    assert "CC BY-NC-SA 4.0" in CATALOGUE["panohead"].licence
    assert "NVIDIA" in CATALOGUE["panohead"].licence


def test_unknown_ids_name_the_nearest() -> None:
    with pytest.raises(UsageError, match="no weights called panohed") as caught:
        catalogue.find("panohed")
    assert caught.value.hint == "did you mean panohead?"


def test_nothing_is_here_at_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert [name for name in CATALOGUE if catalogue.local_path(name) is not None] == []


def test_models_in_insightface_s_own_folder_are_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / ".insightface" / "models" / "buffalo_l"
    folder.mkdir(parents=True)
    assert catalogue.local_path("insightface-buffalo_l") is None
    (folder / "det_10g.onnx").write_bytes(b"x")
    assert catalogue.local_path("insightface-buffalo_l") == folder
    assert catalogue.local_path("insightface-antelopev2") is None


def test_models_in_the_hub_s_cache_are_found() -> None:
    cache = store.home() / "hub" / "models--lllyasviel--sd-controlnet-canny"
    snapshot = cache / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("abc")
    assert catalogue.local_path("controlnet-canny") is None
    for name in CATALOGUE["controlnet-canny"].files:
        (snapshot / name).write_bytes(b"x")
    assert catalogue.local_path("controlnet-canny") == snapshot


def test_licences_are_accepted_once_and_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    assert catalogue.accepted("controlnet-canny")
    assert catalogue.acceptance("controlnet-canny") is None
    assert not catalogue.accepted("panohead")
    with pytest.raises(LicenseError, match=r"CC BY-NC-SA 4\.0") as caught:
        catalogue.check_accepted("panohead")
    assert caught.value.exit_code == 4
    assert "--accept-license panohead" in str(caught.value.hint)
    store.record_licence("panohead")
    first = store.licences()["panohead"]
    store.record_licence("panohead")
    assert store.licences() == {"panohead": first}
    assert catalogue.acceptance("panohead") == first
    catalogue.check_accepted("panohead")


def test_a_variable_accepts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STYLEHEAD_ACCEPT_LICENSES", " insightface, panohead ")
    assert catalogue.accepted("panohead")
    assert catalogue.accepted("insightface-buffalo_l")
    assert catalogue.accepted("insightface-antelopev2")
    assert not catalogue.accepted("depth-anything-v2-base")
    assert "STYLEHEAD_ACCEPT_LICENSES" in str(catalogue.acceptance("panohead"))
