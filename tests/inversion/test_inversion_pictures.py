"""Reading pictures of every kind, and refusing what is none with one sentence."""

import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from stylehead.errors import JobError, UsageError
from stylehead.inversion.photographs import Photo, read_photo

SIZE = (48, 64)  # width, height


@pytest.fixture
def ramp() -> np.ndarray:
    """[64,48,3]: red grows to the right, green downwards; blue is 80."""
    width, height = SIZE
    picture = np.full((height, width, 3), 80, np.uint8)
    picture[..., 0] = np.linspace(0, 250, width).astype(np.uint8)
    picture[..., 1] = np.linspace(0, 250, height).astype(np.uint8)[:, None]
    return picture


def saved(path: Path, picture: np.ndarray, mode: str = "RGB", **options: object) -> Photo:
    Image.fromarray(picture).convert(mode).save(path, **options)
    return read_photo(path)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tiff", "a.ppm", "a.tga"])
def test_lossless_files_come_back_as_they_were(tmp_path: Path, ramp: np.ndarray, name: str) -> None:
    photo = saved(tmp_path / name, ramp)
    assert np.array_equal(photo.pixels, ramp)
    assert photo.alpha is None
    assert photo.notes == ()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright(tmp_path: Path, ramp: np.ndarray, orientation: int) -> None:
    upside = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]
    image = Image.fromarray(ramp)
    stored = image if upside is None else image.transpose(Image.Transpose(upside))
    exif = Image.Exif()
    exif[274] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_photo(tmp_path / "a.png").pixels, ramp)


def test_exif_data_that_make_no_sense_are_passed_over(tmp_path: Path, ramp: np.ndarray) -> None:
    Image.fromarray(ramp).save(tmp_path / "a.jpg", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff garbage")
    assert read_photo(tmp_path / "a.jpg").pixels.shape == (64, 48, 3)


def test_cmyk_is_converted(tmp_path: Path, ramp: np.ndarray) -> None:
    photo = saved(tmp_path / "a.tiff", ramp, "CMYK")
    assert np.abs(photo.pixels.astype(int) - ramp).max() <= 2


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "YCbCr"])
def test_other_modes_become_three_channels(tmp_path: Path, ramp: np.ndarray, mode: str) -> None:
    photo = saved(tmp_path / ("a.jpg" if mode == "YCbCr" else "a.png"), ramp, mode)
    assert photo.pixels.shape == (64, 48, 3)
    assert photo.pixels.dtype == np.uint8
    assert photo.alpha is None  # opaque


def test_sixteen_bits_are_scaled(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 64 * 48).astype(np.uint16).reshape(64, 48)
    Image.fromarray(values).save(tmp_path / "a.png")
    grey = read_photo(tmp_path / "a.png").pixels
    assert np.abs(grey[..., 0].astype(float) - values / 257).max() <= 1
    assert (grey[..., 0] == grey[..., 2]).all()


def test_real_numbers_are_scaled_and_must_be_finite(tmp_path: Path) -> None:
    values = np.linspace(0, 1, 64 * 48).astype(np.float32).reshape(64, 48)
    Image.fromarray(values).save(tmp_path / "a.tiff")
    assert np.abs(read_photo(tmp_path / "a.tiff").pixels[..., 1] - values * 255).max() <= 1
    values[3, 3] = np.nan
    Image.fromarray(values).save(tmp_path / "a.tiff")
    with pytest.raises(JobError, match="not finite"):
        read_photo(tmp_path / "a.tiff")


def test_alpha_is_kept_when_anything_is_transparent(tmp_path: Path, ramp: np.ndarray) -> None:
    alpha = np.full((64, 48, 1), 255, np.uint8)
    alpha[:20] = 0
    Image.fromarray(np.concatenate([ramp, alpha], axis=2)).save(tmp_path / "a.png")
    photo = read_photo(tmp_path / "a.png")
    assert photo.alpha is not None
    assert np.array_equal(photo.alpha, alpha[..., 0])
    assert np.array_equal(photo.pixels[20:], ramp[20:])


def test_colour_profiles_are_applied(tmp_path: Path, ramp: np.ndarray) -> None:
    swapped = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    plain = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.array_equal(saved(tmp_path / "a.png", ramp, icc_profile=plain).pixels, ramp)
    assert saved(tmp_path / "b.png", ramp, icc_profile=swapped).pixels.shape == ramp.shape
    assert np.array_equal(saved(tmp_path / "c.png", ramp, icc_profile=b"garbage").pixels, ramp)


def test_an_animation_gives_its_first_picture_and_says_so(tmp_path: Path, ramp: np.ndarray) -> None:
    first, second = Image.fromarray(ramp), Image.fromarray(255 - ramp)
    first.save(tmp_path / "a.webp", save_all=True, append_images=[second], lossless=True)
    photo = read_photo(tmp_path / "a.webp")
    assert np.array_equal(photo.pixels, ramp)
    assert "animation" in photo.notes[0]


def test_large_pictures_are_reduced_and_it_is_said(tmp_path: Path) -> None:
    Image.new("RGB", (900, 300), "red").save(tmp_path / "a.png")
    photo = read_photo(tmp_path / "a.png", largest_edge=300)
    assert photo.pixels.shape == (100, 300, 3)
    assert photo.notes == (f"{tmp_path / 'a.png'} is 900x300 pixels, reduced to 300x100.",)


def test_a_huge_jpeg_is_decoded_small(tmp_path: Path) -> None:
    Image.new("L", (9000, 6000), 128).save(tmp_path / "a.jpg")
    tracemalloc.start()
    photo = read_photo(tmp_path / "a.jpg", largest_edge=1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert photo.pixels.shape == (667, 1000, 3)
    assert peak < 50e6


def png_claiming(width: int, height: int) -> bytes:
    """A PNG whose header claims a size, and that ends there."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    return (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
        + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    )  # fmt: skip


@pytest.mark.parametrize(("width", "height"), [(40000, 40000), (12000, 12000), (2**31 - 1, 2)])
def test_sizes_that_are_only_claimed_take_no_memory(tmp_path: Path, width: int, height: int) -> None:
    (tmp_path / "a.png").write_bytes(png_claiming(width, height))
    tracemalloc.start()
    with pytest.raises(JobError):
        read_photo(tmp_path / "a.png")
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no picture"):
        read_photo(tmp_path / "none.jpg")
    with pytest.raises(UsageError, match="is a folder"):
        read_photo(tmp_path)
    Image.new("RGBA", (64, 64), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    with pytest.raises(JobError, match="fully transparent"):
        read_photo(tmp_path / "clear.png")
    with pytest.raises(UsageError, match="not a regular file"):
        read_photo(Path("/dev/null"))
