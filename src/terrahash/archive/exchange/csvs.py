"""CSV out and in: one line a tile, codes in hexadecimal."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from terrahash.archive.exchange.report import ExchangeReport
from terrahash.archive.exchange.rows import BATCH, Rows, tables
from terrahash.archive.schema import BBOX, BUILT_IN, WINDOW
from terrahash.archive.thumbnails import COLUMN
from terrahash.errors import InputError

if TYPE_CHECKING:
    from terrahash.archive.archive import Archive

CODE = "code"


def write(archive: Archive, ids: NDArray[np.int64], target: Path) -> int:
    """Write tiles as CSV with a header; gives how many."""
    snapshot = archive.snapshot()
    names = [name for name in snapshot.kinds() if name != COLUMN]
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", CODE, *names])
        for table in tables(snapshot, ids):
            columns = [table.columns[name] for name in names]
            for row, number in enumerate(table.ids.tolist()):
                code = table.codes[row].tobytes().hex()
                writer.writerow([number, code, *(column.item(row) for column in columns)])
    return len(ids)


def read(
    source: Path, nbytes: int, kinds: Mapping[str, str], report: ExchangeReport
) -> Iterator[Rows]:
    """The rows of a CSV file with a header; lines without a sound code are passed over.

    Columns that are not known become columns of their own: of numbers if all their values in the
    first batch are.

    Raises:
        InputError: if it is no CSV file, or has no column of codes.
    """
    try:
        with source.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            names = list(reader.fieldnames or [])
            if CODE not in names:
                raise InputError(
                    f"{source} has no column '{CODE}'", "give codes in hexadecimal under that name"
                )
            parsers: dict[str, Callable[[str], Any]] = {}
            batch: list[dict[str, Any]] = []
            for line in reader:
                batch.append(line)
                if len(batch) == BATCH:
                    yield from _rows(batch, names, nbytes, kinds, parsers, report, source)
                    batch = []
            if batch:
                yield from _rows(batch, names, nbytes, kinds, parsers, report, source)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{source}: cannot be read as CSV ({error})", "check the file") from None


def _rows(
    batch: list[dict[str, Any]],
    names: list[str],
    nbytes: int,
    kinds: Mapping[str, str],
    parsers: dict[str, Callable[[str], Any]],
    report: ExchangeReport,
    source: Path,
) -> Iterator[Rows]:
    if not parsers:
        parsers |= {
            name: _parser({**BUILT_IN, **kinds}.get(name), [line[name] for line in batch])
            for name in names
            if name not in ("id", CODE)
        }
    codes, kept, ids = [], [], []
    for line in batch:
        try:
            code = bytes.fromhex(line[CODE])
            if len(code) != nbytes:
                raise ValueError(f"a code of {len(code)} bytes, not {nbytes}")
            row = {
                name: parse(line[name]) if line[name] else None for name, parse in parsers.items()
            }
            ids.append(int(line.get("id") or 0))
        except (TypeError, ValueError, KeyError) as error:
            report.skip(f"{source}: {line.get(CODE)!r}: {error}")
            continue
        codes.append(code)
        kept.append(row)
    if not codes:
        return
    values: dict[str, Any] = {}
    for group, parts in (("bbox", BBOX), ("window", WINDOW)):
        if all(part in parsers for part in parts):
            quads = [[row[part] for part in parts] for row in kept]
            values[group] = [None if None in quad else quad for quad in quads]
    for name in parsers:
        if name not in (*BBOX, *WINDOW):
            values[name] = [row[name] for row in kept]
    table = np.frombuffer(b"".join(codes), np.uint8).reshape(-1, nbytes)
    yield Rows(table, values, np.array(ids, np.int64))


def _parser(kind: str | None, texts: list[str]) -> Callable[[str], Any]:
    if kind is None:
        some = [text for text in texts if text]
        kind = next(
            (k for k in ("integer", "real") if some and all(_fits(k, t) for t in some)), "text"
        )
    if kind == "boolean":
        return lambda text: {"true": True, "false": False, "1": True, "0": False}[text.lower()]
    if kind in ("integer", "pixels"):
        return int
    return float if kind in ("real", "probability") else str


def _fits(kind: str, text: str) -> bool:
    try:
        (int if kind == "integer" else float)(text)
    except ValueError:
        return False
    return True
