"""The pixels of a stored tile: read again from where it came, or as the archive keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from terrahash.archive.stored import BANDS, SCALING, SEEN
from terrahash.archive.thumbnails import COLUMN
from terrahash.archive.thumbnails import kept as kept_thumbnail
from terrahash.errors import ImageError

if TYPE_CHECKING:
    from terrahash.archive.hits import Record
    from terrahash.imagery.rendering import Rendering


def tile_image(
    record: Record, pixels: int = 512, *, remote: bool = False, kept: bool = True
) -> NDArray[np.uint8]:
    """What a tile shows, as the encoder saw it.

    Args:
        record: of the tile.
        pixels: longest side that is wanted; overviews of a scene are used where there are any.
        remote: also read addresses. An archive that came from elsewhere could name any.
        kept: use the thumbnail that the archive keeps, where it is as large as wanted or the
            source cannot be read.

    Returns:
        ``(H, W, 3) uint8``.

    Raises:
        ImageError: if there is no source, it is remote, or it cannot be read, and no thumbnail.
        MissingExtraError: if it is a scene's and the extra ``geo`` is not installed.
    """
    thumbnail, side = _thumbnail(record) if kept else (None, 0)
    if thumbnail is not None and side >= pixels:
        from terrahash.imagery.cutting import shrunk

        return shrunk(thumbnail, pixels)
    try:
        return _source_image(record, pixels, remote)
    except (ImageError, OSError):
        if thumbnail is None:
            raise
        return thumbnail


def has_thumbnail(record: Record) -> bool:
    """Whether the archive keeps a thumbnail of a tile, so that it can be shown without its file."""
    return record.archive is not None and isinstance(record.columns.get(COLUMN), int)


def shown_channels(
    image: NDArray[np.uint8], rendering: Rendering | None, seen: Sequence[int] = ()
) -> NDArray[np.uint8]:
    """``(H, W, 3) uint8`` for people of an image ``(H, W, C)`` as the encoder sees it.

    Args:
        image: the image.
        rendering: how it was made.
        seen: numbers of the bands to show, see :meth:`Rendering.seen`.
    """
    if image.shape[2] == 3:
        return image
    places = [0]
    if rendering is not None and len(rendering.bands) == image.shape[2]:
        places = [rendering.bands.index(band) for band in seen or rendering.visible().bands]
    return image[..., places if len(places) == 3 else places * 3]


def _thumbnail(record: Record) -> tuple[NDArray[np.uint8] | None, int]:
    """The kept picture, and the longest side of the archive's pictures."""
    number = record.columns.get(COLUMN)
    if record.archive is None or not isinstance(number, int):
        return None, 0
    found = kept_thumbnail(record.archive, number)
    if found is None:
        return None, 0
    from terrahash.imagery.reading import read_image

    return read_image(found[0]), found[1]


def _source_image(record: Record, pixels: int, remote: bool) -> NDArray[np.uint8]:
    from terrahash.imagery.layers import sources_of
    from terrahash.imagery.sources import is_remote
    from terrahash.imagery.window import read_window

    if record.source is None:
        raise ImageError(f"tile {record.id} has no source", "its pixels were never known")
    bands, limits, seen = (_text(record, name) for name in (BANDS, SCALING, SEEN))
    for source in sources_of(record.source, bands):
        if is_remote(source) and not remote:
            raise ImageError(f"{source}: is an address", "allow remote sources")
    return read_window(
        record.source,
        record.window,
        bands=bands,
        limits=limits,
        seen=seen,
        pixels=pixels,
    )


def _text(record: Record, name: str) -> str | None:
    value = record.columns.get(name)
    return value if isinstance(value, str) else None
