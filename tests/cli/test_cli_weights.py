"""`stylehead weights`: what it prints, what it leaves behind, and its exit codes."""

import functools
import io
import json
import socket
import sys
import types
import zipfile
from pathlib import Path

import pytest
import torch
from cli_helpers import Run
from safetensors.torch import load_file, save_file
from syrupy.assertion import SnapshotAssertion

from stylehead.generator import PanoHead, load_style
from stylehead.weights import catalogue, fetch, resolve_preset, store

sys.path.append(str(Path(__file__).parents[1] / "weights"))
from servers import Hub, serving
from snapshot_writer import write_snapshot
from test_onnx_files import SMALL as ONNX

SNAPSHOT = Path(__file__).parents[1] / "data" / "golden" / "tiny_snapshot_no_source.pkl"
COMMANDS = ("list", "fetch", "import", "verify", "path")


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_as_it_was(run: Run, command: str, snapshot: SnapshotAssertion) -> None:
    outcome = run("weights", *command.split(), "--help")
    assert outcome.code == 0
    assert "Examples" in outcome.out
    assert "\n".join(line.rstrip() for line in outcome.out.splitlines()) == snapshot


def test_no_command_shows_the_help(run: Run) -> None:
    assert run("weights") == run("weights", "--help")


def test_list_says_what_is_not_known(run: Run) -> None:
    outcome = run("weights", "list")
    assert outcome.code == 0
    assert "panohead" in outcome.out
    assert "CC BY-NC-SA 4.0" in outcome.out
    assert "revision not pinned, sha256 not known" in outcome.out
    assert run("weights", "list", "-q").out == ""
    facts = json.loads(run("weights", "list", "--json").out)["weights"]
    assert [fact["id"] for fact in facts] == list(catalogue.CATALOGUE)
    assert facts[0]["path"] is None
    assert facts[0]["sha256"] is None
    assert facts[0]["accepted"] is None


def test_an_imported_snapshot_is_what_the_preset_uses(run: Run) -> None:
    outcome = run("weights", "import", SNAPSHOT)
    assert outcome.code == 0, outcome
    assert "Non-commercial" in outcome.err
    assert "z_dim 32 (published: 512)" in outcome.err
    path = Path(run("weights", "path", "panohead", "-q").out.strip())
    assert path == catalogue.local_path("panohead")
    assert PanoHead.load(path).config.img_resolution == 64
    fact = json.loads(run("weights", "list", "--json").out)["weights"][0]
    assert fact["path"] == str(path)
    assert fact["sha256"] == {"generator.safetensors": store.hash_file(path).sha256}
    assert run("weights", "list", "-q").out == "panohead\n"
    assert run("render", "--preset", "panohead", "--seed", "1").code == 4
    accepted = run("weights", "fetch", "panohead", "--accept-license", "panohead", "-q")
    assert (accepted.code, accepted.out.strip()) == (0, str(path))
    assert resolve_preset("panohead").preset.require_generator() == path
    rendered = run("render", "--preset", "panohead", "--seed", "1", "--yaw-steps", "2", "--format", "sheet")
    assert rendered.code == 0, rendered


def test_json_and_quiet_are_for_programs(run: Run) -> None:
    document = json.loads(run("weights", "import", SNAPSHOT, "--out", "a.safetensors", "--json").out)
    assert document["kind"] == "generator"
    assert document["path"] == "a.safetensors"
    assert document["config"]["z_dim"] == 32
    assert run("weights", "import", SNAPSHOT, "--out", "b.safetensors", "-q").out == "b.safetensors\n"
    assert PanoHead.load("a.safetensors").fingerprint() == PanoHead.load("b.safetensors").fingerprint()
    assert catalogue.local_path("panohead") is None


def test_importing_again_changes_nothing(run: Run) -> None:
    run("weights", "import", SNAPSHOT)
    again = run("weights", "import", SNAPSHOT)
    assert again.code == 0
    assert "imported before" in again.err
    run("weights", "import", SNAPSHOT, "--out", "other.safetensors")
    refused = run("weights", "import", "other.safetensors")
    assert refused.code == 2
    assert "registered already, imported from tiny_snapshot_no_source.pkl" in refused.err
    assert run("weights", "import", "other.safetensors", "--overwrite").code == 0
    assert json.loads(run("weights", "list", "--json").out)["weights"][0]["path"] is not None


