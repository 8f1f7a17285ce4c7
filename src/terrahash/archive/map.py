"""A map of an archive's footprints: one page that needs nothing else."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from terrahash.errors import ArchiveError, InputError

if TYPE_CHECKING:
    from terrahash.archive.archive import Archive

# A page of some ten megabytes that a browser still pans smoothly.
MAX_TILES = 200_000
LOOKUP = 8192


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
    for start in range(0, len(ids), LOOKUP):
        for record in archive.records(ids[start : start + LOOKUP]):
            if record.bbox is None:
                continue
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
