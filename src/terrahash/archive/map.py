"""A map of an archive's footprints: one page that needs nothing else."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from terrahash.archive.thumbnails import COLUMN, encode, kept
from terrahash.errors import ArchiveError, InputError

if TYPE_CHECKING:
    from terrahash.archive.archive import Archive
    from terrahash.archive.hits import Record

# A page of some ten megabytes that a browser still pans smoothly.
MAX_TILES = 200_000
LOOKUP = 8192
# Kept thumbnails are put into the page up to so many tiles, at this size: some four megabytes.
MAX_PICTURES = 2000
PICTURE_SIDE = 112
# Natural Earth's land and borders, 1:110 m, public domain; the service's page shows the same file.
COASTLINE = "service/static/vendor/naturalearth/land.geojson"


def write_map(
    archive: Archive,
    path: str | Path,
    *,
    where: str | None = None,
    bbox: Sequence[float] | None = None,
    after: Any = None,
    before: Any = None,
) -> int:
    """Write the footprints of tiles as a page with a map.

    Args:
        archive: to draw.
        path: of the HTML file.
        where, bbox, after, before: which tiles, see :meth:`Archive.search_codes`.

    Returns:
        How many tiles are on it; those without a footprint are not.

    Raises:
        InputError: if none has a footprint, or there are more than a page can hold.
        ArchiveError: if the page cannot be written.
    """
    ids = archive.ids(where=where, bbox=bbox, after=after, before=before)
    if len(ids) > MAX_TILES:
        raise InputError(
            f"{len(ids)} tiles are more than a page can hold ({MAX_TILES})",
            "choose some with a filter such as a bounding box or a label",
        )
    boxes: list[tuple[float, ...]] = []
    rows: list[list[Any]] = []
    texts: dict[str, int] = {}
    pictures: dict[int, str] = {}
    for start in range(0, len(ids), LOOKUP):
        for record in archive.records(ids[start : start + LOOKUP]):
            if record.bbox is None:
                continue
            if len(ids) <= MAX_PICTURES and (picture := _picture(record)):
                pictures[len(boxes)] = picture
            boxes.append(record.bbox)
            label = record.label or record.predicted_label or ""
            named = [
                texts.setdefault(text, len(texts))
                for text in (label, record.source or "", (record.datetime or "")[:10])
            ]
            rows.append([record.id, *named, *(record.window or ())])
    if not boxes:
        raise InputError(
            f"no tile of {archive.path} has a footprint", "index georeferenced images or scenes"
        )
    data = {
        "title": archive.path.name,
        "boxes": base64.b64encode(np.array(boxes, "<f8").tobytes()).decode("ascii"),
        "rows": rows,
        "texts": list(texts),
        "pictures": pictures,
        "land": _coastline(),
    }
    template = files("terrahash.archive").joinpath("map.html").read_text(encoding="utf-8")
    # Within a script element nothing may look like its end.
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    try:
        Path(path).write_text(template.replace("/*DATA*/null", text), encoding="utf-8")
    except OSError as error:
        raise ArchiveError(
            f"cannot write {path}: {error.strerror}", "choose a writable place"
        ) from None
    return len(boxes)


def _picture(record: Record) -> str | None:
    """The kept thumbnail of a tile as base64 of a WebP file, or None."""
    from terrahash.imagery.reading import read_image

    number = record.columns.get(COLUMN)
    if record.archive is None or not isinstance(number, int):
        return None
    found = kept(record.archive, number)
    small = encode(read_image(found[0]), PICTURE_SIDE) if found else None
    return base64.b64encode(small).decode("ascii") if small else None


@cache
def _coastline() -> dict[str, Any]:
    """Rings of land and, after them, borders: their lengths, and all points as base64 of int16.

    Points are longitude and latitude in hundredths of a degree, as fine as the source is.
    """
    features = json.loads(files("terrahash").joinpath(COASTLINE).read_text(encoding="utf-8"))
    shapes = {f["properties"]["kind"]: f["geometry"]["coordinates"] for f in features["features"]}
    rings = [ring for polygon in shapes["land"] for ring in polygon]
    lines = [np.array(line, np.float64) for line in [*rings, *shapes["border"]]]
    points = np.round(np.concatenate(lines) * 100).astype("<i2")
    return {
        "rings": len(rings),
        "lengths": [len(line) for line in lines],
        "points": base64.b64encode(points.tobytes()).decode("ascii"),
    }