def test_files_are_not_replaced_unasked(run: Run) -> None:
    Path("a.safetensors").write_text("mine")
    outcome = run("weights", "import", SNAPSHOT, "--out", "a.safetensors")
    assert outcome.code == 2
    assert "--overwrite" in outcome.err
    assert Path("a.safetensors").read_text() == "mine"
    assert run("weights", "import", SNAPSHOT, "--out", "a.safetensors", "--overwrite").code == 0


@pytest.fixture
def base(run: Run) -> Path:
    """A generator that styles are trained from."""
    run("weights", "import", SNAPSHOT, "--out", "base.safetensors")
    return Path("base.safetensors")


def stylised(base: Path) -> dict[str, torch.Tensor]:
    """The state dict of a generator after training."""
    state = PanoHead.load(base).state_dict()
    for name in state:
        if name.startswith("superresolution.") and name.endswith("conv1.weight"):
            state[name] = state[name] + 0.25
    return state


@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors", "half", "wrapped"])
def test_a_stylised_state_dict_becomes_a_style(run: Run, base: Path, form: str) -> None:
    state = stylised(base)
    path = Path("joker.safetensors" if form == "safetensors" else "joker.pth")
    if form == "safetensors":
        save_file(state, path)
    elif form == "half":
        torch.save({name: tensor.double() for name, tensor in state.items()}, path)
    else:
        content = {"state_dict": state, "step": 3} if form == "wrapped" else state
        torch.save(content, path, _use_new_zipfile_serialization=form != "legacy")
    outcome = run("weights", "import", path, "--base", base, "-q")
    assert outcome.code == 0, outcome
    made = Path(outcome.out.strip())
    assert made == Path("joker-style.safetensors" if form == "safetensors" else "joker.safetensors")
    style = load_style(made)
    assert style.tensors.keys() == {f"superresolution.block{i}.conv1.weight" for i in (0, 1)}
    assert "CC BY-NC-SA" in style.metadata["stylehead.licence"]
    generator = PanoHead.load(base)
    style.apply(generator)
    for name, tensor in generator.state_dict().items():
        assert torch.equal(tensor, state[name]), name


def test_a_style_of_the_registered_generator(run: Run, base: Path) -> None:
    torch.save(stylised(base), "joker.pth")
    missing = run("weights", "import", "joker.pth")
    assert missing.code == 3
    assert "--base" in missing.err
    run("weights", "import", base)
    outcome = run("weights", "import", "joker.pth")
    assert outcome.code == 0, outcome
    assert "--preset panohead" in outcome.err
    assert run("weights", "import", "joker.pth").code == 2
    already = run("weights", "import", "joker.safetensors")
    assert already.code == 2
    assert "a style file already" in already.err


def test_state_dicts_that_are_no_style(run: Run, base: Path) -> None:
    state = PanoHead.load(base).state_dict()
    torch.save(state, "same.pth")
    assert "nothing is changed" in run("weights", "import", "same.pth", "--base", base).err
    torch.save({**state, "torgb.bias": torch.ones(9)}, "other.pth")
    other = run("weights", "import", "other.pth", "--base", base)
    assert (other.code, "`torgb.bias` has shape [9], not [3]" in other.err) == (1, True)
    torch.save({"decoder": torch.nn.Linear(2, 2)}, "module.pth")
    module = run("weights", "import", "module.pth", "--base", base)
    assert (module.code, "names torch.nn.modules.linear.Linear" in module.err) == (1, True)
    changed = {**state, "decoder.net.0.bias": state["decoder.net.0.bias"] + 1}
    torch.save(changed, "decoder.pth")
    assert (
        "is base.safetensors the right base?" in run("weights", "import", "decoder.pth", "--base", base).err
    )
    whole = run("weights", "import", SNAPSHOT, "--base", base)
    assert (whole.code, "nothing is changed" in whole.err) == (1, True)


@pytest.mark.parametrize("prefix", ["module.", "G_ema.", "generator."])
def test_prefixed_state_dicts_become_the_same_style(run: Run, base: Path, prefix: str) -> None:
    state = stylised(base)
    foreign = {"D.b4.conv.weight": torch.ones(2)} if prefix == "G_ema." else {}
    torch.save({prefix + name: tensor for name, tensor in state.items()} | foreign, "joker.pth")
    outcome = run("weights", "import", "joker.pth", "--base", base)
    assert outcome.code == 0, outcome
    assert f"`{prefix}...`" in outcome.err
    assert ("1 other tensors are left out" in outcome.err) == bool(foreign)
    assert load_style("joker.safetensors").tensors.keys() == {
        f"superresolution.block{i}.conv1.weight" for i in (0, 1)
    }


