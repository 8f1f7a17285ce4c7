"""Pictures of tiles: by id, from local files only, small and cached."""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from terrahash.archive import Record
from terrahash.errors import ImageError
from terrahash.imagery import MAX_PIXELS, read_image
from terrahash.service.problems import Problem

THUMBNAIL_SIDES = (96, 192, 384)
# Longest side of "the tile at full resolution"; a tile that is larger is a scene.
MAX_SIDE = 2048
# Some ten thousand thumbnails.
CACHE_BYTES = 64 * 1024 * 1024
# Scenes of which only a window is read; opened by GDAL under these names and no others.
_WINDOWED = {".tif": "GTiff", ".tiff": "GTiff"}


@dataclass(frozen=True)
class Picture:
    """An encoded picture.

    Attributes:
        data: the file.
        media_type: of it.
        etag: changes whenever the picture does.
    """

    data: bytes
    media_type: str
    etag: str


class Pictures:
    """Draws pictures and remembers the last ones.

    Args:
        cache_bytes: how much is remembered.
    """

    def __init__(self, cache_bytes: int = CACHE_BYTES) -> None:
        self._room = cache_bytes
        self._lock = Lock()
        self._known: OrderedDict[str, Picture] = OrderedDict()
        self._size = 0

    def etag(self, record: Record, side: int | None) -> str:
        """What a picture is known by, without drawing it.

        Raises:
            Problem: if the tile has no local file.
        """
        path = local_file(record)
        status = os.stat(path)  # noqa: PTH116 - called for every picture
        parts = (record.id, path, status.st_size, status.st_mtime_ns, record.window, side)
        return '"' + hashlib.sha256(repr(parts).encode()).hexdigest()[:32] + '"'

    def picture(self, record: Record, side: int | None) -> Picture:
        """A tile, at most ``side`` pixels wide and high, or at full resolution.

        Raises:
            Problem: if the tile has no local file, or it is no picture.
        """
        etag = self.etag(record, side)
        with self._lock:
            known = self._known.get(etag)
            if known is not None:
                self._known.move_to_end(etag)
                return known
        made = self._draw(record, side, etag)
        if side is not None:
            self._remember(made)
        return made

    def _draw(self, record: Record, side: int | None, etag: str) -> Picture:
        try:
            image = Image.fromarray(_pixels(record, side or MAX_SIDE))
        except ImageError as error:
            raise Problem(
                404,
                f"the picture of id {record.id} cannot be read",
                error.remedy or "see whether its file is still what was indexed",
            ) from None
        image.thumbnail((side or MAX_SIDE,) * 2)
        buffer = io.BytesIO()
        if side is None:
            image.save(buffer, "PNG", compress_level=3)
            return Picture(buffer.getvalue(), "image/png", etag)
        image.save(buffer, "JPEG", quality=84)
        return Picture(buffer.getvalue(), "image/jpeg", etag)

    def _remember(self, made: Picture) -> None:
        with self._lock:
            before = self._known.get(made.etag)
            self._known[made.etag] = made
            self._size += len(made.data) - (len(before.data) if before else 0)
            while self._size > self._room:
                _, gone = self._known.popitem(last=False)
                self._size -= len(gone.data)


def local_file(record: Record) -> str:
    """The file of a tile; addresses are never fetched.

    Raises:
        Problem: if it has none on this machine.
    """
    source = record.source
    if source is None or "://" in source or "\0" in source or not Path(source).is_file():
        raise Problem(
            404,
            f"there is no picture of id {record.id} on the service's machine",
            "mount the images where they were when they were indexed",
        )
    return source


def _pixels(record: Record, side: int) -> NDArray[np.uint8]:
    path = Path(record.source or "")
    if record.window is None:
        return read_image(path)
    driver = _WINDOWED.get(path.suffix.lower())
    if driver is not None and _has_rasterio():
        return _read_window(path, driver, record.window, side)
    x, y, width, height = record.window
    return read_image(path)[y : y + height, x : x + width]


def _has_rasterio() -> bool:
    import importlib.util

    return importlib.util.find_spec("rasterio") is not None


def _read_window(
    path: Path, driver: str, window: tuple[int, int, int, int], side: int
) -> NDArray[np.uint8]:
    """Only the window's pixels, and no more of them than are shown."""
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError
    from rasterio.windows import Window

    x, y, width, height = window
    shrink = min(1.0, side / max(width, height, 1))
    shape = (max(1, round(height * shrink)), max(1, round(width * shrink)))
    if width * height > MAX_PIXELS:
        raise ImageError(f"{path}: a window of {width} × {height} pixels", "cut smaller tiles")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path, driver=driver) as scene:
                bands = (1, 2, 3) if scene.count >= 3 else (1, 1, 1)
                window_read = Window(x, y, width, height)
                pixels = scene.read(bands, window=window_read, out_shape=(3, *shape))
    except (RasterioError, ValueError, OSError) as error:
        raise ImageError(f"{path}: {error}", "see whether the scene is whole") from None
    if pixels.dtype == np.uint16:
        pixels = pixels // 257
    elif pixels.dtype != np.uint8:
        raise ImageError(f"{path}: {pixels.dtype} pixels", "convert the scene to 8 bits")
    return np.ascontiguousarray(pixels.transpose(1, 2, 0).astype(np.uint8))
