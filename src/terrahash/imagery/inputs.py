"""What a file is to be indexed as: a picture, one georeferenced tile, or a scene to be cut."""

from __future__ import annotations

from enum import Enum
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

from terrahash.errors import MissingExtraError
from terrahash.imagery import tiff
from terrahash.imagery.quiet import quiet
from terrahash.imagery.reading import FORMATS, MAX_PIXELS
from terrahash.imagery.tiling import Tiling

# A georeferenced file up to so many pixels a side is one tile unless a tiling is asked for.
ONE_TILE_SIDE = 1024
# A file below this size holds no picture above the pixel cap, unless it is a bomb.
SMALL_FILE = 1 << 18
# GDAL reads the georeference of these; all others are asked for their tags first.
_JP2 = (b"\x00\x00\x00\x0cjP  ", b"\xff\x4f\xff\x51")
# First bytes of what GDAL may have to read: the rest are pictures.
RASTERS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", *_JP2)


class Kind(Enum):
    """How a file is read."""

    PICTURE = "picture"  # by Pillow, as it is
    PLACED = "placed"  # by GDAL, one tile with a footprint
    SCENE = "scene"  # by GDAL, cut into windows


def kind_of(path: Path, size: int, tiling: Tiling | None) -> Kind:
    """Decide how a local file is read, from its first bytes.

    Args:
        path: the file.
        size: its bytes.
        tiling: asked for by the user; None leaves it to the file.

    Raises:
        OSError: if it cannot be read.
        MissingExtraError: if a tiling is asked for and the extra ``geo`` is not installed. Without
            a tiling, every file is a picture then.
    """
    missing = _missing()
    if missing is not None:
        if tiling is not None:
            raise MissingExtraError("cutting scenes into tiles", "geo", missing)
        return Kind.PICTURE
    found = tiff.tags(path)
    if found is not None:
        sides = found.get(tiff.WIDTH, 0), found.get(tiff.HEIGHT, 0)
        placed = bool(tiff.GEOREFERENCE & found.keys())
    else:
        with path.open("rb") as file:
            head = file.read(12)
        placed = head.startswith(_JP2)
        if not placed and tiling is None and size < SMALL_FILE:
            return Kind.PICTURE
        sides = _sides(path)
    return of_size(*sides, placed=placed, tiling=tiling)


def of_size(width: int, height: int, *, placed: bool, tiling: Tiling | None) -> Kind:
    """Decide by the size of an image and by whether it is georeferenced."""
    if tiling is None:
        if width * height > MAX_PIXELS or (placed and max(width, height) > ONE_TILE_SIDE):
            return Kind.SCENE
    elif tiling.tile.unit == "m" or tiling.gsd or max(width, height) > tiling.tile.value:
        return Kind.SCENE
    return Kind.PLACED if placed else Kind.PICTURE


def _sides(path: Path) -> tuple[int, int]:
    """Width and height from the header; 0 where Pillow does not know the file."""
    try:
        with quiet(), Image.open(path, formats=FORMATS) as image:
            return image.size
    except Image.DecompressionBombError:
        return MAX_PIXELS, MAX_PIXELS
    except (FileNotFoundError, PermissionError):
        raise
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError):
        return 0, 0


@cache
def _missing() -> str | None:
    """The package that reading scenes lacks, if any."""
    return next((name for name in ("rasterio", "pyproj") if find_spec(name) is None), None)
