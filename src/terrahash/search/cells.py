"""Cells: codes grouped around centres, so that a search reads only those that can be near.

The distance is a metric. A code x in the cell of centre c, at distance r from it, is at least
``|d(q, c) - r|`` from a query q. Codes of a cell are ordered by r, in rings, so for the distance T
that is still of interest a contiguous piece of each cell remains to be read, in most cells none.
Equal codes are stored once, with the list of their rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from terrahash.codes import CodeLayout
from terrahash.errors import InputError

# Rows are kept as uint32.
MAX_ROWS = 1 << 32
# Rings of a cell at most: with a weighted distance a ring spans several units.
MAX_RINGS = 256
# Codes a cell holds on average where codes are few, and the most centres a query is compared with.
LEAST_CODES_PER_CELL = 64
MAX_CENTRES = 8192
# Codes sampled for each centre, and how often centres move to the middle of theirs.
SAMPLE_PER_CENTRE = 24
ROUNDS = 2
# Codes whose nearest centres are looked for at a time; a build can be interrupted in between.
ASSIGN_ROWS = 1 << 20


@dataclass(frozen=True, eq=False)
class Cells:
    """Codes of an archive's first rows, ordered for sub-linear search. Arrays only.

    Attributes:
        layout: of the codes.
        size: ``n``, the rows covered: 0 to n - 1 of the chunks they were built from.
        codes: ``(m, nbytes) uint8``, the distinct codes by cell and ring.
        starts: ``(m + 1,) uint32``, where each code's rows begin, or ``(0,)`` when every code has
            one row.
        rows: ``(n,) uint32``, ascending for each code.
        centres: ``(c, nbytes) uint8``.
        first_rings: ``(c + 1,) uint32``, each cell's first entry in ``rings``.
        rings: ``uint32``, for each cell where its rings begin among the codes, and where the last
            ends.
        width: units of distance that a ring spans.
    """

    layout: CodeLayout
    size: int
    codes: NDArray[np.uint8]
    starts: NDArray[np.uint32]
    rows: NDArray[np.uint32]
    centres: NDArray[np.uint8]
    first_rings: NDArray[np.uint32]
    rings: NDArray[np.uint32]
    width: int

    def __post_init__(self) -> None:
        m, nbytes = len(self.codes), self.layout.nbytes
        sound = (
            self.codes.shape == (m, nbytes)
            and self.centres.shape[1:] == (nbytes,)
            and self.rows.shape == (self.size,)
            and self.first_rings.shape == (len(self.centres) + 1,)
            and len(self.starts) in ((m + 1,) if m < self.size else (0, m + 1))
            and all(array.dtype == np.uint8 for array in (self.codes, self.centres))
            and all(
                array.dtype == np.uint32 and array.ndim == 1
                for array in (self.starts, self.rows, self.first_rings, self.rings)
            )
            and all(array.flags.c_contiguous for array in self.to_arrays().values())
            and int(self.first_rings[-1]) == len(self.rings)
            and (not len(self.rings) or int(self.rings[-1]) == m)
        )
        if not sound:
            raise InputError(
                f"the arrays of cells over {self.size} rows do not fit each other",
                "build the cells again",
            )

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self.to_arrays().values())

    def to_arrays(self) -> dict[str, NDArray[np.uint8] | NDArray[np.uint32]]:
        """The arrays by name, to be stored; :meth:`from_arrays` takes them back, mapped or not."""
        return {
            "codes": self.codes,
            "starts": self.starts,
            "rows": self.rows,
            "centres": self.centres,
            "first_rings": self.first_rings,
            "rings": self.rings,
        }

    @cached_property
    def last_rings(self) -> NDArray[np.int64]:
        """``(c,) int64``, each cell's last ring; an empty cell counts as having one."""
        return np.maximum(np.diff(self.first_rings.astype(np.int64)) - 2, 0)

    @cached_property
    def addresses(self) -> NDArray[np.int64]:
        """Where the arrays lie, in the order of :meth:`to_arrays`, and :attr:`last_rings`."""
        arrays = [*self.to_arrays().values(), self.last_rings]
        return np.array([array.ctypes.data if len(array) else 0 for array in arrays], np.int64)

    @cached_property
    def ring_bounds(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """``(1, rings) int64`` twice: the least and the largest distance of each ring's codes to
        their centre, in units."""
        least = np.arange(MAX_RINGS)[None] * self.width
        return least, least + (self.width - 1)

    @classmethod
    def from_arrays(
        cls, arrays: dict[str, NDArray[np.uint8] | NDArray[np.uint32]], layout: CodeLayout
    ) -> Cells:
        """Cells from what :meth:`to_arrays` gave.

        Raises:
            InputError: if an array is missing, or they do not fit each other.
        """
        missing = {"codes", "starts", "rows", "centres", "first_rings", "rings"} - set(arrays)
        if missing:
            raise InputError(
                f"cells lack the arrays {', '.join(sorted(missing))}", "build the cells again"
            )
        return cls(
            layout=layout,
            size=len(arrays["rows"]),
            codes=arrays["codes"].view(np.uint8),
            starts=arrays["starts"].view(np.uint32),
            rows=arrays["rows"].view(np.uint32),
            centres=arrays["centres"].view(np.uint8),
            first_rings=arrays["first_rings"].view(np.uint32),
            rings=arrays["rings"].view(np.uint32),
            width=ring_width(layout),
        )


def ring_width(layout: CodeLayout) -> int:
    """Units of distance that a ring spans, so that a cell has at most ``MAX_RINGS``."""
    hash_unit, label_unit, _ = layout.units
    farthest = layout.hash_bits * hash_unit + layout.label_bits * label_unit
    return farthest // MAX_RINGS + 1


def build_cells(
    chunks: Sequence[NDArray[np.uint8]],
    layout: CodeLayout,
    *,
    centres: int | None = None,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> Cells:
    """Order the codes of some chunks into cells.

    Runs on the threads of :mod:`terrahash.search.workers` and leaves the interpreter's lock free
    for most of the time. Needs about 40 bytes of memory a code beside the codes while it runs.

    Args:
        chunks: packed codes, each ``(n_i, nbytes) uint8``.
        layout: of the codes.
        centres: how many cells; by default near the square root of the number of distinct codes.
        seed: of the sample that centres are taken from. It changes the speed, never an answer.
        progress: called now and then with the share done, from 0 to 1; what it raises ends the
            build.

    Raises:
        InputError: if there are 2^32 codes or more.
    """
    from terrahash.search.assigning import nearest_centres

    report = progress or (lambda share: None)
    size = sum(len(chunk) for chunk in chunks)
    if size >= MAX_ROWS:
        raise InputError(
            f"{size} codes are too many for one set of cells", "build cells over fewer segments"
        )
    codes = np.concatenate([np.empty((0, layout.nbytes), np.uint8), *chunks])
    order, firsts = _grouped(codes)
    report(0.1)
    distinct = codes[order[firsts]]
    del codes
    wanted = centres or min(
        MAX_CENTRES, int(2 * np.sqrt(len(distinct))), len(distinct) // LEAST_CODES_PER_CELL
    )
    middle = _centres(distinct, layout, max(1, wanted), np.random.default_rng(seed))
    cell = np.empty(len(distinct), np.uint32)
    away = np.empty(len(distinct), np.uint32)
    for start in range(0, len(distinct), ASSIGN_ROWS):
        part = slice(start, start + ASSIGN_ROWS)
        cell[part], away[part] = nearest_centres(distinct[part], middle, layout)
        report(0.1 + 0.7 * min(1.0, (start + ASSIGN_ROWS) / len(distinct)))
    width = ring_width(layout)
    ring = away // width
    place = np.argsort(cell.astype(np.uint64) * MAX_RINGS + ring, kind="stable")
    first_rings, rings = _rings(cell, ring, len(middle))
    report(0.9)
    rows, starts = _rows(order, firsts, place)
    report(1.0)
    return Cells(layout, size, distinct[place], starts, rows, middle, first_rings, rings, width)


def _grouped(codes: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """An order in which equal codes follow each other by row, and where each run begins."""
    order = np.argsort(_sort_keys(codes), kind="stable")
    if not len(codes):
        return order, np.empty(0, np.int64)
    ordered = codes[order]
    new = np.ones(len(codes), np.bool_)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return order, np.flatnonzero(new)


def _sort_keys(codes: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """``(n,) uint64``, equal for equal codes and rarely else: longer codes are hashed."""
    nbytes = codes.shape[1]
    words = -(-nbytes // 8)
    padded = codes
    if nbytes % 8:
        padded = np.zeros((len(codes), words * 8), np.uint8)
        padded[:, :nbytes] = codes
    columns = np.ascontiguousarray(padded).view(np.uint64)
    keys = columns[:, 0].copy()
    for word in range(1, words):
        # Multiplication by an odd constant (2^64 / golden ratio) spreads each word over the next.
        keys *= np.uint64(0x9E3779B97F4A7C15)
        keys ^= keys >> np.uint64(29)
        keys += columns[:, word]
    return keys


def _centres(
    codes: NDArray[np.uint8], layout: CodeLayout, wanted: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Sampled codes, moved to the bit-wise majority of the sampled codes nearest to them."""
    from terrahash.search.assigning import nearest_centres

    if not len(codes):
        return np.zeros((1, layout.nbytes), np.uint8)
    count = min(len(codes), wanted * SAMPLE_PER_CENTRE)
    sample = codes[rng.choice(len(codes), count, replace=False, shuffle=False)]
    centres = sample[rng.choice(count, min(wanted, count), replace=False)]
    for _ in range(ROUNDS):
        cell, _ = nearest_centres(sample, centres, layout)
        order = np.argsort(cell, kind="stable")
        _, firsts = np.unique(cell[order], return_index=True)
        counts = np.diff(np.append(firsts, count))
        majority = [
            np.add.reduceat(
                np.unpackbits(sample[order, byte : byte + 1], axis=1),
                firsts,
                axis=0,
                dtype=np.int32,
            )
            * 2
            >= counts[:, None]
            for byte in range(layout.nbytes)
        ]
        centres = np.packbits(np.concatenate(majority, axis=1), axis=1)
        padding = layout.nbytes * 8 - layout.bits
        centres[:, -1] &= 0xFF << padding & 0xFF
    return np.ascontiguousarray(centres)


def _rings(
    cell: NDArray[np.uint32], ring: NDArray[np.uint32], centres: int
) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Where each cell's boundaries begin, and for each cell the boundaries of its rings."""
    counts = np.bincount(cell.astype(np.int64) * MAX_RINGS + ring, minlength=centres * MAX_RINGS)
    table = counts.reshape(centres, MAX_RINGS)
    ends = np.cumsum(counts).reshape(centres, MAX_RINGS)
    # An empty cell keeps one boundary, a cell whose last ring is r keeps r + 2.
    last = MAX_RINGS - np.argmax(table[:, ::-1] > 0, axis=1)
    kept = np.where(table.any(axis=1), last, 0)
    bounds = np.concatenate([ends[:, :1] - table[:, :1], ends], axis=1)
    wanted = np.arange(MAX_RINGS + 1) <= kept[:, None]
    first_rings = np.concatenate([[0], np.cumsum(kept + 1)])
    return first_rings.astype(np.uint32), bounds[wanted].astype(np.uint32)


def _rows(
    order: NDArray[np.int64], firsts: NDArray[np.int64], place: NDArray[np.int64]
) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Rows by code in the order of ``place``, and where each code's begin (empty if one each)."""
    if len(firsts) == len(order):
        return order[place].astype(np.uint32), np.empty(0, np.uint32)
    counts = np.diff(np.append(firsts, len(order)))[place]
    starts = np.concatenate([[0], np.cumsum(counts)])
    rows = np.repeat(firsts[place] - starts[:-1], counts)
    rows += np.arange(len(order))
    return order[rows].astype(np.uint32), starts.astype(np.uint32)
