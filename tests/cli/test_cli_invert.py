"""`stylehead invert`: what it writes, how it goes on, and what it refuses."""

import io
import json
import shutil
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cli_helpers import Outcome, Run
from PIL import Image
from syrupy.assertion import SnapshotAssertion

from stylehead.errors import JobError
from stylehead.export.recipe import read_recipe
from stylehead.generator import PanoHead
from stylehead.geometry import camera_from_angles
from stylehead.inversion import FaceFinder, assess, inversion_config
from stylehead.inversion import inverter as invert_module
from stylehead.inversion.finders import Chosen
from stylehead.inversion.guess import POOLED, Guess
from stylehead.inversion.pose import rotation_between_deg
from stylehead.inversion.search import GridConfig
from stylehead.jobs import projecting
from stylehead.perception.embedded import IdentityEncoder, ImageTextEncoder, StyleClassifier
from stylehead.runs import RunDirectory
from stylehead.weights import presets

sys.path.append(str(Path(__file__).parents[1] / "inversion"))
from inversion_helpers import FakeAnalyser

FAST = ("--steps", "4", "--starts", "2")
FACE_AT = (camera_from_angles(0.3), 40.0, (150.0, 110.0))


@pytest.fixture(autouse=True)
def _small_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search of a few renders, from latents of a few samples."""
    monkeypatch.setattr(
        invert_module, "GridConfig", lambda: GridConfig(heads=2, resolution=6, yaw_step_deg=60)
    )
    monkeypatch.setattr(inversion_config, "PEOPLE", 6)


@pytest.fixture
def faces(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make the detector see faces: cameras, sizes, places."""

    def see(*found: object, points: bool = True) -> None:
        finder = FaceFinder(FakeAnalyser(*found, points=points))  # type: ignore[arg-type]
        chosen = Chosen(finder, None, "Faces are found by a stand-in.")
        monkeypatch.setattr("stylehead.jobs.cropping.load_face_finder", lambda: chosen)

    return see


@pytest.fixture
def head(tmp_path: Path, run: Run) -> Path:
    """An aligned picture with a plain background."""
    y, x = np.mgrid[:96, :96]
    pixels = np.full((96, 96, 3), 255, np.uint8)
    pixels[(x - 48) ** 2 + (y - 44) ** 2 < 900] = (180, 120, 90)
    Image.fromarray(pixels).save(tmp_path / "me.png")
    return Path("me.png")


