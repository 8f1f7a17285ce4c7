"""Decoding an image file to RGB, within limits that hold against hostile files."""

from __future__ import annotations

import stat
import struct
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from terrahash.errors import ImageError
from terrahash.imagery.quiet import quiet

# Decoders that Pillow may use. Everything else (PostScript, icons, plug-ins…) stays closed.
FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "JPEG2000", "GIF")
# 64 Mi pixels are 192 MiB of RGB: larger pictures are scenes, to be cut into tiles.
MAX_PIXELS = 64 * 1024 * 1024


class UnknownFormatError(ImageError):
    """The bytes are no image that Pillow knows; another library may know it."""


_DECODING_ERRORS = (OSError, ValueError, SyntaxError, EOFError, struct.error, MemoryError)


def read_image(source: Path | str | bytes, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Decode an image to 8-bit RGB.

    Grey, palette, CMYK and 1-bit images are converted; transparent pixels turn black; 16-bit grey
    is scaled from the full range of its type; the EXIF orientation is applied.

    Args:
        source: a file, or the encoded bytes themselves.
        max_pixels: largest width × height that is decoded; checked in the header beforehand.

    Returns:
        ``(H, W, 3) uint8`` RGB.

    Raises:
        ImageError: if it cannot be read, is no image of a known format, is damaged or too large.
    """
    name = "image" if isinstance(source, bytes) else str(source)
    try:
        with quiet():
            opened = BytesIO(source) if isinstance(source, bytes) else _regular(Path(source))
            with Image.open(opened, formats=FORMATS) as image:
                _check_size(image, name, max_pixels)
                image.load()
                return _to_rgb(image, name)
    except FileNotFoundError:
        raise ImageError(f"{name}: no such file", "check the path") from None
    except IsADirectoryError:
        raise ImageError(f"{name}: is a folder, not an image", "name a file in it") from None
    except PermissionError:
        raise ImageError(f"{name}: permission denied", "make the file readable") from None
    except UnidentifiedImageError:
        raise UnknownFormatError(
            f"{name}: not an image in a known format ({', '.join(FORMATS)})",
            "convert it, or leave it out",
        ) from None
    except Image.DecompressionBombError:
        raise _too_large(name, max_pixels) from None
    except _DECODING_ERRORS as error:
        raise ImageError(
            f"{name}: damaged or incomplete image ({error})", "fetch or export the file again"
        ) from None


def _regular(path: Path) -> Path:
    """The path, unless it is a pipe or a device, whose opening may wait forever."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise ImageError(f"{path}: is no regular file", "leave it out")
    return path


def _check_size(image: Image.Image, name: str, max_pixels: int) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise ImageError(f"{name}: has no pixels ({width} × {height})", "leave it out")
    if width * height > max_pixels:
        raise _too_large(name, max_pixels, (width, height))


def _too_large(name: str, max_pixels: int, size: tuple[int, int] | None = None) -> ImageError:
    shown = f"{size[0]} × {size[1]} pixels" if size else "too many pixels"
    return ImageError(
        f"{name}: {shown}, more than the limit of {max_pixels / 1e6:.0f} million",
        "cut it into tiles: terrahash index with --tile",
    )


def _to_rgb(image: Image.Image, name: str) -> NDArray[np.uint8]:
    image = ImageOps.exif_transpose(image)
    if image.mode == "RGB":
        return np.asarray(image)
    if image.mode.startswith("I;16"):
        return _grey(np.asarray(image, np.uint16) // 257)
    if image.mode == "I":
        pixels = np.asarray(image)
        if pixels.min() < 0 or pixels.max() > 65535:
            raise ImageError(
                f"{name}: 32-bit pixel values outside 0…65535 have no agreed brightness",
                "convert it to 8 or 16 bits",
            )
        return _grey(pixels // 257)
    if image.mode == "F":
        raise ImageError(
            f"{name}: floating-point pixels have no agreed brightness", "convert it to 8 or 16 bits"
        )
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return np.asarray(Image.alpha_composite(Image.new("RGBA", rgba.size, "black"), rgba))[
            ..., :3
        ].copy()
    return np.asarray(image.convert("RGB"))


def _grey(pixels: NDArray[np.integer]) -> NDArray[np.uint8]:
    return np.repeat(pixels.astype(np.uint8)[..., None], 3, axis=2)
