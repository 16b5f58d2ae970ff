"""Folders of pictures in place of a generator."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stylehead.errors import JobError, MissingError, UsageError
from stylehead.evaluation.picture_folders import open_folder, read_folder, read_set
from stylehead.export.recipe import save_image

SIDECAR = {"prompt": "Pixar character", "method": "ip2p"}


def picture(value: int, size: int = 8) -> np.ndarray:
    return np.full((size, size, 3), value, np.uint8)


def write(folder: Path, names: dict[str, int], sidecar: dict | None = SIDECAR) -> Path:
    for name, value in names.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(value)).save(folder / name)
    if sidecar is not None:
        (folder / "pictures.json").write_text(json.dumps(sidecar))
    return folder


@pytest.mark.parametrize(
    "style", ["seed-{}/yaw{:+04d}.png", "seed{}_yaw{}.png", "ip2p seed-{} yaw {:+d}.png"]
)
def test_names_say_who_and_from_where(tmp_path, style) -> None:
    names = {style.format(seed, yaw): 10 * seed + yaw // 90 + 2 for seed in (0, 7) for yaw in (0, 90, -180)}
    folder = open_folder(write(tmp_path, names))
    assert (folder.prompt, folder.method) == ("Pixar character", "ip2p")
    assert set(folder.places) == {(seed, yaw) for seed in (0, 7) for yaw in (0.0, 90.0, 180.0)}
    portraits = read_folder(folder, [7, 0], [90.0, 0.0, 30.0])
    assert portraits.seeds == (7, 0)
    assert portraits.yaws_deg == (90.0, 0.0)  # 30 is not there, for anybody
    assert portraits.images[:, :, 0, 0, 0].tolist() == [[73, 72], [3, 2]]
    assert portraits.depths is None


def test_pictures_that_render_drew_need_no_names(tmp_path) -> None:
    for index, yaw in enumerate((0.0, 90.0)):
        recipe = {"prompt": "the joker", "head": "seed-4", "yaw_deg": yaw, "pitch_deg": 0.0}
        save_image(tmp_path / f"frame_{index:03d}.png", picture(index), recipe)
    folder = open_folder(tmp_path)
    assert folder.prompt == "the joker"
    assert set(folder.places) == {(4, 0.0), (4, 90.0)}


def test_a_render_from_above_is_not_taken_for_one_from_the_front(tmp_path) -> None:
    recipe = {"prompt": "the joker", "head": "seed-4", "yaw_deg": 0.0, "pitch_deg": 20.0}
    save_image(tmp_path / "frame_000.png", picture(0), recipe)
    with pytest.raises(UsageError, match="no pictures named like"):
        open_folder(tmp_path)


def test_see_through_pictures_are_put_on_white(tmp_path) -> None:
    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[:4, :, 3] = 255
    Image.fromarray(rgba).save(write(tmp_path, {}) / "seed-0_yaw0.png")
    (image,) = read_folder(open_folder(tmp_path), [0], [0.0]).images[0]
    assert image[:, :4].eq(0).all()
    assert image[:, 4:].eq(255).all()


def test_everybody_must_be_there(tmp_path) -> None:
    folder = open_folder(write(tmp_path, {"seed-0_yaw0.png": 1, "seed-2_yaw0.png": 1}))
    with pytest.raises(JobError, match="2 of the 3 people; seed 1") as caught:
        read_folder(folder, [0, 1, 2], [0.0])
    assert "--identities" in str(caught.value.hint)


def test_sides_that_somebody_lacks_are_left_out(tmp_path) -> None:
    names = {"seed-0_yaw0.png": 1, "seed-0_yaw90.png": 2, "seed-1_yaw0.png": 3}
    folder = open_folder(write(tmp_path, names))
    assert read_folder(folder, [0, 1], [0.0, 90.0]).yaws_deg == (0.0,)
    with pytest.raises(JobError, match="nobody from all of the sides 90"):
        read_folder(folder, [0, 1], [90.0])


def test_what_the_pictures_show_must_be_said(tmp_path) -> None:
    write(tmp_path, {"seed-0_yaw0.png": 1}, sidecar=None)
    with pytest.raises(MissingError, match="Nothing says") as caught:
        open_folder(tmp_path)
    assert "pictures.json" in str(caught.value.hint)
    (tmp_path / "pictures.json").write_text('{"method": "ip2p"}')
    with pytest.raises(JobError, match="needs a `prompt`"):
        open_folder(tmp_path)


def test_bad_folders(tmp_path) -> None:
    with pytest.raises(UsageError, match="not a folder"):
        open_folder(tmp_path / "nothing")
    with pytest.raises(UsageError, match="no pictures named like"):
        open_folder(tmp_path)


def test_bad_pictures(tmp_path) -> None:
    write(tmp_path, {"seed-0_yaw0.png": 1})
    Image.fromarray(picture(0, size=9)).save(tmp_path / "seed-1_yaw0.png")
    with pytest.raises(JobError, match="not all of one size"):
        read_folder(open_folder(tmp_path), [0, 1], [0.0])
    Image.fromarray(np.zeros((8, 9, 3), np.uint8)).save(tmp_path / "seed-1_yaw0.png")
    with pytest.raises(JobError, match="must be square"):
        read_folder(open_folder(tmp_path), [0, 1], [0.0])
    (tmp_path / "seed-1_yaw0.png").write_bytes(b"no picture")
    with pytest.raises(JobError, match="no picture that can be read"):
        read_folder(open_folder(tmp_path), [0, 1], [0.0])


def test_a_set_takes_pictures_of_any_name(tmp_path) -> None:
    write(tmp_path, {"a.png": 1, "b/c.png": 2}, sidecar=None)
    assert read_set(tmp_path).images[:, 0, 0, 0, 0].tolist() == [1, 2]
    (tmp_path / "a.png").unlink()
    with pytest.raises(UsageError, match="fewer than two"):
        read_set(tmp_path)
