"""Pictures of tiles: by id and never by path, small and cached."""

from __future__ import annotations

import base64
import hashlib
import io
import stat
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from terrahash.archive import Record
from terrahash.archive.pixels import has_thumbnail, tile_image
from terrahash.errors import ImageError
from terrahash.imagery.sources import is_remote, path_of
from terrahash.service.problems import Problem

THUMBNAIL_SIDES = (96, 192, 384)
# Longest side of "the tile at full resolution"; a tile that is larger is a scene.
MAX_SIDE = 2048
QUALITY = 84
# Some ten thousand thumbnails.
CACHE_BYTES = 64 * 1024 * 1024


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
        remote: also read tiles whose sources are addresses, where they were indexed from.
        cache_bytes: how much is remembered.
    """

    def __init__(self, *, remote: bool = False, cache_bytes: int = CACHE_BYTES) -> None:
        self._remote = remote
        self._room = cache_bytes
        self._lock = Lock()
        self._known: OrderedDict[str, Picture] = OrderedDict()
        self._size = 0

    def etag(self, record: Record, side: int | None) -> str:
        """What a picture is known by, without drawing it.

        Raises:
            Problem: if the tile has no local file.
        """
        state = _state(record, self._remote)
        parts = (record.id, record.source, *state, record.window, dict(record.columns), side)
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
            pixels = tile_image(record, side or MAX_SIDE, remote=self._remote)
            image = Image.fromarray(pixels)
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
        image.save(buffer, "JPEG", quality=QUALITY)
        return Picture(buffer.getvalue(), "image/jpeg", etag)

    def _remember(self, made: Picture) -> None:
        with self._lock:
            before = self._known.get(made.etag)
            self._known[made.etag] = made
            self._size += len(made.data) - (len(before.data) if before else 0)
            while self._size > self._room:
                _, gone = self._known.popitem(last=False)
                self._size -= len(gone.data)


def data_address(pixels: NDArray[np.uint8]) -> str:
    """A small JPEG of ``(H, W, 3) uint8``, as an address that holds it."""
    image = Image.fromarray(pixels)
    image.thumbnail((THUMBNAIL_SIDES[-1],) * 2)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _state(record: Record, remote: bool) -> tuple[int, int]:
    """Size and time of change of a tile's file; zeros for an address.

    Raises:
        Problem: if there is nothing to read.
    """
    source = record.source
    if source is not None and is_remote(source) and remote:
        return 0, 0
    try:
        if source is None or is_remote(source):
            raise OSError
        status = path_of(source).stat()
        if not stat.S_ISREG(status.st_mode):
            raise OSError
    except (OSError, ValueError):
        if has_thumbnail(record):
            return 0, 0
        raise Problem(
            404,
            f"there is no picture of id {record.id} on the service's machine",
            "mount the images where they were when they were indexed; addresses are read only "
            "with --remote-pictures",
        ) from None
    return status.st_size, status.st_mtime_ns
