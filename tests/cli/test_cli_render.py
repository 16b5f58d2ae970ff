"""Rendering from the command line: files, styles, latents, meshes."""

import json
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
import torch
import trimesh
from cli_helpers import Run
from PIL import Image

from stylehead.export.frames import Look, render_frames
from stylehead.export.orbit import Shot, orbit
from stylehead.export.recipe import read_recipe
from stylehead.export.views import latent_from_seed
from stylehead.generator import PanoHead, load_style
from stylehead.images import on_white

SMALL = ("render", "--yaw-steps", "4")


@pytest.fixture
def generator(world: Path) -> PanoHead:
    return PanoHead.load(world / "generator.safetensors")


def frames_of(path: Path) -> np.ndarray:
    with av.open(str(path)) as film:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)])


def stills_of(folder: Path) -> np.ndarray:
    return np.stack([np.asarray(Image.open(path)) for path in sorted(folder.glob("*.png"))])


def expected_frames(generator: PanoHead, seed: int, steps: int = 4) -> np.ndarray:
    return render_frames(generator, latent_from_seed(generator, seed, psi=0.75), orbit(steps))


def test_the_plain_command_makes_film_frames_and_sheet(run: Run, generator: PanoHead) -> None:
    outcome = run("render", "--seed", "42", "--yaw-steps", "36")
    assert outcome.code == 0
    assert outcome.out.splitlines() == [
        "folder         renders/seed-42",
        "mp4            renders/seed-42/turntable.mp4",
        "frames         renders/seed-42/frames",
        "contact sheet  renders/seed-42/contact_sheet.jpg",
    ]
    stills = stills_of(Path("renders/seed-42/frames"))
    assert np.array_equal(stills, expected_frames(generator, 42, 36))
    film = frames_of(Path("renders/seed-42/turntable.mp4"))
    assert film.shape == stills.shape
    assert np.abs(film.astype(int) - stills).mean() < 4
    assert outcome.err.splitlines()[-1].startswith("view 36/36  100.0%")  # no style here fits: nothing next


@pytest.mark.parametrize(
    ("words", "following"),
    [
        (("--seed", "3"), "--seed 3 --style mine"),
        (("--seeds", "3,4", "--psi", "0.5"), "--seeds 3,4 --psi 0.5 --style mine"),
        (("--style", "mine", "--strength", "0.5"), "--seed 0 --style mine --strength 0.5 --mesh head.glb"),
        (("--style", "runs/mine", "--seeds", "3,4"), None),
        (("--seeds", "3,4", "--morph"), None),
    ],
)
def test_a_head_may_wear_a_style_next_and_one_in_a_style_become_a_mesh(
    run: Run, finished: Path, words: tuple[str, ...], following: str | None
) -> None:
    finished.rename("runs/mine")
    outcome = run("render", "--yaw-steps", "2", "--format", "gif", *words)
    assert outcome.code == 0, outcome
    said = [line for line in outcome.err.splitlines() if line.startswith("next: ")]
    assert said == ([] if following is None else [f"next: stylehead render {following}"])


def test_no_option_is_needed(run: Run) -> None:
    assert run("render", "-q").out == "renders/seed-0\n"


def test_nothing_is_ever_overwritten_unasked(run: Run) -> None:
    names = [run(*SMALL, "-q").out.strip() for _ in range(3)]
    assert names == ["renders/seed-0", "renders/seed-0-2", "renders/seed-0-3"]


def test_out_is_replaced_on_request_only(run: Run) -> None:
    assert run(*SMALL, "--out", "a/b").code == 0
    before = Path("a/b/render.json").read_bytes()
    refused = run(*SMALL, "--seed", "1", "--out", "a/b")
    assert refused.code == 2
    assert "a/b already holds a render." in refused.err
    assert Path("a/b/render.json").read_bytes() == before
    assert run(*SMALL, "--seed", "1", "--format", "gif", "--out", "a/b", "--overwrite").code == 0
    assert sorted(path.name for path in Path("a/b").iterdir()) == ["render.json", "turntable.gif"]
    assert [path.name for path in Path("a").iterdir()] == ["b"]


@pytest.mark.parametrize("flags", [(), ("--overwrite",)])
def test_a_folder_of_someone_else_is_never_touched(run: Run, tmp_path: Path, flags: tuple[str, ...]) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.jpg").write_bytes(b"x")
    outcome = run(*SMALL, "--out", "photos", *flags)
    assert outcome.code == 2
    assert "photos is not empty and was not made by render." in outcome.err
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["me.jpg"]


