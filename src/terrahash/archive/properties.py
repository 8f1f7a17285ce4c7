"""Properties that come with a scene, as columns of its tiles."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, MutableMapping
from typing import Any

from terrahash.archive.schema import BUILT_IN, ID
from terrahash.archive.stored import BANDS, CUT, HIDDEN, SCALING, SCENE_TILES, SEEN
from terrahash.imagery.scene import parse_time

ITEM, COLLECTION = "item", "collection"
# A catalogue's item has a dozen or two; no row should carry hundreds.
MAX_PROPERTIES = 64
MAX_TEXT = 1000
_TAKEN = {
    *BUILT_IN, ID, "bbox", "window", BANDS, CUT, HIDDEN, SCALING, SCENE_TILES, SEEN, ITEM,
    COLLECTION,
}  # fmt: skip


def columns_of(
    item: str,
    collection: str | None,
    properties: Mapping[str, Any],
    kinds: MutableMapping[str, str],
) -> dict[str, Any]:
    """Column values of a STAC item's tiles.

    Args:
        item: its id.
        collection: its collection's id.
        properties: its own; a name such as ``eo:cloud_cover`` becomes ``eo_cloud_cover``, numbers
            become real numbers, and what a column of another kind cannot hold is left out.
        kinds: of the columns so far; those of new ones are added.
    """
    out: dict[str, Any] = {ITEM: item}
    if collection is not None:
        out[COLLECTION] = collection
    for key, value in properties.items():
        name = re.sub(r"\W", "_", key)
        if not name or name[0].isdigit() or name in _TAKEN or len(out) >= MAX_PROPERTIES:
            continue
        new = {bool: "boolean", str: "text"}.get(type(value), "real")
        held = _held(value, kinds.setdefault(name, new))
        if held is not None:
            out[name] = held
    return out


def _held(value: Any, kind: str) -> Any:
    """The value as a column of a kind holds it, or None."""
    if kind == "text":
        return str(value)[:MAX_TEXT]
    if kind == "datetime":
        return parse_time(value) if isinstance(value, str) else None
    if isinstance(value, bool) or kind == "boolean":
        return value if isinstance(value, bool) and kind == "boolean" else None
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    if kind == "real":
        return float(value)
    return int(value) if value == int(value) and abs(value) < 2**63 else None
