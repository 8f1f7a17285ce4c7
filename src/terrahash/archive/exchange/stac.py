"""STAC items out and in: an ItemCollection, with the codes among the properties."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from terrahash.archive.exchange.geojson import footprint
from terrahash.archive.exchange.geoparquet import PREFIX, RESERVED, STAC_VERSION
from terrahash.archive.exchange.report import ExchangeReport
from terrahash.archive.exchange.rows import BATCH, Identity, Rows, identity_of
from terrahash.archive.hits import Record
from terrahash.archive.thumbnails import COLUMN
from terrahash.errors import InputError

if TYPE_CHECKING:
    from terrahash.archive.archive import Archive

_TILE = ("label", "predicted_label", "confidence", "window", "user_id", "size", "mtime")


def write(archive: Archive, ids: NDArray[np.int64], target: Path, report: ExchangeReport) -> int:
    """Write tiles as one ItemCollection; gives how many.

    A STAC item needs a date: tiles without one are passed over.
    """
    snapshot = archive.snapshot()
    written = 0
    with target.open("w", encoding="utf-8") as file:
        head = json.dumps({PREFIX + "identity": identity_of(archive).to_json()})[1:-1]
        file.write('{"type": "FeatureCollection", ' + head + ', "features": [')
        for first in range(0, len(ids), BATCH):
            part = ids[first : first + BATCH]
            for record, code in zip(snapshot.records(part), snapshot.codes(part), strict=True):
                if record.datetime is None:
                    report.skip(f"id {record.id}: a STAC item needs a date")
                    continue
                file.write(",\n" if written else "\n")
                file.write(json.dumps(item(record, code), ensure_ascii=False))
                written += 1
        file.write("\n]}\n")
    return written


def item(record: Record, code: NDArray[np.uint8]) -> dict[str, Any]:
    """A tile as a STAC item."""
    properties: dict[str, Any] = {
        "datetime": record.datetime,
        PREFIX + "id": record.id,
        PREFIX + "code": code.tobytes().hex(),
    }
    known = {**record.to_json(), "size": record.size, "mtime": record.mtime}
    properties |= {PREFIX + name: known[name] for name in _TILE if known[name] is not None}
    for name, value in record.columns.items():
        if name == COLUMN:
            continue
        properties[f"{PREFIX}column:{name}" if name in RESERVED else name] = value
    out: dict[str, Any] = {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": [],
        "id": record.user_id or str(record.id),
        "geometry": None if record.bbox is None else footprint(record.bbox),
        "properties": properties,
        "links": [],
        "assets": {"data": {"href": record.source, "roles": ["data"]}} if record.source else {},
    }
    if record.bbox is not None:
        out["bbox"] = list(record.bbox)
    return out


def load(source: Path) -> dict[str, Any]:
    """An item, an ItemCollection, or a folder of either.

    Raises:
        InputError: if a file is no JSON of this kind.
    """
    if source.is_dir():
        parts = [load(path) for path in sorted(source.rglob("*.json"))]
        merged: dict[str, Any] = {"type": "FeatureCollection", "features": []}
        for part in parts:
            merged |= {k: v for k, v in part.items() if k != "features"}
        merged["features"] = [feature for part in parts for feature in part["features"]]
        return merged
    try:
        data = json.loads(source.read_text(encoding="utf-8"))
        if data["type"] == "Feature":
            return {"type": "FeatureCollection", "features": [data]}
        if data["type"] == "FeatureCollection" and isinstance(data["features"], list):
            return dict(data)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise InputError(f"{source}: no STAC items ({error})", "give an ItemCollection") from None
    raise InputError(f"{source}: no STAC items", "give an ItemCollection or an Item")


def identity(data: Mapping[str, Any]) -> Identity:
    """Layout and encoder that a collection was written with."""
    return Identity.from_json(data.get(PREFIX + "identity", {}))


def read(
    data: Mapping[str, Any], nbytes: int, kinds: Mapping[str, str], report: ExchangeReport
) -> Iterator[Rows]:
    """The rows of a collection; items without a code of this size are passed over."""
    features = data["features"]
    for first in range(0, len(features), BATCH):
        codes, ids, kept = [], [], []
        for feature in features[first : first + BATCH]:
            try:
                code = bytes.fromhex(feature["properties"][PREFIX + "code"])
                if len(code) != nbytes:
                    raise ValueError("code")
                kept.append(_known(feature, kinds))
            except (KeyError, TypeError, ValueError):
                name = feature.get("id") if isinstance(feature, dict) else None
                report.skip(f"item {name!r}: no {PREFIX}code of {nbytes} bytes")
                continue
            codes.append(code)
            ids.append(int(feature["properties"].get(PREFIX + "id", 0)))
        if codes:
            values = {name: [row.get(name) for row in kept] for name in kept[0]}
            table = np.frombuffer(b"".join(codes), np.uint8).reshape(-1, nbytes)
            yield Rows(table, values, np.array(ids, np.int64))


def _known(feature: Mapping[str, Any], kinds: Mapping[str, str]) -> dict[str, Any]:
    properties = feature["properties"]
    box = feature.get("bbox")
    asset: Mapping[str, Any] = next(iter((feature.get("assets") or {}).values()), {})
    out = {
        "source": asset.get("href"),
        "datetime": properties.get("datetime"),
        "bbox": box if box is None or len(box) == 4 else [box[0], box[1], box[3], box[4]],
    }
    out |= {name: properties.get(PREFIX + name) for name in _TILE}
    for name in kinds:
        public = f"{PREFIX}column:{name}" if name in RESERVED else name
        out[name] = properties.get(public)
    return out
