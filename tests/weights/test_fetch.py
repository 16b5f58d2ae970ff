"""Fetching: resumed, whole or not at all, hashed, remembered, and never where it is forbidden."""

import dataclasses
import hashlib
import io
import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import COMMIT, Hub, Server, serving

from stylehead.errors import JobError, MissingError
from stylehead.weights import archive, catalogue, fetch, store
from stylehead.weights.catalogue import CATALOGUE, Entry
from stylehead.weights.verify import verify_embedded, verify_record

FILES = {
    "config.json": b"{}",
    "diffusion_pytorch_model.safetensors": os.urandom(300_000),
    "diffusion_pytorch_model.fp16.safetensors": b"half",
    "diffusion_pytorch_model.bin": b"pickle",
    "README.md": b"words",
}
ENTRY = CATALOGUE["controlnet-canny"]


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving(Hub("lllyasviel/sd-controlnet-canny", dict(FILES))) as server:
        assert isinstance(server, Hub)
        yield server


@pytest.fixture(autouse=True)
def _online(monkeypatch: pytest.MonkeyPatch) -> None:
    """The servers of these tests are on this machine."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def fetch_from(hub: Server, entry: Entry = ENTRY) -> store.Record:
    return fetch.fetch(entry, fetch.plan_download(entry, endpoint=hub.address), endpoint=hub.address)


def test_a_plan_names_commit_files_and_bytes(hub: Hub) -> None:
    planned = fetch.plan_download(ENTRY, endpoint=hub.address)
    assert planned.commit == COMMIT
    assert set(planned.files) == {"config.json", "diffusion_pytorch_model.safetensors"}
    assert planned.bytes == 300_002
    assert not planned.cached
    assert not any(method == "GET" and "/resolve/" in path for method, path, _ in hub.requests)


def test_what_is_fetched_is_recorded_with_commit_and_hashes(hub: Hub) -> None:
    steps: list[tuple[int, int]] = []
    planned = fetch.plan_download(ENTRY, endpoint=hub.address)
    record = fetch.fetch(
        ENTRY, planned, progress=lambda done, whole: steps.append((done, whole)), endpoint=hub.address
    )
    assert record.revision == COMMIT
    assert record.files.keys() == set(planned.files)
    weights = record.files["diffusion_pytorch_model.safetensors"]
    assert weights.sha256 == hashlib.sha256(FILES["diffusion_pytorch_model.safetensors"]).hexdigest()
    assert catalogue.local_path(ENTRY.id) == record.path
    assert store.read_record(ENTRY.id) == record
    assert steps[-1][0] >= 300_000
    assert {item.state for item in verify_record(record)} == {"ok"}
    assert not (record.path / "diffusion_pytorch_model.bin").exists()


def test_a_second_fetch_keeps_the_commit_and_downloads_nothing(hub: Hub) -> None:
    fetch_from(hub)
    hub.requests.clear()
    assert fetch.plan_download(ENTRY, endpoint=hub.address).cached
    fetch_from(hub)
    assert not any(method == "GET" and "/resolve/" in path for method, path, _ in hub.requests)
    assert not any("/revision/main" in path for _, path, _ in hub.requests)


def test_a_download_that_came_damaged_is_refused(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "claimed_hash", lambda content: hashlib.sha256(content + b"?").hexdigest())
    with pytest.raises(JobError, match="came damaged"):
        fetch_from(hub)
    assert store.read_record(ENTRY.id) is None
    assert not store.home().joinpath("weights", f"{ENTRY.id}.json").exists()


def test_known_hashes_are_held_against_what_comes(hub: Hub) -> None:
    known = dataclasses.replace(ENTRY, sha256={"config.json": "0" * 64})
    with pytest.raises(JobError, match=r"config\.json of .* is not the published file"):
        fetch_from(hub, known)


def test_a_repository_without_the_files_is_an_error(hub: Hub) -> None:
    del hub.files["diffusion_pytorch_model.safetensors"]
    with pytest.raises(JobError, match=r"has no diffusion_pytorch_model\.safetensors"):
        fetch_from(hub)


def test_a_hub_that_is_away_is_one_sentence() -> None:
    with serving(Server({})) as gone:
        address = gone.address
    with pytest.raises(JobError, match="cannot be reached") as caught:
        fetch.plan_download(ENTRY, endpoint=address)
    assert "\n" not in str(caught.value)
    with serving(Server({})) as empty, pytest.raises(JobError, match="has no lllyasviel"):
        fetch.plan_download(ENTRY, endpoint=empty.address)


def test_offline_asks_nobody(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(MissingError, match="--offline"):
        fetch.plan_download(ENTRY, endpoint=hub.address)
    with pytest.raises(MissingError, match="--offline"):
        fetch.plan_download(CATALOGUE["insightface-buffalo_l"])
    assert hub.requests == []


def test_panohead_can_only_be_had_by_hand() -> None:
    with pytest.raises(MissingError, match="cannot be fetched by a program") as caught:
        fetch.plan_download(CATALOGUE["panohead"])
    assert "stylehead weights import" in str(caught.value.hint)


def packed(names: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packing:
        for name, content in names.items():
            packing.writestr(name, content)
    return file.getvalue()


MODELS = {"pack/detector.onnx": os.urandom(200_000), "pack/../../evil.onnx": b"evil", "pack/readme.txt": b""}


@pytest.fixture
def pack() -> Iterator[tuple[Server, Entry]]:
    with serving(Server({"/pack.zip": packed(MODELS)})) as server:
        entry = dataclasses.replace(CATALOGUE["insightface-buffalo_l"], url=f"{server.address}/pack.zip")
        yield server, entry


def test_archives_are_unpacked_flat_and_nowhere_else(pack: tuple[Server, Entry], tmp_path: Path) -> None:
    _, entry = pack
    record = fetch.fetch(entry, fetch.plan_download(entry))
    assert sorted(path.name for path in record.path.iterdir()) == ["detector.onnx", "evil.onnx"]
    assert record.path.joinpath("detector.onnx").read_bytes() == MODELS["pack/detector.onnx"]
    assert catalogue.local_path(entry.id) == record.path
    assert list(record.path.parent.glob("*.part")) == []


def test_a_broken_download_goes_on_where_it_stopped(pack: tuple[Server, Entry]) -> None:
    server, entry = pack
    server.break_after = 50_000
    with pytest.raises(JobError, match=r"broke after 50000 of \d+ bytes|cannot be reached") as caught:
        fetch.fetch(entry, fetch.plan_download(entry))
    assert "go on" in str(caught.value.hint)
    assert catalogue.local_path(entry.id) is None
    server.break_after = None
    record = fetch.fetch(entry, fetch.plan_download(entry))
    assert server.requests[-1][2] == "bytes=50000-"
    assert record.path.joinpath("detector.onnx").read_bytes() == MODELS["pack/detector.onnx"]


def test_a_server_without_ranges_starts_again(pack: tuple[Server, Entry]) -> None:
    server, entry = pack
    part = store.weights_folder(entry.id).with_name(f"{entry.id}.zip.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 1000)
    server.knows_ranges = False
    record = fetch.fetch(entry, fetch.plan_download(entry))
    assert record.path.joinpath("detector.onnx").read_bytes() == MODELS["pack/detector.onnx"]


def test_a_damaged_archive_leaves_nothing(pack: tuple[Server, Entry]) -> None:
    server, entry = pack
    server.files["/pack.zip"] = b"PK\x03\x04 not an archive"
    with pytest.raises(JobError, match="is damaged"):
        fetch.fetch(entry, fetch.plan_download(entry))
    server.files["/pack.zip"] = packed({"readme.txt": b""})
    with pytest.raises(JobError, match="no models in it"):
        fetch.fetch(entry, fetch.plan_download(entry))
    assert catalogue.local_path(entry.id) is None
    assert list(store.home().joinpath("weights").glob("*.part")) == []


def test_an_archive_that_would_fill_the_disk_is_refused(
    pack: tuple[Server, Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, entry = pack
    monkeypatch.setattr(archive, "_LARGEST_MODELS", 1000)
    with pytest.raises(JobError, match="more than 4 GB"):
        fetch.fetch(entry, fetch.plan_download(entry))


def test_the_same_weights_must_come_again(pack: tuple[Server, Entry]) -> None:
    server, entry = pack
    fetch.fetch(entry, fetch.plan_download(entry))
    server.files["/pack.zip"] = packed({**MODELS, "pack/detector.onnx": b"another"})
    with pytest.raises(JobError, match=r"detector\.onnx of .* is not what it was on 20"):
        fetch.fetch(entry, fetch.plan_download(entry))
    detector = store.weights_folder(entry.id) / "detector.onnx"
    assert detector.read_bytes() == MODELS["pack/detector.onnx"]  # what is refused takes nobody's place


def test_two_processes_do_not_fetch_at_once(pack: tuple[Server, Entry]) -> None:
    _, entry = pack
    with store.locked_weights(entry.id), pytest.raises(JobError, match="Another process"):
        fetch.fetch(entry, fetch.plan_download(entry))


def two_files(server: Server, name: str) -> Entry:
    """An entry of two single files, one of which may carry the start of its hash in its name."""
    urls = {name: f"{server.address}/trunk", "heads.pth": f"{server.address}/heads"}
    return dataclasses.replace(CATALOGUE["lpips-alex"], files=tuple(urls), urls=urls)


def test_single_files_come_one_by_one_and_are_checked_by_their_names() -> None:
    trunk = os.urandom(5000)
    start = hashlib.sha256(trunk).hexdigest()[:8]
    with serving(Server({"/trunk": trunk, "/heads": b"heads"})) as server:
        entry = two_files(server, f"net-{start}.pth")
        record = fetch_from(server, entry)
        assert (record.path / f"net-{start}.pth").read_bytes() == trunk
        assert set(record.files) == {f"net-{start}.pth", "heads.pth"}
        server.requests.clear()
        fetch_from(server, entry)
        assert server.requests == []
        other = dataclasses.replace(two_files(server, "net-00000000.pth"), id="lpips-vgg")
        with pytest.raises(JobError, match=r"net-00000000\.pth of LPIPS on AlexNet is not the published"):
            fetch_from(server, other)
    assert store.read_record("lpips-vgg") is None


def test_local_folders_are_registered_where_they_lie(tmp_path: Path) -> None:
    folder = tmp_path / "canny"
    folder.mkdir()
    with pytest.raises(JobError, match=r"has no config\.json, diffusion"):
        fetch.register_folder(ENTRY, folder)
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    record = fetch.register_folder(ENTRY, folder)
    assert catalogue.local_path(ENTRY.id) == record.path == folder
    (folder / "config.json").write_bytes(b"[]")
    assert {item.path.name: item.state for item in verify_record(record)} == {
        "config.json": "changed",
        "diffusion_pytorch_model.safetensors": "ok",
    }
    (folder / "config.json").unlink()
    assert [item.state for item in verify_record(record)].count("missing") == 1
    assert catalogue.local_path(ENTRY.id) is None


def test_embedded_models_are_hashed_and_in_a_checkout_not_known() -> None:
    checked = list(verify_embedded())
    assert any(item.path.name == "generator.safetensors" for item in checked)
    assert {item.state for item in checked} <= {"ok", "not known"}
    assert all(item.sha256 and len(item.sha256) == 64 for item in checked)


def test_records_move_with_their_home(pack: tuple[Server, Entry], monkeypatch: pytest.MonkeyPatch) -> None:
    _, entry = pack
    record = fetch.fetch(entry, fetch.plan_download(entry))
    moved = store.home().with_name("moved")
    store.home().rename(moved)
    monkeypatch.setenv(store.HOME_VARIABLE, str(moved))
    assert catalogue.local_path(entry.id) == moved / record.path.relative_to(record.path.parents[1])


def test_a_damaged_record_names_itself(tmp_path: Path) -> None:
    path = store.home() / "weights" / f"{ENTRY.id}.json"
    path.parent.mkdir(parents=True)
    for content in ("{", "[]", "{}", json.dumps({"files": [1]})):
        path.write_text(content)
        with pytest.raises(JobError, match="damaged") as caught:
            store.read_record(ENTRY.id)
        assert str(path) in str(caught.value)
