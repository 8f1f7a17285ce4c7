"""Segments: immutable files of codes, columns and tombstones, laid down once and memory-mapped.

One commit of an archive is one segment. A file is::

    8 bytes  magic "THSEG001"
    arrays   each beginning at a multiple of 64 bytes, little-endian, row-major
    footer   UTF-8 JSON, see below
    trailer  uint64 footer bytes, uint32 CRC-32 of the footer, 4 zero bytes, magic "THEND001"

The footer says everything that is needed to make sense of the arrays without SQLite, and SQLite
keeps a copy of it: either finds what the other lost. ``arrays`` gives ``[name, offset, dtype,
shape]`` of each; ``checks`` the CRC-32 of every 64 KiB of each array, in order, as base64 of
little-endian uint32. Arrays are named ``codes``, ``ids.rows`` and ``ids.ids`` (:class:`IdRuns`),
``<column><suffix>`` (:mod:`columns`), ``<column>.zones`` and
``<column>.sketch`` (:mod:`zones`), ``<column>.hash`` and
``<column>.hashrows`` (:mod:`lookup`), and ``dead.<seq>``: rows of segment ``seq`` that are deleted.
"""

from __future__ import annotations

import base64
import json
import math
import mmap
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from terrahash.archive.columns import Column, column_from_arrays
from terrahash.archive.ids import IdRuns
from terrahash.errors import ArchiveError

Array: TypeAlias = NDArray[Any]

MAGIC = b"THSEG001"
END = b"THEND001"
TRAILER = struct.Struct("<QI4x8s")
ALIGNMENT = 64
# What one checksum covers: damage costs the rows in 64 KiB, not the segment.
CHECKED_BYTES = 1 << 16
# A row within a segment is a uint32; far below, so that a merge works in bounded memory.
MAX_ROWS = 1 << 24
SUFFIX = ".seg"
# Arrays without which rows are lost or deleted rows return; the footer, of which SQLite keeps a
# copy, repeats them while they are small.
COPIED = ("ids.", "dead.")
MAX_COPIED_BYTES = 1 << 16