def test_the_average_in_a_training_script_s_file_is_taken(run: Run, base: Path) -> None:
    torch.save({"g": PanoHead.load(base).state_dict(), "g_ema": stylised(base)}, "a.pth")
    torch.save({"params": {"G_ema": stylised(base)}}, "b.pth")
    for name in ("a", "b"):
        outcome = run("weights", "import", f"{name}.pth", "--base", base)
        assert outcome.code == 0, outcome
        assert len(load_style(f"{name}.safetensors").tensors) == 2


def test_a_generator_tuned_to_a_person_becomes_a_style(run: Run, base: Path) -> None:
    tuned = PanoHead.load(base)
    tuned.load_state_dict(stylised(base))
    write_snapshot(Path("fintuned_generator.pkl"), tuned)
    outcome = run("weights", "import", "fintuned_generator.pkl", "--base", base)
    assert outcome.code == 0, outcome
    style = load_style("fintuned_generator.safetensors")
    generator = PanoHead.load(base)
    style.apply(generator)
    assert generator.fingerprint() != PanoHead.load(base).fingerprint()
    for name, tensor in generator.state_dict().items():
        assert torch.equal(tensor, tuned.state_dict()[name]), name
    write_snapshot(Path("other.pkl"), tuned, depth_resolution=5)
    other = run("weights", "import", "other.pkl", "--base", base)
    assert (other.code, "no variant of base.safetensors: they differ in `rendering`" in other.err) == (
        1,
        True,
    )


def test_a_tuned_generator_beside_the_registered_one_says_what_to_do(run: Run, base: Path) -> None:
    run("weights", "import", base)
    tuned = PanoHead.load(base)
    tuned.load_state_dict(stylised(base))
    write_snapshot(Path("me.pkl"), tuned)
    refused = run("weights", "import", "me.pkl")
    assert refused.code == 2
    assert f"--base {catalogue.local_path('panohead')} makes a style" in refused.err
    written = run("weights", "import", "me.pkl", "--out", "me.safetensors")
    assert f"stylehead weights import me.pkl --base {catalogue.local_path('panohead')}" in written.err
    replaced = run("weights", "import", "me.pkl", "--overwrite")
    assert "styles that were trained on that one do not fit" in replaced.err
    assert "do not fit" not in run("weights", "import", "me.pkl", "--overwrite").err


def test_a_file_that_is_refused_is_looked_at_before_what_is_registered(run: Run, base: Path) -> None:
    run("weights", "import", base)
    write_snapshot(
        Path("eg3d.pkl"), PanoHead.load(base), change=lambda net: net.state["_modules"].pop("t_mapping")
    )
    for more in ((), ("--overwrite",), ("--out", "x.safetensors")):
        outcome = run("weights", "import", "eg3d.pkl", *more)
        assert (outcome.code, "it is an EG3D network (tri-plane)" in outcome.err) == (1, True)
    assert PanoHead.load(catalogue.local_path("panohead")).fingerprint() == PanoHead.load(base).fingerprint()


def test_other_models_are_called_by_name(run: Run) -> None:
    unet = "model.diffusion_model.input_blocks"
    words = f"{unet}.1.1.transformer_blocks.0.attn2.to_k.weight"
    save_file({f"{unet}.0.0.weight": torch.ones(2, 4, 3, 3), words: torch.ones(2, 768)}, "rv51.safetensors")
    outcome = run("weights", "import", "rv51.safetensors")
    assert outcome.code == 1
    assert "rv51.safetensors is a Stable Diffusion 1.x checkpoint, not a head generator" in outcome.err
    assert "stylehead stylize --diffusion rv51.safetensors" in outcome.err
    torch.save({"lora_unet_down_attn2_to_k.lora_down.weight": torch.ones(4, 2048)}, "xl.pt")
    assert "xl.pt is a LoRA for Stable Diffusion XL" in run("weights", "import", "xl.pt").err


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_packed_folder_is_to_be_unpacked(run: Run, method: int) -> None:
    with zipfile.ZipFile("drive-download-001.zip", "w", method) as archive:
        archive.writestr("drive/easy-khair.pkl", b"x" * 100)
    outcome = run("weights", "import", "drive-download-001.zip")
    assert outcome.code == 1
    assert "is a packed archive that holds drive/easy-khair.pkl" in outcome.err
    assert "unpack it first" in outcome.err
    Path("a.tar.gz").write_bytes(b"\x1f\x8b" + bytes(30))
    assert "a.tar.gz is a packed archive." in run("weights", "import", "a.tar.gz").err


