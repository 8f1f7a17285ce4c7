"""Reading images: every mode that occurs, and every way in which a file can be broken."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from terrahash.errors import ImageError
from terrahash.imagery import read_image

GRADIENT = np.linspace(0, 255, 16 * 12, dtype=np.uint8).reshape(12, 16)


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def test_rgb_is_kept_as_it_is(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path)
    np.testing.assert_array_equal(read_image(path), pixels)
    np.testing.assert_array_equal(read_image(path.read_bytes()), pixels)


def test_grey_is_repeated() -> None:
    pixels = read_image(encoded(Image.fromarray(GRADIENT), "PNG"))
    np.testing.assert_array_equal(pixels, np.repeat(GRADIENT[..., None], 3, axis=2))


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_from_its_full_range(form: str) -> None:
    wide = GRADIENT.astype(np.uint16) * 257
    pixels = read_image(encoded(Image.fromarray(wide), form))
    np.testing.assert_array_equal(pixels[..., 0], GRADIENT)


def test_palette_is_looked_up() -> None:
    image = Image.new("P", (4, 4))
    image.putpalette([10, 20, 30, 200, 100, 50] + [0] * 750)
    image.putpixel((1, 0), 1)
    pixels = read_image(encoded(image, "PNG"))
    assert pixels[0, 0].tolist() == [10, 20, 30]
    assert pixels[0, 1].tolist() == [200, 100, 50]


def test_transparent_pixels_turn_black() -> None:
    image = Image.new("RGBA", (4, 4), (200, 100, 50, 255))
    image.putpixel((0, 0), (200, 100, 50, 0))
    pixels = read_image(encoded(image, "PNG"))
    assert pixels[0, 0].tolist() == [0, 0, 0]
    assert pixels[1, 1].tolist() == [200, 100, 50]


def test_cmyk_becomes_rgb() -> None:
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    pixels = read_image(encoded(image, "JPEG", quality=95))
    assert pixels.shape == (8, 8, 3)
    assert pixels[4, 4, 0] > 200
    assert pixels[4, 4, 1] < 60


def test_orientation_is_applied() -> None:
    image = Image.new("RGB", (6, 4))
    exif = Image.Exif()
    exif[0x0112] = 6
    assert read_image(encoded(image, "JPEG", exif=exif)).shape == (6, 4, 3)


def test_floating_point_is_refused() -> None:
    image = Image.fromarray(np.ones((4, 4), np.float32))
    with pytest.raises(ImageError, match="floating-point"):
        read_image(encoded(image, "TIFF"))


def test_32_bit_values_beyond_16_bits_are_refused() -> None:
    image = Image.fromarray(np.full((4, 4), 70_000, np.int32))
    with pytest.raises(ImageError, match="65535"):
        read_image(encoded(image, "TIFF"))


@pytest.mark.parametrize("content", [b"", b"hello, I am a text\n" * 20, b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"odd\.jpg"):
        read_image(path)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP", "BMP"])
def test_truncated_files_are_refused(tmp_path: Path, form: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    whole = encoded(Image.fromarray(pixels), form)
    path = tmp_path / "cut"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImageError, match="cut"):
        read_image(path)


def test_pixel_cap_is_checked_before_decoding(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    Image.new("1", (9_000, 9_000)).save(path)
    with pytest.raises(ImageError, match="9000 × 9000"):
        read_image(path)


def test_missing_folder_and_forbidden_files(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no such file"):
        read_image(tmp_path / "nothing.png")
    with pytest.raises(ImageError, match="folder"):
        read_image(tmp_path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "pipe.png"
    os.mkfifo(path)
    with pytest.raises(ImageError, match="no regular file"):
        read_image(path)


def test_formats_outside_the_list_stay_closed(tmp_path: Path) -> None:
    path = tmp_path / "a.ppm"
    Image.new("RGB", (4, 4)).save(path)
    with pytest.raises(ImageError, match="known format"):
        read_image(path)