@pytest.fixture
def photo(tmp_path: Path, run: Run) -> Path:
    """A photograph, in which `faces` may see faces."""
    noise = np.random.default_rng(0).integers(0, 256, (220, 300, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "us.jpg")
    return Path("us.jpg")


def only_run() -> Path:
    (path,) = Path("runs").iterdir()
    return path


# ----------------------------------------------------------------------------------------- what comes out


def test_an_aligned_picture_gives_a_head_that_renders(run: Run, head: Path, world: Path) -> None:
    outcome = run("invert", head, "--aligned", *FAST, "-q")
    assert outcome.code == 0, outcome
    latent = Path(outcome.out.strip())
    folder = only_run()
    assert latent == folder / "latent.npz"
    names = {path.name for path in folder.iterdir()} - {".lock"}
    assert names == {"run.json", "events.jsonl", "latent.npz", "aligned.png", "contact_sheet.jpg", "previews"}
    generator = PanoHead.load(world / "generator.safetensors")
    with np.load(latent, allow_pickle=False) as file:
        assert file["w"].shape == (1, generator.num_ws, generator.config.w_dim)
        assert file["camera"].shape == (25,)
    assert run("render", "--latent", latent, "--yaw-steps", "2", "--format", "sheet").code == 0
    with Image.open(folder / "aligned.png") as picture:
        assert picture.size == (64, 64)
    assert read_recipe(folder / "contact_sheet.jpg")["command"] == "invert"


def test_the_manifest_says_how_good_it_is(run: Run, head: Path) -> None:
    outcome = run("invert", head, "--aligned", *FAST, "--json")
    document = json.loads(outcome.out)
    manifest = json.loads((only_run() / "run.json").read_text())
    assert document["manifest"] == manifest
    assert manifest["outcome"] == "finished"
    assert manifest["mask"] == "plain background"
    assert manifest["start_camera"] is None
    assert len(manifest["photo_sha256"]) == 64
    quality = document["quality"]
    assert 0 < quality["outline"] <= 1
    assert -180 <= quality["yaw_deg"] <= 180
    assert quality["identity"] is None  # the tiny world has no such network
    assert quality["warnings"]
    assert "warning: A poor likeness" in outcome.err
    events = RunDirectory.open(only_run()).events()
    assert [event["step"] for event in events] == list(range(1, 17))
    assert {"pixel", "mask", "loss"} <= set(events[0])


def test_networks_beside_the_generator_judge(
    run: Run, head: Path, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(world, tmp_path / "other")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        IdentityEncoder().save(tmp_path / "other" / "identity.safetensors", {})
        ImageTextEncoder().save(tmp_path / "other" / "image_text.safetensors", {})
        StyleClassifier().save(tmp_path / "other" / "style_classifier.safetensors", {})
    monkeypatch.setattr(presets, "MINI_WEIGHTS", tmp_path / "other")
    count = sum(
        width * size**2 for _ in range(2) for width, size in zip((24, 48, 96, 128), POOLED, strict=True)
    )
    guess = Guess(torch.zeros(count, 3), torch.zeros(3), torch.zeros(1, 32), torch.zeros(32), "", "other")
    guess.save(tmp_path / "other" / "guess.safetensors", {})
    outcome = run("invert", head, "--aligned", *FAST, "--json")
    assert "The first guess beside the generator was fitted to other encoders" in outcome.err
    assert "procedural heads only" not in outcome.err  # a plain background: it may be one of those
    quality = json.loads(outcome.out)["quality"]
    assert -1 <= quality["identity"] <= 1
    assert quality["perceptual"] >= 0


def test_the_camera_in_the_list_beside_the_pictures_is_taken(run: Run, head: Path) -> None:
    wanted = camera_from_angles(0.3, 0.1)[0].tolist()
    labels = [["other.png", [0] * 25], [head.name, [str(number) for number in wanted]]]
    Path("dataset.json").write_text(json.dumps({"labels": labels}))
    outcome = run("invert", head, "--aligned", "--camera", "dataset.json", *FAST, "--json")
    assert outcome.code == 0, outcome
    start = json.loads(outcome.out)["manifest"]["start_camera"]
    assert start == pytest.approx(wanted, abs=1e-6)


def test_a_camera_that_does_not_look_at_the_head_is_refused(run: Run, head: Path) -> None:
    np.save("identity.npy", np.concatenate([np.eye(4).reshape(16), camera_from_angles(0.0)[0, 16:].numpy()]))
    outcome = run("invert", head, "--aligned", "--camera", "identity.npy", *FAST)
    assert outcome.code == 1
    assert "does not look at the head: it stands inside of the head" in outcome.err


def test_a_known_camera_is_kept(run: Run, head: Path) -> None:
    outcome = run("invert", head, "--aligned", "--camera", "20,-5", *FAST, "--json")
    quality = json.loads(outcome.out)["quality"]
    assert quality["yaw_deg"] == pytest.approx(20, abs=1e-3)
    assert quality["pitch_deg"] == pytest.approx(-5, abs=1e-3)
    again = run(
        "invert", head, "--aligned", "--camera", only_run() / "latent.npz", *FAST, "--json", "--out", "runs/b"
    )
    assert json.loads(again.out)["quality"]["yaw_deg"] == pytest.approx(20, abs=1e-3)


def test_a_photograph_is_cropped_and_its_pose_found(
    run: Run, photo: Path, faces: Callable[..., None]
) -> None:
    faces(FACE_AT, (camera_from_angles(0.0), 20.0, (50.0, 40.0)))
    outcome = run("invert", photo, *FAST)
    assert outcome.code == 0, outcome
    assert "us.jpg shows 2 faces; the largest is taken" in outcome.err
    assert "--face 2" in outcome.err
    assert "knows procedural heads only" in outcome.err
    assert "cut out by its colours" in outcome.err
    manifest = json.loads((only_run() / "run.json").read_text())
    assert manifest["face"] == 1
    assert len(manifest["start_camera"]) == 25
    assert manifest["camera_fixed"] is False
    assert abs(manifest["quality"]["yaw_deg"] - 17.2) < 10
    assert manifest["quality"]["face"] is None  # these models had no recognition


def test_another_face(run: Run, photo: Path, faces: Callable[..., None]) -> None:
    faces(FACE_AT, (camera_from_angles(-0.6), 30.0, (80.0, 80.0)))
    outcome = run("invert", photo, "--face", "2", *FAST, "--json")
    assert json.loads(outcome.out)["manifest"]["face"] == 2
    assert "faces; the largest" not in outcome.err
    assert run("invert", photo, "--face", "3", *FAST).code == 2


def test_five_points_are_enough(run: Run, photo: Path, faces: Callable[..., None]) -> None:
    faces(FACE_AT, points=False)
    start = json.loads(run("invert", photo, *FAST, "--json").out)["manifest"]["start_camera"]
    assert len(start) == 25  # five points of another mean face: about from where it is
    assert float(rotation_between_deg(torch.tensor([start]), FACE_AT[0])) < 15


def test_a_sheet_numbers_the_faces(run: Run, photo: Path, faces: Callable[..., None]) -> None:
    faces(FACE_AT, (camera_from_angles(0.0), 30.0, (50.0, 40.0)))
    outcome = run("invert", photo, *FAST, "--json")
    assert "faces.jpg numbers the faces" in outcome.err
    with Image.open(only_run() / "faces.jpg") as picture, Image.open(photo) as plain:
        drawn, before = np.asarray(picture).astype(int), np.asarray(plain).astype(int)
    changed = np.abs(drawn - before).max(axis=2) > 60
    assert drawn.shape == before.shape
    assert changed[:70, :90].mean() > 0.05  # a box round the small face, and one round the large
    assert changed[60:170, 110:200].mean() > 0.05
    assert changed[190:, 220:].mean() < 0.02


def test_a_render_needs_no_detector(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise AssertionError("a face was looked for")

    monkeypatch.setattr("stylehead.jobs.cropping.load_face_finder", none)
    assert run("render", "--seed", "3", "--yaw-steps", "8", "--format", "frames", "--out", "r").code == 0
    outcome = run("invert", "r/frames/frame_001.png", *FAST, "--json")
    assert outcome.code == 0, outcome
    assert "is a render of stylehead: its camera is known" in outcome.err
    document = json.loads(outcome.out)
    assert document["manifest"]["picture"] == "render"
    assert document["quality"]["yaw_deg"] == pytest.approx(45, abs=1e-3)
    assert "procedural heads only" not in outcome.err


def test_a_likeness_can_be_asked_for(run: Run, head: Path) -> None:
    outcome = run("invert", head, "--aligned", *FAST, "--fail-under", "0.99")
    assert outcome.code == 1
    assert "warning: The likeness could not be measured." in outcome.err  # the tiny world has no judge
    assert run("invert", head, "--aligned", *FAST, "--fail-under", "likeness").code == 1
    assert run("invert", head, "--aligned", *FAST).code == 0


def test_an_aligned_picture_that_nobody_is_like_may_be_in_a_style(
    run: Run, head: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unlike(*inputs: Any, **others: Any) -> Any:
        quality, image = assess(*inputs, **others)
        return quality._replace(likeness=False), image

    said = "for the person behind a picture in a style, give a picture from before it"
    assert said not in run("invert", head, "--aligned", *FAST).err
    monkeypatch.setattr(projecting, "assess", unlike)
    outcome = run("invert", head, "--aligned", *FAST)
    assert outcome.code == 0
    assert said in " ".join(outcome.err.split())


def test_alpha_is_used_and_kept(run: Run, tmp_path: Path) -> None:
    pixels = np.full((80, 80, 4), 90, np.uint8)
    pixels[..., 3] = 0
    pixels[20:70, 20:60, 3] = 255
    Image.fromarray(pixels).save(tmp_path / "me.png")
    assert run("invert", "me.png", "--aligned", *FAST).code == 0
    assert json.loads((only_run() / "run.json").read_text())["mask"] == "alpha"
    with Image.open(only_run() / "aligned.png") as picture:
        assert picture.mode == "RGBA"


def test_pti_saves_a_personal_style(run: Run, head: Path) -> None:
    outcome = run("invert", head, "--aligned", "--pti", "--pti-steps", "2", *FAST)
    assert outcome.code == 0, outcome
    personal = only_run() / "personal.safetensors"
    assert f"--style {personal}" in outcome.err
    latent = only_run() / "latent.npz"
    words = ("--latent", latent, "--style", personal, "--yaw-steps", "2", "--format", "sheet")
    assert run("render", *words).code == 0
    described = run("info", personal)
    assert "personal: me.png" in described.out
    assert str(latent) in described.err


def test_info_knows_inversions(run: Run, head: Path) -> None:
    run("invert", head, "--aligned", *FAST)
    described = run("info", only_run())
    assert "me.png" in described.out
    assert "finished" in described.out
    assert f"stylehead render --latent {only_run() / 'latent.npz'}" in described.err
    assert "kind       inversion" in described.out or "inversion" in described.out.splitlines()[0]


def test_published_latents_load(run: Run, world: Path) -> None:
    generator = PanoHead.load(world / "generator.safetensors")
    w = np.random.default_rng(0).normal(size=(1, generator.num_ws, generator.config.w_dim))
    np.savez("published_ws.npz", w=w.astype(np.float32))
    assert run("render", "--latent", "published_ws.npz", "--yaw-steps", "1", "--format", "sheet").code == 0
    np.savez("single.npz", w=w[:, :1])
    outcome = run("render", "--latent", "single.npz", "--yaw-steps", "1", "--format", "sheet")
    assert outcome.code == 0, outcome
    np.savez("full.npz", w=np.zeros((1, 14, 512), np.float32))
    outcome = run("render", "--latent", "full.npz")
    assert outcome.code == 1
    assert "--preset panohead" in outcome.err


def test_a_dry_run_writes_nothing(run: Run, head: Path, tmp_path: Path) -> None:
    outcome = run("invert", head, "--aligned", "--dry-run", "--pti", "--json")
    document = json.loads(outcome.out)
    assert document["dry_run"] is True
    assert document["seconds"] > 0
    assert "personal.safetensors" in document["files"]
    assert [path.name for path in tmp_path.iterdir()] == ["me.png"]
    said = run("invert", head, "--aligned", "--dry-run").out
    assert "about" in said
    assert "aligned picture, the head is " in said


# ------------------------------------------------------------------------------------------- going on


class Asked(projecting.StopRequest):
    """Ctrl-C was pressed already."""

    def __enter__(self) -> "Asked":
        self.asked = True
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_a_face_at_the_edge_goes_on_with_what_the_photograph_shows(
    run: Run, photo: Path, faces: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    faces((camera_from_angles(0.3), 60.0, (30.0, 40.0)))
    assert run("invert", photo, *FAST, "--out", "whole").code == 0
    frame = json.loads(Path("whole/run.json").read_text())["frame"]
    with Image.open(photo) as picture:
        assert (frame["width"], frame["height"]) == picture.size
    assert frame["centre"][0] - abs(frame["right"][0]) < 0  # it reaches beyond the picture
    with monkeypatch.context() as patch:
        patch.setattr(projecting, "StopRequest", Asked)
        assert run("invert", photo, *FAST, "--out", "stopped").code == 130
    assert run("invert", "--resume", "stopped").code == 0
    with np.load("whole/latent.npz") as whole, np.load("stopped/latent.npz") as stopped:
        np.testing.assert_array_equal(whole["w"], stopped["w"])


def test_a_stopped_run_goes_on(run: Run, head: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(projecting, "StopRequest", Asked)
        stopped = run("invert", head, "--aligned", *FAST)
    path = only_run()
    assert stopped.code == 130
    assert f"hint: stylehead invert --resume {path}" in stopped.err
    assert json.loads((path / "run.json").read_text())["outcome"] == "interrupted"
    assert f"stylehead invert --resume {path}" in run("info", path).err
    refused = run("invert", head, "--aligned", *FAST, "--out", path)
    assert refused.code == 2
    assert f"hint: stylehead invert --resume {path}" in refused.err
    head.unlink()  # the crop is in the run
    outcome = run("invert", "--resume", path)
    assert outcome.code == 0, outcome
    assert (path / "latent.npz").is_file()
    assert json.loads((path / "run.json").read_text())["config"]["steps"] == 4
    steps = [event["step"] for event in RunDirectory(path).events() if event["stage"] == "project"]
    assert steps == sorted(set(steps))  # those of before the stop are there once
    assert steps


def test_tuning_can_be_added_later(run: Run, head: Path) -> None:
    run("invert", head, "--aligned", *FAST)
    path = only_run()
    before = (path / "latent.npz").read_bytes()
    refused = run("invert", "--resume", path)
    assert refused.code == 2
    assert f"hint: stylehead invert --resume {path} --pti" in refused.err
    outcome = run("invert", "--resume", path, "--pti", "--pti-steps", "2")
    assert outcome.code == 0, outcome
    assert (path / "latent.npz").read_bytes() == before
    assert (path / "personal.safetensors").is_file()
    assert run("invert", "--resume", path, "--pti").code == 2


def test_overwriting(run: Run, head: Path) -> None:
    assert run("invert", head, "--aligned", *FAST, "--out", "r").code == 0
    assert run("invert", head, "--aligned", *FAST, "--out", "r").code == 2
    Path("r/mine.txt").write_text("keep")
    assert run("invert", head, "--aligned", *FAST, "--out", "r", "--overwrite").code == 0
    assert Path("r/mine.txt").read_text() == "keep"


def test_a_failed_run_says_so(run: Run, head: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise JobError("The projection does not converge: its loss is not finite.")

    monkeypatch.setattr("stylehead.inversion.inverter.Inverter.project", fail)
    assert run("invert", head, "--aligned", *FAST).code == 1
    manifest = json.loads((only_run() / "run.json").read_text())
    assert manifest["outcome"] == "failed"
    assert "not finite" in manifest["error"]


def test_a_run_of_another_generator_does_not_go_on(
    run: Run, head: Path, world: Path, other_generator: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("invert", head, "--aligned", *FAST)
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(other_generator, tmp_path / "elsewhere" / "generator.safetensors")
    monkeypatch.setattr(presets, "MINI_WEIGHTS", tmp_path / "elsewhere")
    outcome = run("invert", "--resume", only_run(), "--pti")
    assert outcome.code == 1
    assert "another generator" in outcome.err


# ------------------------------------------------------------------------------------------- bad pictures


def png(width: int, height: int, *, cut: bool = False) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    body = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return body if cut else body + chunk(b"IDAT", zlib.compress(b"\0" * 10)) + chunk(b"IEND", b"")


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(width: int = 64, height: int = 64) -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (height, width, 3)).astype(np.uint8))


def sideways() -> bytes:
    exif = Image.Exif()
    exif[274] = 6
    return encoded(noise(90, 60), "JPEG", exif=exif)


def floats(value: float) -> bytes:
    return encoded(Image.fromarray(np.full((64, 64), value, np.float32)), "TIFF")


BAD: dict[str, Callable[[], bytes]] = {
    "empty.jpg": lambda: b"",
    "one_byte.jpg": lambda: b"\xff",
    "text.jpg": lambda: b"this is no picture\n" * 20,
    "html.png": lambda: b"<!DOCTYPE html><html>404</html>",
    "zip.png": lambda: b"PK\x03\x04" + b"\0" * 100,
    "pickle.jpg": lambda: b"\x80\x04\x95\x0e\0\0\0\0\0\0\0\x8c\x05posix\x94.",
    "random.png": lambda: np.random.default_rng(0).bytes(5000),
    "truncated.jpg": lambda: encoded(noise(300, 300), "JPEG")[:3000],
    "truncated.png": lambda: encoded(noise(300, 300), "PNG")[:3000],
    "truncated.webp": lambda: encoded(noise(300, 300), "WEBP")[:3000],
    "truncated.gif": lambda: encoded(noise(), "GIF")[:400],
    "header_only.png": lambda: png(64, 64, cut=True),
    "wrong_data.png": lambda: png(64, 64),
    "one_pixel.png": lambda: encoded(noise(1, 1), "PNG"),
    "one_row.png": lambda: encoded(noise(500, 1), "PNG"),
    "tiny.jpg": lambda: encoded(noise(20, 20), "JPEG"),
    "huge_header.png": lambda: png(40000, 40000),
    "large_header.png": lambda: png(13000, 13000),
    "wide_header.png": lambda: png(2**31 - 1, 1),
    "clear.png": lambda: encoded(Image.new("RGBA", (64, 64), (9, 9, 9, 0)), "PNG"),
    "nan.tiff": lambda: floats(float("nan")),
    "infinite.tiff": lambda: floats(float("inf")),
    "garbage_jpeg.jpg": lambda: b"\xff\xd8\xff\xe0" + b"\xaa" * 2000,
    "bad_bmp.bmp": lambda: b"BM" + b"\xff" * 200,
    "bad_tiff.tif": lambda: b"II*\0" + b"\xff" * 200,
    "svg.png": lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>",
}
FACELESS: dict[str, Callable[[], bytes]] = {
    "tree.jpg": lambda: encoded(noise(), "JPEG"),
    "sideways.jpg": sideways,
    "grey.png": lambda: encoded(noise().convert("L"), "PNG"),
    "cmyk.jpg": lambda: encoded(noise().convert("CMYK"), "JPEG"),
    "animated.gif": lambda: encoded(noise(), "GIF", save_all=True, append_images=[noise(), noise()]),
    "deep.png": lambda: encoded(Image.fromarray(np.full((64, 64), 40000, np.uint16)), "PNG"),
    "wide.png": lambda: encoded(noise(2000, 40), "PNG"),
    "black.jpg": lambda: encoded(Image.new("RGB", (64, 64)), "JPEG"),
}


def check_one_sentence(outcome: Outcome, code: int, name: str) -> None:
    assert outcome.code == code, outcome
    errors = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert name in errors[0]
    assert errors[0].endswith(".")
    assert "Traceback" not in outcome.err
    assert "Unexpected" not in outcome.err
    assert outcome.out == ""
    assert not Path("runs").exists()


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_picture_gives_one_sentence(run: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(BAD[name]())
    for words in ((), ("--aligned",)):
        check_one_sentence(run("invert", name, *words), 1, name)


@pytest.mark.parametrize("name", FACELESS)
def test_no_face_gives_one_sentence(run: Run, tmp_path: Path, faces: Callable[..., None], name: str) -> None:
    faces()
    (tmp_path / name).write_bytes(FACELESS[name]())
    outcome = run("invert", name)
    check_one_sentence(outcome, 1, name)
    assert "hint: use a picture that shows the face larger" in outcome.err


def test_thirty_bad_pictures() -> None:
    assert len(BAD) + len(FACELESS) >= 30


@pytest.mark.parametrize("name", ["sideways.jpg", "black.jpg", "animated.gif", "cmyk.jpg", "wide.png"])
def test_odd_pictures_are_inverted_all_the_same(run: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(FACELESS[name]())
    assert run("invert", name, "--aligned", *FAST).code == 0


WORDS: dict[str, tuple[tuple[str, ...], int]] = {
    "no picture": ((), 2),
    "picture is missing": (("none.jpg",), 2),
    "picture is a folder": (("folder", "--aligned"), 2),
    "no detector": (("us.jpg",), 3),
    "likeness in words": (("me.png", "--aligned", "--fail-under", "good"), 2),
    "likeness out of range": (("me.png", "--aligned", "--fail-under", "1.5"), 2),
    "camera without aligned": (("us.jpg", "--camera", "1,2"), 2),
    "face of an aligned picture": (("me.png", "--aligned", "--face", "1"), 2),
    "face zero": (("us.jpg", "--face", "0"), 2),
    "camera in words": (("me.png", "--aligned", "--camera", "left,up"), 2),
    "camera of one number": (("me.png", "--aligned", "--camera", "20"), 2),
    "camera out of range": (("me.png", "--aligned", "--camera", "20,95"), 2),
    "camera is nan": (("me.png", "--aligned", "--camera", "nan,5"), 2),
    "camera file is missing": (("me.png", "--aligned", "--camera", "none.npz"), 2),
    "camera file is garbage": (("me.png", "--aligned", "--camera", "garbage.npz"), 1),
    "camera file without camera": (("me.png", "--aligned", "--camera", "bare.npz"), 1),
    "camera list too short": (("me.png", "--aligned", "--camera", "short.json"), 1),
    "camera list is text": (("me.png", "--aligned", "--camera", "text.json"), 1),
    "no steps": (("me.png", "--aligned", "--steps", "0"), 2),
    "too many steps": (("me.png", "--aligned", "--steps", "99999"), 2),
    "no tuning steps": (("me.png", "--aligned", "--pti", "--pti-steps", "0"), 2),
    "no starts": (("me.png", "--aligned", "--starts", "0"), 2),
    "unknown preset": (("me.png", "--aligned", "--preset", "maxi"), 2),
    "no gpu": (("me.png", "--aligned", "--device", "cuda"), 3),
    "out is a file": (("me.png", "--aligned", "--out", "me.png"), 2),
    "out holds other things": (("me.png", "--aligned", "--out", "folder"), 2),
    "resume of nothing": (("--resume", "runs/none"), 2),
    "resume of no run": (("--resume", "folder"), 2),
    "resume of a style": (("--resume", "style"), 2),
    "resume with a picture": (("me.png", "--resume", "style"), 2),
    "resume with steps": (("--resume", "style", "--steps", "9"), 2),
}


@pytest.mark.parametrize("name", WORDS)
def test_invert_refuses(
    run: Run,
    tmp_path: Path,
    head: Path,
    photo: Path,
    monkeypatch: pytest.MonkeyPatch,
    snapshot: SnapshotAssertion,
    name: str,
) -> None:
    monkeypatch.setattr("stylehead.inversion.finders.catalogue.local_path", lambda _id: None)
    monkeypatch.setattr("stylehead.inversion.centerface.installed_file", lambda: None)
    for folder in ("folder", "style"):
        (tmp_path / folder).mkdir()
    (tmp_path / "folder" / "mine.txt").write_text("keep")
    (tmp_path / "style" / "run.json").write_text('{"format": 1, "config": {"prompt": "a joker"}}')
    (tmp_path / "garbage.npz").write_bytes(b"PK garbage")
    np.savez(tmp_path / "bare.npz", w=np.zeros((1, 2, 3), np.float32))
    (tmp_path / "short.json").write_text("[1, 2, 3]")
    (tmp_path / "text.json").write_text('"left"')
    before = sorted(path.as_posix() for path in tmp_path.rglob("*") if path.name != ".lock")
    words, code = WORDS[name]
    outcome = run("invert", *words)
    assert outcome.code == code, outcome
    assert sorted(path.as_posix() for path in tmp_path.rglob("*") if path.name != ".lock") == before
    said = [line for line in outcome.err.splitlines() if not line.startswith("preset ")]
    assert "\n".join(said) == snapshot
