"""What an archive says of its tiles: records, and the hits of a search."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from terrahash.errors import TerrahashError

if TYPE_CHECKING:
    from terrahash.archive.snapshot import Snapshot

# Longest side of a picture in a notebook, and how many are shown.
THUMBNAIL_PIXELS = 96
MAX_THUMBNAILS = 50


@dataclass(frozen=True)
class Record:
    """What is known of one tile.

    Attributes:
        id: stable number of the tile.
        user_id: the caller's own id of it.
        source: where its pixels are: a path or an address.
        label: its true class, where known.
        predicted_label: its class as the encoder sees it.
        confidence: probability of that class.
        datetime: when it was taken, ISO 8601 in UTC.
        bbox: footprint, degrees: west, south, east, north; west > east across the antimeridian.
        window: the part of the source that it shows, pixels: x, y, width, height.
        size: bytes of the source file when it was read.
        mtime: nanoseconds since 1970 of the source's last change when it was read.
        columns: what the user added.
        archive: folder of the archive that holds it, where it was read there.
    """

    id: int
    user_id: str | None = None
    source: str | None = None
    label: str | None = None
    predicted_label: str | None = None
    confidence: float | None = None
    datetime: str | None = None
    bbox: tuple[float, float, float, float] | None = None
    window: tuple[int, int, int, int] | None = None
    size: int | None = None
    mtime: int | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)
    archive: Path | None = field(default=None, repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready description."""
        return {
            "id": self.id,
            "user_id": self.user_id,
            "source": self.source,
            "label": self.label,
            "predicted_label": self.predicted_label,
            "confidence": self.confidence,
            "datetime": self.datetime,
            "bbox": None if self.bbox is None else list(self.bbox),
            "window": None if self.window is None else list(self.window),
            "columns": dict(self.columns),
        }


@dataclass(frozen=True)
class Hits:
    """The tiles nearest to a query, best first.

    Attributes:
        query: what was asked: a source, ``"id 5"``, or None for a bare code.
        ids: ``(n,) int64``.
        distances: ``(n,) float32``, bits as the layout weighs them.
        scores: ``(n,) float32`` of asymmetric ranking, or None.
        ties_at_last_distance: how many tiles in all rank exactly as the last hit does.
        explain: how the search went: ``way`` and ``share_read`` of the codes, per part.
    """

    query: str | None
    ids: NDArray[np.int64]
    distances: NDArray[np.float32]
    scores: NDArray[np.float32] | None
    ties_at_last_distance: int
    explain: Mapping[str, Any]
    _snapshot: Snapshot = field(repr=False)

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    @cached_property
    def records(self) -> list[Record]:
        """What is known of each hit, as it was when the search was made."""
        return self._snapshot.records(self.ids)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready description: ``query``, ``ties_at_last_distance``, ``hits``."""
        hits = []
        for position, record in enumerate(self.records):
            score = None if self.scores is None else float(self.scores[position])
            hits.append(
                {
                    "rank": position + 1,
                    "id": record.id,
                    "distance": float(self.distances[position]),
                    "score": score,
                    **{k: v for k, v in record.to_json().items() if k != "id"},
                }
            )
        return {
            "query": self.query,
            "ties_at_last_distance": self.ties_at_last_distance,
            "hits": hits,
            "explain": dict(self.explain),
        }

    def _repr_html_(self) -> str:
        cells = "".join(
            _card(position + 1, float(self.distances[position]), record, picture)
            for position, (record, picture) in enumerate(self._pictured())
        )
        more = len(self) - min(len(self), MAX_THUMBNAILS)
        note = f"<p>… and {more} more</p>" if more else ""
        title = html.escape(self.query or "code")
        row = f'<div style="display:flex;flex-wrap:wrap;gap:8px">{cells}</div>'
        return f"<div><p><b>{title}</b>: {len(self)} hits</p>{row}{note}</div>"

    def _pictured(self) -> Iterator[tuple[Record, str | None]]:
        for record in self._snapshot.records(self.ids[:MAX_THUMBNAILS]):
            yield record, thumbnail(record)


def thumbnail(record: Record, pixels: int = THUMBNAIL_PIXELS) -> str | None:
    """A small JPEG of a tile as a data URI, or None where its source is no readable local image."""
    from PIL import Image

    from terrahash.archive.pixels import tile_image

    try:
        image = Image.fromarray(tile_image(record, pixels))
    except (TerrahashError, OSError):
        return None
    image.thumbnail((pixels, pixels))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _card(rank: int, distance: float, record: Record, picture: str | None) -> str:
    label = html.escape(record.label or record.predicted_label or "")
    name = html.escape(record.source or record.user_id or f"id {record.id}")
    if picture:
        shown = f'<img src="{picture}" alt="{name}">'
    else:
        shown = f'<div style="width:{THUMBNAIL_PIXELS}px;overflow-wrap:anywhere">{name}</div>'
    return (
        f'<div style="width:{THUMBNAIL_PIXELS}px;font-size:11px" title="{name}">{shown}'
        f"<div>{rank}. {label} ({distance:g})</div></div>"
    )
