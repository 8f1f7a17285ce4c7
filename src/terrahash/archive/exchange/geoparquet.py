"""GeoParquet 1.1 out and in, in the columns of stac-geoparquet with the codes beside them."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from terrahash.archive.columns import NumberColumn, TextColumn
from terrahash.archive.exchange.rows import BATCH, Identity, Rows, identity_of, tables
from terrahash.archive.schema import BBOX, BUILT_IN, WINDOW
from terrahash.archive.writing import Table
from terrahash.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from terrahash.archive.archive import Archive

PREFIX = "terrahash:"
METADATA = b"terrahash"
STAC_VERSION = "1.0.0"
# Columns that stac-geoparquet gives a meaning.
RESERVED = (
    "type", "stac_version", "stac_extensions", "id", "geometry", "bbox", "links", "assets",
    "collection", "datetime",
)  # fmt: skip
_TILE = ("user_id", "label", "predicted_label", "confidence", "size", "mtime")


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError("GeoParquet", "geo", "pyarrow") from None
    return pyarrow, pyarrow.parquet


def write(archive: Archive, ids: NDArray[np.int64], target: Path) -> int:
    """Write tiles to a GeoParquet file; gives how many."""
    pa, parquet = _arrow()
    snapshot = archive.snapshot()
    kinds = identity_of(archive).columns
    schema = _schema(pa, archive.layout.nbytes, kinds).with_metadata(
        {
            b"geo": json.dumps(_geo()).encode(),
            METADATA: json.dumps(identity_of(archive).to_json()).encode(),
        }
    )
    with parquet.ParquetWriter(target, schema, compression="zstd") as writer:
        for table in tables(snapshot, ids):
            writer.write_table(pa.Table.from_pydict(_columns(pa, table, kinds), schema=schema))
    return len(ids)


def identity(source: Path) -> Identity:
    """Layout and encoder that a file was written with.

    Raises:
        InputError: if it is no Parquet file.
    """
    pa, parquet = _arrow()
    try:
        metadata = parquet.read_schema(source).metadata or {}
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{source}: not a Parquet file ({error})", "check the path") from None
    return Identity.from_json(json.loads(metadata.get(METADATA, b"{}")))


def read(source: Path, nbytes: int, kinds: Mapping[str, str]) -> Iterator[Rows]:
    """The rows of a file that :func:`write` wrote.

    Raises:
        InputError: if it has no codes of this size.
    """
    _, parquet = _arrow()
    with parquet.ParquetFile(source) as file:
        names = file.schema_arrow.names
        if PREFIX + "code" not in names:
            raise InputError(
                f"{source} has no column '{PREFIX}code'", "export it with: archive export"
            )
        for batch in file.iter_batches(BATCH):
            data = {name: batch.column(name) for name in names}
            raw = b"".join(data[PREFIX + "code"].to_pylist())
            if len(raw) != batch.num_rows * nbytes:
                raise InputError(
                    f"{source}: its codes are not of {nbytes} bytes", "import it elsewhere"
                )
            codes = np.frombuffer(raw, np.uint8).reshape(-1, nbytes)
            ids = np.array(data[PREFIX + "id"].to_pylist(), np.int64)
            yield Rows(codes, _values(data, kinds), ids)


def _schema(pa: Any, nbytes: int, kinds: Mapping[str, str]) -> Any:
    box = pa.struct([(name, pa.float64()) for name in ("xmin", "ymin", "xmax", "ymax")])
    asset = pa.struct([("href", pa.string()), ("roles", pa.list_(pa.string()))])
    link = pa.struct([("rel", pa.string()), ("href", pa.string())])
    return pa.schema(
        [
            ("type", pa.string()),
            ("stac_version", pa.string()),
            ("stac_extensions", pa.list_(pa.string())),
            ("id", pa.string()),
            ("geometry", pa.binary()),
            ("bbox", box),
            ("links", pa.list_(link)),
            ("assets", pa.struct([("data", asset)])),
            ("collection", pa.string()),
            ("datetime", pa.timestamp("us", tz="UTC")),
            (PREFIX + "id", pa.int64()),
            (PREFIX + "code", pa.binary(nbytes)),
            (PREFIX + "window", pa.list_(pa.int32())),
            *((PREFIX + name, _type(pa, BUILT_IN[name])) for name in _TILE),
            *((_public(name), _type(pa, kind)) for name, kind in kinds.items()),
        ]
    )


def _public(name: str) -> str:
    return f"{PREFIX}column:{name}" if name in RESERVED else name


def _type(pa: Any, kind: str) -> Any:
    return {
        "text": pa.string(),
        "integer": pa.int64(),
        "real": pa.float64(),
        "probability": pa.float32(),
        "boolean": pa.bool_(),
        "datetime": pa.timestamp("us", tz="UTC"),
    }[kind]


def _columns(pa: Any, table: Table, kinds: Mapping[str, str]) -> dict[str, Any]:
    rows = len(table.ids)
    sides = np.stack([_numbers(table, name) for name in BBOX], axis=1)
    placed = ~np.isnan(sides[:, 0])
    boxes = [
        dict(zip(("xmin", "ymin", "xmax", "ymax"), side, strict=True)) if there else None
        for side, there in zip(sides.tolist(), placed.tolist(), strict=True)
    ]
    windows = np.stack([_numbers(table, name) for name in WINDOW], axis=1).tolist()
    sources = _texts(table, "source")
    user_ids = _texts(table, "user_id")
    out: dict[str, Any] = {
        "type": ["Feature"] * rows,
        "stac_version": [STAC_VERSION] * rows,
        "stac_extensions": [[]] * rows,
        "id": [u if u is not None else str(n) for u, n in zip(user_ids, table.ids, strict=True)],
        "geometry": [
            _wkb(*side) if there else None
            for side, there in zip(sides.tolist(), placed.tolist(), strict=True)
        ],
        "bbox": boxes,
        "links": [[]] * rows,
        "assets": [{"data": {"href": s, "roles": ["data"]} if s else None} for s in sources],
        "collection": [None] * rows,
        "datetime": _array(pa, table, "datetime", "datetime"),
        PREFIX + "id": table.ids,
        PREFIX + "code": [code.tobytes() for code in table.codes],
        PREFIX + "window": [None if window[0] < 0 else window for window in windows],
    }
    out |= {PREFIX + name: _array(pa, table, name, BUILT_IN[name]) for name in _TILE}
    return out | {_public(name): _array(pa, table, name, kind) for name, kind in kinds.items()}


def _numbers(table: Table, name: str) -> NDArray[Any]:
    column = table.columns[name]
    return column.values if isinstance(column, NumberColumn) else np.empty(0)


def _texts(table: Table, name: str) -> list[str | None]:
    column = table.columns[name]
    return column.texts() if isinstance(column, TextColumn) else []


def _array(pa: Any, table: Table, name: str, kind: str) -> Any:
    column = table.columns[name]
    if isinstance(column, TextColumn):
        return pa.array(column.texts(), pa.string())
    values = column.values != 0 if kind == "boolean" else column.values
    array = pa.array(values, mask=column.nulls())
    return array.cast(_type(pa, kind))


def _values(data: Mapping[str, Any], kinds: Mapping[str, str]) -> dict[str, Any]:
    boxes = data["bbox"].to_pylist() if "bbox" in data else None
    assets = data["assets"].to_pylist() if "assets" in data else []
    out: dict[str, Any] = {
        "bbox": boxes
        and [None if b is None else (b["xmin"], b["ymin"], b["xmax"], b["ymax"]) for b in boxes],
        "source": [a["data"]["href"] if a and a.get("data") else None for a in assets] or None,
        "datetime": data["datetime"].to_pylist() if "datetime" in data else None,
        "window": data[PREFIX + "window"].to_pylist() if PREFIX + "window" in data else None,
    }
    for name in _TILE:
        if PREFIX + name in data:
            out[name] = data[PREFIX + name].to_pylist()
    for name in kinds:
        if _public(name) in data:
            out[name] = data[_public(name)].to_pylist()
    return {name: values for name, values in out.items() if values is not None}


def _geo() -> dict[str, Any]:
    covering = {side: ["bbox", side] for side in ("xmin", "ymin", "xmax", "ymax")}
    column = {
        "encoding": "WKB",
        "geometry_types": ["Polygon", "MultiPolygon"],
        "covering": {"bbox": covering},
    }
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}


def rings(west: float, south: float, east: float, north: float) -> list[list[list[float]]]:
    """The outlines of a footprint, counter-clockwise; two across the antimeridian (RFC 7946)."""
    spans = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
    return [[[w, south], [e, south], [e, north], [w, north], [w, south]] for w, e in spans]


def _wkb(west: float, south: float, east: float, north: float) -> bytes:
    polygons = [
        struct.pack("<BIII", 1, 3, 1, len(ring))
        + b"".join(struct.pack("<dd", *point) for point in ring)
        for ring in rings(west, south, east, north)
    ]
    if len(polygons) == 1:
        return polygons[0]
    return struct.pack("<BII", 1, 6, len(polygons)) + b"".join(polygons)
