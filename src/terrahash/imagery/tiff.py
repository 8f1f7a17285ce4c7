"""A look at the tags of a TIFF file, without a decoder."""

from __future__ import annotations

import struct
from pathlib import Path

WIDTH, HEIGHT, SAMPLES = 256, 257, 277
# ModelPixelScale, ModelTiepoint, ModelTransformation, GeoKeyDirectory: any of them places it.
GEOREFERENCE = frozenset({33550, 33922, 34264, 34735})
# Far more tags than any TIFF has; a damaged count must not make us read on.
MAX_TAGS = 4096
_NUMBERS = {1: "B", 3: "H", 4: "I", 16: "Q"}


def tags(path: Path) -> dict[int, int] | None:
    """Tags of the first image of a TIFF or BigTIFF.

    Returns:
        The first value of each tag that holds whole numbers within its entry, 0 for all others;
        None if it is no TIFF.

    Raises:
        OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(16)
        order = {b"II": "<", b"MM": ">"}.get(head[:2])
        if order is None or len(head) < 8:
            return None
        try:
            (version,) = struct.unpack_from(order + "H", head, 2)
            if version == 42:
                (place,), count_form, entry_form = struct.unpack_from(order + "I", head, 4), "H", 12
            elif version == 43:
                (place,), count_form, entry_form = struct.unpack_from(order + "Q", head, 8), "Q", 20
            else:
                return None
            if place >= path.stat().st_size:
                return {}
            file.seek(place)
            (count,) = struct.unpack(
                order + count_form, file.read(struct.calcsize(order + count_form))
            )
            entries = file.read(min(count, MAX_TAGS) * entry_form)
        except (struct.error, OverflowError, ValueError):
            return {}
    out: dict[int, int] = {}
    value_at = 8 if entry_form == 12 else 12
    for start in range(0, len(entries) - entry_form + 1, entry_form):
        tag, kind = struct.unpack_from(order + "HH", entries, start)
        # A 64-bit number has no room in an entry of a classic TIFF.
        form = None if kind == 16 and entry_form == 12 else _NUMBERS.get(kind)
        out[tag] = struct.unpack_from(order + form, entries, start + value_at)[0] if form else 0
    return out
