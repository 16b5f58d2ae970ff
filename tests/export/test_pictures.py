"""Films, animations, frames and stills: decoded again and compared, recipe included."""

import json
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from stylehead.errors import JobError, MissingError
from stylehead.export.orbit import Shot
from stylehead.export.recipe import read_recipe, save_image
from stylehead.export.video import side_by_side, write_frames, write_gif, write_mp4, write_webm, write_webp
from stylehead.images import Pixels, to_pixels

RECIPE = {"prompt": "Portrait of a “werewolf”", "seed": 42}


@pytest.fixture
def frames() -> Pixels:
    """Twelve smooth, different pictures [12,48,64,3]."""
    y, x = np.mgrid[0:48, 0:64] / 64
    moving = [[np.sin(3 * x + t / 2), np.cos(2 * y - t / 3), x * y + t / 12] for t in range(12)]
    return np.uint8(np.clip(np.moveaxis(np.array(moving), 1, -1) * 90 + 120, 0, 255))


def decode(path: Path) -> Pixels:
    with av.open(str(path)) as film:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)])


def mean_error(a: Pixels, b: Pixels) -> float:
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


def test_an_mp4_decodes_to_the_frames_that_went_in(tmp_path: Path, frames: Pixels) -> None:
    path = tmp_path / "turntable.mp4"
    write_mp4(path, frames, RECIPE, fps=18)
    again = decode(path)
    assert again.shape == frames.shape
    assert mean_error(again, frames) < 3
    assert mean_error(again, frames[::-1]) > 10  # the measure does tell frames apart
    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.average_rate == 18
    assert path.read_bytes().find(b"moov") < path.read_bytes().find(b"mdat")  # starts before it is loaded


@pytest.mark.parametrize(("writer", "suffix"), [(write_mp4, ".mp4"), (write_webm, ".webm")])
def test_films_say_by_which_matrix_their_colours_were_made(
    tmp_path: Path, writer: Callable[..., None], suffix: str
) -> None:
    colours = np.array([[200, 40, 60], [40, 180, 70], [60, 70, 210], [220, 200, 40]], np.uint8)
    frames = np.repeat(np.repeat(colours[None, None], 32, axis=1), 16, axis=2).repeat(3, axis=0)
    writer(tmp_path / f"x{suffix}", frames, RECIPE)
    with av.open(str(tmp_path / f"x{suffix}")) as film:
        context = film.streams.video[0].codec_context
        frame = next(film.decode(video=0))
        assert (frame.colorspace, frame.color_range) == (1, 1)
        if suffix == ".mp4":
            assert (context.color_primaries, context.color_trc) == (1, 1)
        y, u, v = (int(plane) for plane in frame.to_ndarray()[[16, 40, 44], 8])
    red, green, blue = colours[0] / 255
    luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue  # BT.709
    assert y == pytest.approx(16 + 219 * luma, abs=4)
    assert {u, v} <= set(range(256))


def test_opacity_survives_webm(tmp_path: Path, frames: Pixels) -> None:
    opacity = np.zeros((*frames.shape[:3], 1), np.uint8)
    opacity[:, 10:40, 20:50] = 255
    write_webm(tmp_path / "x.webm", np.concatenate([frames, opacity], axis=3), RECIPE)
    with av.open(str(tmp_path / "x.webm")) as film:
        assert film.streams.video[0].metadata["alpha_mode"] == "1"
        decoder = av.CodecContext.create("libvpx-vp9", "r")  # the usual decoder drops opacity
        decoder.extradata = film.streams.video[0].codec_context.extradata
        pictures = [frame for packet in film.demux(video=0) for frame in decoder.decode(packet)]
    again = np.stack([picture.to_ndarray(format="rgba") for picture in pictures])
    assert again.shape == (*frames.shape[:3], 4)
    assert np.abs(again[..., 3].astype(int) - opacity[..., 0]).mean() < 4


@pytest.mark.parametrize(("fps", "delays"), [(18, {50, 60}), (20, {50}), (60, {30, 40}), (100, {20})])
def test_gifs_keep_time_with_delays_that_browsers_honour(
    tmp_path: Path, frames: Pixels, fps: int, delays: set[int]
) -> None:
    write_gif(tmp_path / "x.gif", frames, RECIPE, fps=fps)
    found = []
    with Image.open(tmp_path / "x.gif") as film:
        for _ in ImageSequence.Iterator(film):
            found.append(film.info["duration"])
    assert set(found) <= delays
    assert sum(found) == pytest.approx(1000 * 12 / fps, abs=10)


def test_odd_sizes_grow_by_a_white_line(tmp_path: Path, frames: Pixels) -> None:
    write_mp4(tmp_path / "odd.mp4", frames[:, :47, :63], RECIPE)
    again = decode(tmp_path / "odd.mp4")
    assert again.shape == (12, 48, 64, 3)
    assert again[:, -1].mean() > 240
    assert again[:, :, -1].mean() > 240


