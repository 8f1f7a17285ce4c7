"""The pixels of a stored tile, read again from where it came."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from terrahash.archive.stored import BANDS, SCALING
from terrahash.errors import ImageError

if TYPE_CHECKING:
    from terrahash.archive.hits import Record


def tile_image(record: Record, pixels: int = 512, *, remote: bool = False) -> NDArray[np.uint8]:
    """What a tile shows, as the encoder saw it.

    Args:
        record: of the tile.
        pixels: longest side that is wanted; overviews of a scene are used where there are any.
        remote: also read addresses. An archive that came from elsewhere could name any.

    Returns:
        ``(H, W, 3) uint8``.

    Raises:
        ImageError: if there is no source, it is remote, or it cannot be read.
        MissingExtraError: if it is a scene's and the extra ``geo`` is not installed.
    """
    from terrahash.imagery.sources import is_remote
    from terrahash.imagery.window import read_window

    if record.source is None:
        raise ImageError(f"tile {record.id} has no source", "its pixels were never known")
    if is_remote(record.source) and not remote:
        raise ImageError(f"{record.source}: is an address", "allow remote sources")
    bands, limits = (record.columns.get(name) for name in (BANDS, SCALING))
    return read_window(
        record.source,
        record.window,
        bands=bands if isinstance(bands, str) else None,
        limits=limits if isinstance(limits, str) else None,
        pixels=pixels,
    )
