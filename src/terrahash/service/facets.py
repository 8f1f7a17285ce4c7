"""What the tiles that meet a filter are: counted by class and by time, with their extent."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terrahash.archive import Archive, Snapshot
from terrahash.archive.columns import KINDS, TextColumn
from terrahash.archive.filters import Filter
from terrahash.archive.schema import BBOX
from terrahash.archive.segments import Segment
from terrahash.archive.times import iso
from terrahash.service.conditions import Filters

# Classes that are counted in an answer; the rest is too rare to choose by.
MAX_VALUES = 500
# A histogram of time has at most about this many bars: days, else months, else years.
MAX_BARS = 120
REMEMBERED = 64

Rows = tuple[Segment, NDArray[np.int64]]


class FacetCounter:
    """Counts, and remembers the last answers of each version of the archive."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: OrderedDict[tuple[int, int, str], dict[str, Any]] = OrderedDict()

    def count(self, archive: Archive, filters: Filters) -> dict[str, Any]:
        """See :class:`terrahash.service.schemas.Facets`."""
        snapshot = archive.snapshot()
        key = (id(archive), snapshot.state.version, filters.model_dump_json())
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        counted = count(snapshot, filters)
        with self._lock:
            self._known[key] = counted
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return counted


def count(snapshot: Snapshot, filters: Filters) -> dict[str, Any]:
    """Count the live rows that meet the filters."""
    condition = Filter.of(snapshot.kinds(), **filters.arguments())
    rows = list(snapshot.rows(condition))
    dates, first, last = _dates(rows)
    return {
        "total": sum(len(chosen) for _, chosen in rows),
        "label": _texts(rows, "label"),
        "predicted_label": _texts(rows, "predicted_label"),
        "dates": dates,
        "first": first,
        "last": last,
        "bbox": _extent(rows),
    }


def placed(snapshot: Snapshot) -> bool:
    """Whether any tile has a footprint."""
    return any(
        "west" in segment.footer.columns and not np.isnan(segment.array("west")).all()
        for segment in snapshot.segments
    )


def _texts(rows: Iterable[Rows], name: str) -> list[dict[str, Any]]:
    totals: dict[str, int] = {}
    for segment, chosen in rows:
        column = segment.column(name)
        if not isinstance(column, TextColumn):
            continue
        entries, absent = column.entry_of(chosen)
        numbers, counts = np.unique(entries[~absent], return_counts=True)
        for number, many in zip(numbers.tolist(), counts.tolist(), strict=True):
            text = column.entry_bytes(number).decode()
            totals[text] = totals.get(text, 0) + many
    ranked = sorted(totals.items(), key=lambda pair: (-pair[1], pair[0]))[:MAX_VALUES]
    return [{"value": value, "count": many} for value, many in ranked]


def _dates(rows: Iterable[Rows]) -> tuple[list[dict[str, Any]], str | None, str | None]:
    null = KINDS["datetime"].null
    parts = [
        segment.array("datetime")[chosen]
        for segment, chosen in rows
        if "datetime" in segment.footer.columns
    ]
    moments = np.concatenate(parts) if parts else np.empty(0, np.int64)
    moments = moments[moments != null]
    if not len(moments):
        return [], None, None
    first, last = int(moments.min()), int(moments.max())
    times = moments.astype("datetime64[us]")
    for unit in ("D", "M", "Y"):
        bins, counts = np.unique(times.astype(f"datetime64[{unit}]"), return_counts=True)
        span = int((bins[-1] - bins[0]).astype(np.int64)) + 1
        if span <= MAX_BARS or unit == "Y":
            break
    bars = [
        {"value": str(value), "count": many}
        for value, many in zip(bins, counts.tolist(), strict=True)
    ]
    return bars, iso(first), iso(last)


def _extent(rows: Iterable[Rows]) -> list[float] | None:
    """Footprints that cross the antimeridian make the extent the whole circle of longitudes."""
    low = np.array([np.inf, np.inf])
    high = -low
    for segment, chosen in rows:
        if any(name not in segment.footer.columns for name in BBOX):
            continue
        west, south, east, north = (segment.array(name)[chosen] for name in BBOX)
        known = ~np.isnan(west)
        if not known.any():
            continue
        across = bool((west[known] > east[known]).any())
        sides = (-180.0, 180.0) if across else (west[known].min(), east[known].max())
        low = np.minimum(low, [sides[0], south[known].min()])
        high = np.maximum(high, [sides[1], north[known].max()])
    if not np.isfinite(low).all():
        return None
    return [float(low[0]), float(low[1]), float(high[0]), float(high[1])]