@pytest.mark.parametrize(
    ("writer", "suffix", "tolerance"), [(write_webp, ".webp", 4), (write_gif, ".gif", 8)]
)
def test_animations_decode_to_the_frames_that_went_in(
    tmp_path: Path, frames: Pixels, writer: Callable[..., None], suffix: str, tolerance: float
) -> None:
    path = tmp_path / f"turntable{suffix}"
    writer(path, frames, RECIPE, fps=20)
    with Image.open(path) as film:
        again = np.stack([np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(film)])
        assert film.info["duration"] == 50
        assert film.info["loop"] == 0
    assert again.shape == frames.shape
    assert mean_error(again, frames) < tolerance


def test_frames_are_exact_and_know_their_angle(tmp_path: Path, frames: Pixels) -> None:
    paths = write_frames(tmp_path / "frames", frames, RECIPE, shots=[Shot(30.0 * step) for step in range(12)])
    assert [path.name for path in paths[:2]] == ["frame_000.png", "frame_001.png"]
    assert np.array_equal(np.stack([np.asarray(Image.open(path)) for path in paths]), frames)
    assert read_recipe(paths[3])["yaw_deg"] == 90.0


WRITERS: dict[str, Callable[[Path, Pixels], None]] = {
    ".png": lambda path, frames: save_image(path, frames[0], RECIPE),
    ".jpg": lambda path, frames: save_image(path, frames[0], RECIPE),
    ".webp": lambda path, frames: write_webp(path, frames, RECIPE),
    ".gif": lambda path, frames: write_gif(path, frames, RECIPE),
    ".mp4": lambda path, frames: write_mp4(path, frames, RECIPE),
    ".webm": lambda path, frames: write_webm(path, frames, RECIPE),
}


@pytest.mark.parametrize("suffix", WRITERS)
def test_every_format_carries_the_recipe(tmp_path: Path, frames: Pixels, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    WRITERS[suffix](path, frames)
    recipe = read_recipe(path)
    assert {key: recipe[key] for key in RECIPE} == RECIPE
    assert "stylehead" in recipe
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_jpeg_stills_are_close_to_the_picture(tmp_path: Path, frames: Pixels) -> None:
    save_image(tmp_path / "x.jpg", frames[0], RECIPE)
    assert mean_error(np.asarray(Image.open(tmp_path / "x.jpg")), frames[0]) < 3


def test_files_without_a_recipe_say_so(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    with pytest.raises(JobError, match="carries no recipe"):
        read_recipe(tmp_path / "plain.png")
    (tmp_path / "bad.png").write_bytes(b"garbage")
    with pytest.raises(JobError, match="is no picture"):
        read_recipe(tmp_path / "bad.png")
    (tmp_path / "bad.mp4").write_bytes(b"garbage")
    with pytest.raises(JobError, match="damaged"):
        read_recipe(tmp_path / "bad.mp4")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(JobError, match="no kind of file"):
        read_recipe(tmp_path / "notes.txt")
    with pytest.raises(MissingError, match="no file"):
        read_recipe(tmp_path / "none.png")


def test_unknown_still_formats_are_refused(tmp_path: Path, frames: Pixels) -> None:
    with pytest.raises(JobError, match=r"pictures are \.png"):
        save_image(tmp_path / "x.tiff", frames[0], RECIPE)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_film_leaves_nothing(tmp_path: Path, frames: Pixels) -> None:
    with pytest.raises(ValueError, match=r"ndarray|shape|channels"):
        write_mp4(tmp_path / "x.mp4", frames[..., :1], RECIPE)
    assert list(tmp_path.iterdir()) == []


def test_pixels_cover_the_whole_range_and_clamp() -> None:
    image = torch.tensor([-2.0, -1.0, 0.0, 1.0, 3.0]).reshape(1, 1, 1, 5).expand(1, 3, 1, 5)
    assert to_pixels(image)[0, 0, :, 0].tolist() == [0, 0, 128, 255, 255]


def test_pixels_are_never_silently_black() -> None:
    with pytest.raises(JobError, match="not finite"):
        to_pixels(torch.full((1, 3, 2, 2), float("nan")))


def test_side_by_side_keeps_both_halves(frames: Pixels) -> None:
    joined = side_by_side(frames, frames[::-1], gap=4)
    assert joined.shape == (12, 48, 132, 3)
    assert np.array_equal(joined[:, :, :64], frames)
    assert np.array_equal(joined[:, :, 68:], frames[::-1])
    assert (joined[:, :, 64:68] == 255).all()


def test_recipes_are_one_ascii_line() -> None:
    from stylehead.export.recipe import recipe_text

    text = recipe_text(RECIPE)
    assert text.isascii()
    assert "\n" not in text
    assert json.loads(text)["prompt"] == RECIPE["prompt"]


@pytest.mark.parametrize("size", [(16, 16), (33, 65), (30, 50)])
def test_equal_films_are_equal_bytes(tmp_path: Path, size: tuple[int, int]) -> None:
    frames = np.random.RandomState(0).randint(0, 255, (8, *size, 3), np.uint8)
    films = []
    for index in range(4):
        dirt = [np.full(50_000 + index, 37 * index, np.uint8) for _ in range(20)]
        write_mp4(tmp_path / "a.mp4", frames, {"prompt": "joker"})
        films.append((tmp_path / "a.mp4").read_bytes())
        del dirt
    assert films == [films[0]] * 4