def test_a_stopped_render_leaves_nothing(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from stylehead.jobs import render as rendering

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(rendering, "save_image", stop)
    outcome = run(*SMALL, "--out", "r")
    assert outcome.code == 130
    assert list(tmp_path.iterdir()) == []


def test_all_formats_together(run: Run) -> None:
    assert run(*SMALL, "--format", "gif,webp,mp4,frames,sheet").code == 0
    names = {path.name for path in Path("renders/seed-0").iterdir()}
    films = {"turntable.gif", "turntable.webp", "turntable.mp4"}
    assert names == {"render.json", "contact_sheet.jpg", "frames"} | films


def test_json_names_every_file(run: Run) -> None:
    document = json.loads(run(*SMALL, "--seed", "7", "--json").out)
    assert document["heads"] == ["seed-7"]
    assert all(Path(path).exists() for path in document["files"])
    assert document["preset"] == "mini"


def test_the_recipe_travels_with_every_file(run: Run, finished: Path) -> None:
    style = ("--style", str(finished / "style.safetensors"), "--strength", "0.5")
    mesh = ("--mesh", "head.glb", "--mesh-level", "-1", "--mesh-resolution", "32")
    assert run(*SMALL, "--seed", "7", *style, *mesh, "--out", "r").code == 0
    for path in ("r/turntable.mp4", "r/contact_sheet.jpg", "r/frames/frame_001.png", "head.glb"):
        recipe = read_recipe(Path(path))
        assert recipe["prompt"] == "Pixar character"
        assert recipe["styles"][0]["strength"] == 0.5
        assert recipe["heads"] == ["seed-7"]
        assert recipe["stylehead"]


# ---------------------------------------------------------------------------------------------------- styles


def test_strength_0_is_the_source_and_1_the_style(run: Run, finished: Path, generator: PanoHead) -> None:
    style = finished / "style.safetensors"
    for strength in ("0", "1"):
        assert run(*SMALL, "--style", style, "--strength", strength, "--out", f"s{strength}").code == 0
    plain = expected_frames(generator, 0)
    assert np.array_equal(stills_of(Path("s0/frames")), plain)
    load_style(style).apply(generator, 1.0)
    assert np.array_equal(stills_of(Path("s1/frames")), expected_frames(generator, 0))
    assert not np.array_equal(stills_of(Path("s1/frames")), plain)


def test_side_by_side_shows_the_source_first(run: Run, finished: Path, generator: PanoHead) -> None:
    assert run(*SMALL, "--style", finished / "style.safetensors", "--side-by-side", "--out", "r").code == 0
    stills = stills_of(Path("r/frames"))
    assert np.array_equal(stills[:, :, :64], expected_frames(generator, 0))
    assert not np.array_equal(stills[:, :, -64:], stills[:, :, :64])
    assert frames_of(Path("r/turntable.mp4")).shape[2] == 64 + 4 + 64


def test_a_folder_is_called_by_the_head_and_then_by_the_style(run: Run, finished: Path) -> None:
    shutil.copy(finished / "style.safetensors", "toon.safetensors")
    for style, strength, name in (
        (str(finished), "1", "seed-0-pixar-character"),
        ("toon.safetensors", "1", "seed-0-toon"),
        ("toon.safetensors", "0.5", "seed-0-toon-at-0-5"),
    ):
        small = ("--yaw-steps", "1", "--format", "frames", "--style", style, "--strength", strength)
        assert run("render", *small, "-q").out == f"renders/{name}\n"


def test_two_styles_mix(run: Run, finished: Path) -> None:
    style = str(finished / "style.safetensors")
    halves = ("--style", style, "--strength", "0.5", "--style", style, "--strength", "0.5")
    assert run(*SMALL, *halves, "--out", "halves").code == 0
    assert run(*SMALL, "--style", style, "--out", "one").code == 0
    first, second = stills_of(Path("halves/frames")), stills_of(Path("one/frames"))
    assert np.abs(first.astype(int) - second).max() <= 1


# ------------------------------------------------------------------------------------------ heads and cameras


def test_several_heads_are_named_and_share_a_sheet(run: Run) -> None:
    assert run(*SMALL, "--seeds", "1,3-4").code == 0
    folder = Path("renders/seed-1-and-2-more")
    assert {path.name for path in folder.glob("*.mp4")} == {"seed-1.mp4", "seed-3.mp4", "seed-4.mp4"}
    assert len(list((folder / "frames" / "seed-3").iterdir())) == 4
    with Image.open(folder / "contact_sheet.jpg") as sheet:
        assert sheet.height > 3 * 128


def test_a_latent_file_shows_its_head(run: Run, generator: PanoHead) -> None:
    ws = latent_from_seed(generator, 11, psi=0.75)
    np.savez("me.npz", w=ws.numpy(), camera=np.zeros(25, np.float32))
    assert run(*SMALL, "--latent", "me.npz").code == 0
    assert np.array_equal(stills_of(Path("renders/me/frames")), expected_frames(generator, 11))


def test_several_latents_and_folders_of_them_show_every_head(run: Run, generator: PanoHead) -> None:
    for folder in ("you", "me"):
        Path("people", folder).mkdir(parents=True)
    heads = {seed: latent_from_seed(generator, seed, psi=0.75).numpy() for seed in (11, 12, 13)}
    np.savez("people/you/latent.npz", w=heads[11])
    np.savez("people/me/latent.npz", w=heads[12])
    np.save("them.npy", heads[13][0])
    outcome = run(*SMALL, "--latent", "people", "--latent", "them.npy", "--out", "r")
    assert outcome.code == 0, outcome
    for name, seed in (("you", 11), ("me", 12), ("them", 13)):
        assert np.array_equal(stills_of(Path("r/frames") / name), expected_frames(generator, seed))
    mesh = run(*SMALL, "--latent", "people", "--mesh", "a.glb")
    assert (mesh.code, "one head at a time" in mesh.err) == (2, True)


def test_heads_of_one_name_are_numbered(run: Run, generator: PanoHead) -> None:
    for folder in ("a", "b"):
        Path(folder).mkdir()
        np.savez(f"{folder}/me.npz", w=latent_from_seed(generator, 1, psi=0.5).numpy())
    assert run(*SMALL, "--latent", "a/me.npz", "--latent", "b", "--format", "frames", "--out", "r").code == 0
    assert {path.name for path in Path("r/frames").iterdir()} == {"me", "me-2"}


def test_psi_pitch_and_background_matter(run: Run, generator: PanoHead) -> None:
    assert run(*SMALL, "--psi", "0", "--pitch", "-20", "--background", "#102030", "--out", "r").code == 0
    ws = latent_from_seed(generator, 5, psi=0.0)
    expected = render_frames(generator, ws, orbit(4, pitch_deg=-20), Look(backdrop="#102030"))
    assert np.array_equal(stills_of(Path("r/frames")), expected)


def test_planes_are_computed_once_a_head(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    original = PanoHead.planes

    def planes(self: PanoHead, *arguments: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return original(self, *arguments)

    monkeypatch.setattr(PanoHead, "planes", planes)
    assert run("render", "--yaw-steps", "20", "--format", "gif").code == 0
    assert len(calls) == 1


# ----------------------------------------------------------------------------------------------------- meshes


@pytest.mark.parametrize("suffix", ["glb", "ply", "obj", "stl"])
def test_meshes_open_elsewhere(run: Run, generator: PanoHead, suffix: str) -> None:
    grid = generator.prepare(generator.planes(latent_from_seed(generator, 0, psi=0.75)))
    points = torch.rand(1, 4000, 3, generator=torch.Generator().manual_seed(0)) * 0.8 - 0.4
    level = float(generator.sample_points(grid, points).density.detach().quantile(0.7))
    command = (
        *SMALL,
        "--format",
        "gif",
        "--mesh",
        f"out/head.{suffix}",
        "--mesh-resolution",
        "40",
        "--triangles",
        "900",
    )
    outcome = run(*command, "--mesh-level", str(level))
    assert outcome.code == 0, outcome
    assert f"mesh    out/head.{suffix}" in outcome.out
    mesh = trimesh.load(f"out/head.{suffix}", force="mesh")
    mesh.merge_vertices(merge_tex=True, merge_norm=True)
    assert mesh.is_watertight
    assert mesh.volume > 0
    assert len(mesh.faces) <= 900
    again = run(*command, "--mesh-level", str(level))
    assert again.code == 2
    assert f"out/head.{suffix} exists already." in again.err


# ------------------------------------------------------------------------ sizes, opacity, morphs, sheets


def test_a_size_and_opacity_reach_every_file(run: Run) -> None:
    words = ("--size", "80", "--background", "transparent", "--format", "mp4,webp,gif,frames,sheet")
    outcome = run(*SMALL, "--seed", "3", *words, "--json")
    assert outcome.code == 0, outcome
    folder = Path("renders/seed-3")
    assert (folder / "turntable.webm").is_file()  # in place of mp4, which has no opacity
    assert not (folder / "turntable.mp4").exists()
    stills = stills_of(folder / "frames")
    assert stills.shape == (4, 80, 80, 4)
    assert 100 < stills[..., 3].max() <= 255  # the tiny head is a mist
    for name in ("turntable.webp", "turntable.gif"):
        with Image.open(folder / name) as film:
            assert film.size == (80, 80)
            opacity = np.asarray(film.convert("RGBA"))[..., 3]
        assert np.abs((opacity > 127).astype(int) - (stills[0, ..., 3] > 127)).mean() < 0.02
    recipe = read_recipe(folder / "turntable.webm")
    assert (recipe["size"], recipe["background"]) == (80, "transparent")
    with Image.open(folder / "contact_sheet.jpg") as sheet:
        assert sheet.mode == "RGB"


def test_a_morph_goes_through_all_heads(run: Run, generator: PanoHead) -> None:
    outcome = run(
        "render", "--seeds", "1,4", "--morph", "--seconds", "0.5", "--fps", "8", "--format", "frames"
    )
    assert outcome.code == 0, outcome
    (folder,) = Path("renders").iterdir()
    stills = stills_of(folder / "frames")
    assert len(stills) == 4
    for number, seed in ((0, 1), (2, 4)):
        ws = latent_from_seed(generator, seed, psi=0.75)
        shot = orbit(1) if number == 0 else [read_shot(folder / "frames" / "frame_002.png")]
        own = render_frames(generator, ws, shot)
        assert np.abs(stills[number].astype(int) - own[0]).max() <= 1
    assert not np.array_equal(stills[1], stills[0])


def read_shot(path: Path) -> Shot:
    recipe = read_recipe(path)
    return Shot(recipe["yaw_deg"], recipe["pitch_deg"])


def test_a_morph_of_one_style_begins_untouched(run: Run, generator: PanoHead, finished: Path) -> None:
    style = finished / "style.safetensors"
    words = ("--seed", "2", "--style", style, "--morph", "--yaw-steps", "4", "--format", "frames")
    assert run("render", *words).code == 0
    (folder,) = Path("renders").iterdir()
    stills, ws = stills_of(folder / "frames"), latent_from_seed(generator, 2, psi=0.75)
    assert np.array_equal(stills[0], render_frames(generator, ws, orbit(1))[0])
    load_style(style).apply(generator)
    own = render_frames(generator, ws, [read_shot(folder / "frames" / "frame_002.png")])
    assert np.abs(stills[2].astype(int) - own[0]).max() <= 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--size", "9"), "`--size` (=9) must be between 16 and 2048"),
        (("--seconds", "2", "--yaw-steps", "5"), "`--seconds` and `--yaw-steps` exclude each other"),
        (("--seconds", "900"), "`--seconds` (=900) must make 1 to 720 pictures"),
        (("--morph",), "`--morph` needs several heads or a style"),
        (("--seeds", "1,2", "--morph", "--mesh", "a.glb"), "`--mesh`"),
        (
            ("--pitch", "50", "--pitch-swing", "20"),
            "`--pitch` and `--pitch-swing` must stay within 60 degrees together",
        ),
    ],
)
def test_views_that_make_no_sense_are_refused(run: Run, words: tuple[str, ...], sentence: str) -> None:
    outcome = run("render", *words)
    assert outcome.code == 2
    assert sentence in outcome.err


def test_a_sheet_shows_people_and_styles(run: Run, finished: Path, generator: PanoHead) -> None:
    outcome = run(
        "sheet", "--people", "2", "--style", finished / "style.safetensors", "--views", "0,90", "-q"
    )
    assert outcome.out == "renders/sheet.png\n"
    assert read_recipe(Path("renders/sheet.png"))["heads"] == ["seed-1", "seed-2"]
    with Image.open("renders/sheet.png") as picture:
        drawn = np.asarray(picture)
    cell = 128  # of 64 pixels, the multiple nearest to 160
    first = render_frames(generator, latent_from_seed(generator, 1, psi=0.75), orbit(1))[0]
    tile = Image.fromarray(on_white(first)).resize((cell, cell), Image.Resampling.LANCZOS)
    assert np.array_equal(drawn[14 : 14 + cell, 14 : 14 + cell], np.asarray(tile))
    assert drawn.shape[1] == 2 * 14 + 4 * cell + 3 * 2
    assert run("sheet", "-q", "--people", "1").out == "renders/sheet-2.png\n"
    assert run("sheet", "--out", "renders/sheet.png").code == 2
    assert run("sheet", "--out", "sheet.txt").code == 2
    assert run("sheet", "--people", "500", "--views", "0,1,2,3,4").code == 2