@dataclass(frozen=True)
class ArrayPlace:
    """Where an array lies in a segment file."""

    name: str
    offset: int
    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    @property
    def checks(self) -> int:
        """Number of checksums over it."""
        return -(-self.nbytes // CHECKED_BYTES)


@dataclass(frozen=True)
class Footer:
    """What a segment says of itself.

    Attributes:
        seq: its number, which is its name and never used again.
        rows: rows in it.
        next_id: the archive's next free id when it was written.
        columns: kind of each column in it, by name.
        replaces: numbers of the segments whose rows it took over, together with its siblings.
        outputs: number of the first segment of the merge that made it, and how many it made.
        archive: what every segment repeats of its archive (layout, encoder, user's columns).
        arrays: places of its arrays.
        checks: see module docstring.
        size: bytes of the file.
        ids: smallest and largest id in it.
        copies: small arrays of ids and tombstones once more, as base64.
    """

    seq: int
    rows: int
    next_id: int
    columns: Mapping[str, str]
    replaces: tuple[int, ...]
    outputs: tuple[int, int]
    archive: Mapping[str, Any]
    arrays: tuple[ArrayPlace, ...]
    checks: str
    size: int = 0
    ids: tuple[int, int] = (0, -1)
    copies: Mapping[str, str] = field(default_factory=dict)

    def to_text(self) -> str:
        """JSON, the inverse of :meth:`from_text`."""
        content = {
            "seq": self.seq,
            "rows": self.rows,
            "ids": self.ids,
            "next_id": self.next_id,
            "columns": dict(self.columns),
            "replaces": self.replaces,
            "outputs": self.outputs,
            "archive": dict(self.archive),
            "arrays": [[a.name, a.offset, a.dtype, list(a.shape)] for a in self.arrays],
            "checks": self.checks,
            "copies": dict(self.copies),
        }
        return json.dumps(content, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str, size: int) -> Footer:
        """Read a footer.

        Raises:
            ValueError, KeyError, TypeError: if it is none.
        """
        data = json.loads(text)
        return cls(
            seq=int(data["seq"]),
            rows=int(data["rows"]),
            next_id=int(data["next_id"]),
            columns=dict(data["columns"]),
            replaces=tuple(data["replaces"]),
            outputs=tuple(data["outputs"]),
            archive=data["archive"],
            arrays=tuple(ArrayPlace(n, o, d, tuple(s)) for n, o, d, s in data["arrays"]),
            checks=data["checks"],
            size=size,
            ids=tuple(data["ids"]),
            copies=dict(data["copies"]),
        )

    def may_end(self, trailer: bytes) -> bool:
        """Whether a whole file with such a trailer can be this segment; a torn one may be."""
        if len(trailer) < TRAILER.size or not trailer.endswith(END):
            return True
        length, check, _ = TRAILER.unpack(trailer)
        text = self.to_text().encode()
        return bool(length == len(text) and check == zlib.crc32(text))

    @cached_property
    def data_end(self) -> int:
        """Bytes of the file up to the end of its last array."""
        return max((a.offset + a.nbytes for a in self.arrays), default=len(MAGIC))

    def check_values(self) -> dict[str, NDArray[np.uint32]]:
        """CRC-32 of every 64 KiB, by array."""
        values = np.frombuffer(base64.b64decode(self.checks), "<u4")
        ends = np.cumsum([place.checks for place in self.arrays])
        return {
            place.name: values[end - place.checks : end]
            for place, end in zip(self.arrays, ends.tolist(), strict=True)
        }


@dataclass
class Segment:
    """An open segment: arrays are views of the mapped file.

    A segment stays readable for as long as it is held, whatever becomes of its file.
    """

    footer: Footer
    path: Path
    _buffer: memoryview | None = field(repr=False)

    @classmethod
    def open(cls, folder: Path, footer: Footer) -> Segment:
        """Map a segment that the manifest names.

        Raises:
            FileNotFoundError: if there is no such file.
            ArchiveError: if the file is shorter than its footer says, or another's.
        """
        path = segment_path(folder, footer.seq)
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if size < footer.data_end:
                raise ArchiveError(
                    f"{path} is torn: {size} of {footer.data_end} bytes",
                    f"keep what is sound with: terrahash archive repair {folder.parent}",
                )
            file.seek(max(0, size - TRAILER.size))
            if not footer.may_end(file.read()) and _is_whole(path):
                raise ArchiveError(
                    f"{path} is not the segment that the manifest names",
                    f"see what can be kept with: terrahash archive repair {folder.parent}",
                )
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else None
        return cls(footer, path, memoryview(mapped) if mapped is not None else None)

    @property
    def seq(self) -> int:
        """Its number."""
        return self.footer.seq

    @property
    def rows(self) -> int:
        """Rows in it, deleted ones included."""
        return self.footer.rows

    def __len__(self) -> int:
        return self.footer.rows

    @cached_property
    def _views(self) -> dict[str, Array]:
        return {}

    @cached_property
    def _places(self) -> dict[str, ArrayPlace]:
        return {place.name: place for place in self.footer.arrays}

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def array(self, name: str) -> Array:
        """An array of the segment, as a read-only view of the file."""
        known = self._views.get(name)
        if known is not None:
            return known
        place = self._places[name]
        count = math.prod(place.shape)
        if not count or self._buffer is None:
            view = np.empty(place.shape, place.dtype)
        else:
            view = np.frombuffer(self._buffer, place.dtype, count, place.offset)
            view = view.reshape(place.shape)
        self._views[name] = view
        return view

    @cached_property
    def stored(self) -> NDArray[np.uint8]:
        """All bytes of the file, ``(size,) uint8``."""
        return np.frombuffer(b"" if self._buffer is None else self._buffer, np.uint8)

    def offset(self, name: str) -> int:
        """Where an array begins in the file, bytes."""
        return self._places[name].offset

    @cached_property
    def codes(self) -> NDArray[np.uint8]:
        """``(rows, nbytes) uint8`` packed codes."""
        return self.array("codes")

    @cached_property
    def ids(self) -> IdRuns:
        """The ids of its rows."""
        return IdRuns(self.array("ids.rows"), self.array("ids.ids"), self.rows)

    @cached_property
    def dead(self) -> dict[int, NDArray[np.uint32]]:
        """Rows of other segments that this one deletes, by their number."""
        return {
            int(place.name.removeprefix("dead.")): self.array(place.name)
            for place in self.footer.arrays
            if place.name.startswith("dead.")
        }

    def column(self, name: str) -> Column | None:
        """A column, or None where no row of the segment has a value."""
        kind = self.footer.columns.get(name)
        if kind is None:
            return None
        suffixes = (".codes", ".offsets", ".data") if kind == "text" else ("",)
        arrays = {s: self.array(name + s) for s in suffixes if name + s in self}
        return column_from_arrays(kind, arrays)


def segment_path(folder: Path, seq: int) -> Path:
    """Where a segment lies in the folder of segments."""
    return folder / f"{seq:010d}{SUFFIX}"


def checksums(raw: memoryview | bytes) -> list[int]:
    """CRC-32 of every 64 KiB."""
    return [zlib.crc32(raw[at : at + CHECKED_BYTES]) for at in range(0, len(raw), CHECKED_BYTES)]


def read_footer(path: Path) -> Footer:
    """The footer at the end of a segment file.

    Raises:
        ArchiveError: if the file is torn or its footer damaged.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        try:
            file.seek(max(0, size - TRAILER.size))
            length, check, magic = TRAILER.unpack(file.read(TRAILER.size))
            file.seek(size - TRAILER.size - length)
            text = file.read(length)
            if magic != END or zlib.crc32(text) != check:
                raise ValueError("checksum")
            return Footer.from_text(text.decode(), size)
        except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
            raise ArchiveError(f"{path}: footer damaged or missing ({error})") from None


def _is_whole(path: Path) -> bool:
    """Whether a file's footer is what its trailer says; else it is a damaged file, not another."""
    try:
        read_footer(path)
    except ArchiveError:
        return False
    return True


def damaged(path: Path, footer: Footer) -> Iterator[tuple[ArrayPlace, int, int]]:
    """Byte ranges of a segment's arrays that do not match their checksum.

    Yields:
        array, first byte and stop byte within it.
    """
    expected = footer.check_values()
    with path.open("rb") as file:
        for place in footer.arrays:
            for number, check in enumerate(expected[place.name].tolist()):
                start = number * CHECKED_BYTES
                stop = min(start + CHECKED_BYTES, place.nbytes)
                file.seek(place.offset + start)
                raw = file.read(stop - start)
                if len(raw) < stop - start or zlib.crc32(raw) != check:
                    yield place, start, stop