def test_damaged_generator_files_are_refused(run: Run, base: Path) -> None:
    tensors = load_file(base)
    save_file(tensors, "headless.safetensors")
    assert run("weights", "import", "headless.safetensors", "--base", base).code == 1  # nothing is changed
    header = {"stylehead.format": "generator-1", "stylehead.config": "[" * 100_000}
    save_file(tensors, "deep.safetensors", header)
    outcome = run("weights", "import", "deep.safetensors")
    assert (outcome.code, "configuration in its header is damaged" in outcome.err) == (1, True)
    tensors["torgb.bias"] = tensors["torgb.bias"].clone().fill_(torch.nan)
    save_file(
        tensors, "nan.safetensors", {"stylehead.format": "generator-1", "stylehead.config": config_of(base)}
    )
    assert "`torgb.bias` holds numbers that are not finite" in run("weights", "import", "nan.safetensors").err
    assert catalogue.local_path("panohead") is None


def config_of(path: Path) -> str:
    return PanoHead.load(path).config.to_json()


def test_folders_are_registered_under_an_id(run: Run) -> None:
    folder = Path("canny")
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    assert run("weights", "import", folder).code == 2
    missing = run("weights", "import", folder, "--id", "controlnet-canny")
    assert (missing.code, "has no diffusion_pytorch_model" in missing.err) == (1, True)
    (folder / "diffusion_pytorch_model.safetensors").write_bytes(b"x")
    assert run("weights", "import", folder, "--id", "controlnet-canny").code == 0
    assert run("weights", "path", "controlnet-canny", "-q").out == f"{folder.resolve()}\n"
    assert run("weights", "verify").code == 0
    (folder / "config.json").write_text("[]")
    changed = run("weights", "verify", "controlnet-canny")
    assert (changed.code, "changed" in changed.out) == (1, True)
    assert json.loads(run("weights", "verify", "--json").out)["files"][0]["state"] == "changed"
    (folder / "w600k_r50.onnx").write_bytes(b"x")
    assert run("weights", "import", folder, "--id", "insightface-buffalo_l").code == 4
    accept = ("--accept-license", "insightface")
    junk = run("weights", "import", folder, "--id", "insightface-buffalo_l", *accept)
    assert (junk.code, "w600k_r50.onnx is no ONNX model" in junk.err) == (1, True)
    assert store.read_record("insightface-buffalo_l") is None
    (folder / "w600k_r50.onnx").write_bytes(ONNX)
    assert run("weights", "import", folder, "--id", "insightface-buffalo_l").code == 0
    assert set(store.licences()) == {"insightface-buffalo_l", "insightface-antelopev2"}


def test_a_folder_inside_of_a_folder_of_its_name_is_found(run: Run) -> None:
    inner = Path("antelopev2", "antelopev2")
    inner.mkdir(parents=True)
    (inner / "glintr100.onnx").write_bytes(ONNX)
    accept = ("--accept-license", "insightface")
    outcome = run("weights", "import", inner.parent, "--id", "insightface-antelopev2", *accept, "-q")
    assert (outcome.code, outcome.out) == (0, f"{inner}\n")
    assert run("weights", "verify", "insightface-antelopev2").code == 0


def test_what_is_not_here_names_the_command(run: Run) -> None:
    outcome = run("weights", "path", "controlnet-canny")
    assert outcome.code == 3
    assert "stylehead weights fetch controlnet-canny" in outcome.err
    assert run("weights", "verify", "controlnet-canny").code == 3
    assert run("weights", "path", "controlnet-cany").code == 2
    assert run("weights", "path", "-q").out == f"{store.home()}\n"


def test_fetch_asks_for_what_it_needs(run: Run) -> None:
    by_hand = run("weights", "fetch", "panohead")
    assert by_hand.code == 3
    assert "easy-khair-180-gpc0.8-trans10-025000.pkl" in by_hand.err
    assert run("weights", "fetch", "insightface-buffalo_l").code == 4
    assert run("weights", "fetch", "--accept-license", "nonsense").code == 2
    offline = run("weights", "fetch", "--offline")
    assert offline.code == 3
    assert "--offline" in offline.err


