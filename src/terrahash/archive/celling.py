"""Cells of an archive's codes on disk: what makes its search sub-linear, built now and then.

Cells say nothing that the segments do not: they are dropped when damaged or outdated, and built
again by `compact`. A file of cells has the form of a segment without rows.
"""

from __future__ import annotations

import logging
import mmap
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from terrahash.archive.files import Files
from terrahash.archive.ids import IdRuns
from terrahash.archive.segments import Footer, Segment, damaged
from terrahash.archive.snapshot import Snapshot, StoredCells
from terrahash.archive.writing import SegmentWriter
from terrahash.codes import CodeLayout
from terrahash.errors import ArchiveError, TerrahashError
from terrahash.search import Cells, build_cells

FOLDER = "cells"
SUFFIX = ".cells"
# Fewer codes are scanned in less time than cells could save.
MIN_ROWS = 1 << 18

_log = logging.getLogger("terrahash.archive")
_NO_IDS = IdRuns.of(np.empty(0, np.int64))


def build(
    snapshot: Snapshot,
    path: Path,
    files: Files,
    progress: Callable[[float], None] | None = None,
) -> dict[str, str] | None:
    """Build cells of the codes of a snapshot's first group of segments, and make them durable.

    Returns:
        What the manifest is to note, or None where there are too few codes.
    """
    segments = snapshot.groups[0] if snapshot.groups else []
    if sum(segment.rows for segment in segments) < MIN_ROWS:
        return None
    chunks = [segment.codes for segment in segments]
    cells = build_cells(chunks, snapshot.layout, progress=progress)
    name = f"{snapshot.state.version + 1:010d}{SUFFIX}"
    folder = path / FOLDER
    folder.mkdir(exist_ok=True)
    files.sync_folder(path)
    writer = SegmentWriter(files, folder / name)
    try:
        for array, values in cells.to_arrays().items():
            writer.add(array, values)
        footer = writer.finish(
            seq=0,
            ids=_NO_IDS,
            next_id=0,
            columns={},
            replaces=tuple(segment.seq for segment in segments),
            archive={"layout": snapshot.layout.to_json()},
        )
    except BaseException:
        writer.abandon()
        raise
    return {name: footer.to_text()}


def load(path: Path, noted: Mapping[str, str], layout: CodeLayout) -> StoredCells | None:
    """Open the cells that the manifest notes; None if there are none that can be used."""
    for name, text in noted.items():
        try:
            footer = Footer.from_text(text, 0)
            cells = _open(path / FOLDER / name, footer, layout)
            return StoredCells(cells, footer.replaces)
        except (OSError, KeyError, ValueError, TypeError, TerrahashError) as error:
            _log.warning("%s: cells %s cannot be used: %s", path, name, error)
    return None


def problems(path: Path, noted: Mapping[str, str]) -> list[str]:
    """What is wrong with the files of cells that the manifest notes."""
    out = []
    for name, text in noted.items():
        try:
            footer = Footer.from_text(text, 0)
            hurt = sum(stop - start for _, start, stop in damaged(path / FOLDER / name, footer))
            if hurt:
                out.append(f"{FOLDER}/{name}: {hurt} bytes do not match their checksum")
        except (OSError, KeyError, ValueError, TypeError) as error:
            out.append(f"{FOLDER}/{name}: {error}")
    return out


def remaining(noted: Mapping[str, str], gone: set[int]) -> dict[str, str]:
    """The noted cells that cover none of some segments."""
    out = {}
    for name, text in noted.items():
        try:
            if not gone & set(Footer.from_text(text, 0).replaces):
                out[name] = text
        except (KeyError, ValueError, TypeError):
            continue
    return out


def sweep(path: Path, noted: Mapping[str, str], files: Files) -> None:
    """Remove files of cells that the manifest does not note."""
    for file in (path / FOLDER).glob("*" + SUFFIX):
        if file.name not in noted:
            files.remove(file)


def _open(path: Path, footer: Footer, layout: CodeLayout) -> Cells:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if size < footer.data_end:
            raise ArchiveError(f"{path} is torn", "compact the archive again")
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    holder = Segment(footer, path, memoryview(mapped))
    return Cells.from_arrays({a.name: holder.array(a.name) for a in footer.arrays}, layout)