def test_a_dry_run_needs_no_network(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("controlnet-canny", "realistic-vision-v5.1")
    forbidden = run("weights", "fetch", *names, "--dry-run", "--offline")
    assert forbidden.code == 0, forbidden
    assert "to download: 1.4 GB, 2 files" in forbidden.out
    assert "to download: 4.3 GB, several files" in forbidden.out
    assert "The network is forbidden: sizes are those of the catalogue." in forbidden.err
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setattr(fetch, "plan_download", functools.partial(fetch.plan_download, endpoint=address))
        unreachable = run("weights", "fetch", *names, "--dry-run")
    assert (unreachable.code, unreachable.out) == (0, forbidden.out)
    assert unreachable.err.count("warning: The Hugging Face Hub cannot be reached") == 1


def test_a_download_that_does_not_fit_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: types.SimpleNamespace(total=10**9, free=10**9))
    refused = run("weights", "fetch", "controlnet-canny", "--dry-run", "--offline")
    assert refused.code == 1
    assert "error: The download needs about 1.4 GB on the disk of" in refused.err
    assert "where 1.0 GB are free" in refused.err


def test_fetch_downloads_registers_and_reports(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"config.json": b"{}", "diffusion_pytorch_model.safetensors": b"x" * 2_500_000}
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    with serving(Hub("lllyasviel/sd-controlnet-canny", files)) as hub:
        for name in ("plan_download", "fetch"):
            function = functools.partial(getattr(fetch, name), endpoint=hub.address)
            monkeypatch.setattr(fetch, name, function)
        planned = json.loads(run("weights", "fetch", "controlnet-canny", "--dry-run", "--json").out)
        assert planned["weights"][0]["bytes"] == 2_500_002
        assert catalogue.local_path("controlnet-canny") is None
        outcome = run("weights", "fetch", "controlnet-canny")
        assert outcome.code == 0, outcome
        assert "2.5 MB from lllyasviel/sd-controlnet-canny" in outcome.err
        assert "MB 3/3  100.0%" in outcome.err
        path = catalogue.local_path("controlnet-canny")
        assert str(path) in outcome.out
        hub.requests.clear()
        assert run("weights", "fetch", "controlnet-canny", "-q").out == f"{path}\n"
        assert hub.requests == []
    assert "revision 0123456789ab, sha256 recorded" in run("weights", "list").out


def test_what_other_programs_left_is_registered_without_a_download(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / ".insightface" / "models" / "buffalo_l"
    folder.mkdir(parents=True)
    (folder / "det_10g.onnx").write_bytes(ONNX)
    accept = ("--accept-license", "insightface")
    assert run("weights", "verify", "insightface-buffalo_l").code == 2
    assert run("weights", "fetch", "insightface-buffalo_l", *accept, "-q").out == f"{folder}\n"
    assert run("weights", "verify", "insightface-buffalo_l").code == 0


def test_info_sends_foreign_files_to_the_import(run: Run) -> None:
    outcome = run("info", SNAPSHOT)
    assert outcome.code == 2
    assert f"stylehead weights import {SNAPSHOT}" in outcome.err


def test_a_person_at_a_terminal_is_asked(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from stylehead.cli import licences, weights

    monkeypatch.setattr(licences, "can_ask", lambda _: True)
    monkeypatch.setattr(weights, "can_ask", lambda _: True)
    monkeypatch.setattr("typer.confirm", lambda *_, **__: False)
    Path("evil.pkl").write_bytes(b"cos\nsystem\n.")
    assert "names os.system" in run("weights", "import", "evil.pkl").err  # before any question
    declined = run("weights", "import", SNAPSHOT)
    assert declined.code == 4
    assert "CC BY-NC-SA 4.0" in declined.err
    assert catalogue.local_path("panohead") is None
    assert list((store.home() / "weights" / "panohead").iterdir()) == []
    monkeypatch.setattr("typer.confirm", lambda *_, **__: True)
    assert run("weights", "import", SNAPSHOT).code == 0
    assert catalogue.accepted("panohead")


def test_refused_files_leave_nothing(run: Run) -> None:
    buffer = io.BytesIO()
    torch.save(torch.nn.Linear(2, 2), buffer)
    Path("evil.pkl").write_bytes(buffer.getvalue())
    outcome = run("weights", "import", "evil.pkl")
    assert outcome.code == 1
    assert outcome.err.splitlines()[1:] == [
        " hint: stylehead weights import --help says what can be imported"
    ]
    assert store.read_record("panohead") is None
    assert not [path for path in store.home().rglob("*") if path.is_file() and path.name != ".panohead.lock"]
    assert run("weights", "import", "nothing.pkl").code == 2
