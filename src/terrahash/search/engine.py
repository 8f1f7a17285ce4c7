"""The one entry to code search: checks the arguments and chooses the path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from terrahash.codes import CodeLayout, check_codes
from terrahash.errors import InputError
from terrahash.search.cells import Cells
from terrahash.search.chunks import gather
from terrahash.search.matches import Matches
from terrahash.search.paths import counted, kernels_pay
from terrahash.search.ranking import Asymmetric, Question, radius_units
from terrahash.search.reference import search_numpy

# From this share of the rows on, ranking all of them costs no more than keeping the best in a heap.
EXHAUSTIVE_SHARE = 1 / 8


def search(
    chunks: Sequence[NDArray[np.uint8]],
    queries: NDArray[np.uint8],
    layout: CodeLayout,
    *,
    k: int | None = None,
    radius: float | None = None,
    masks: Sequence[NDArray[np.bool_] | None] | None = None,
    rows: NDArray[np.int64] | None = None,
    magnitudes: NDArray[np.float32] | None = None,
    cells: Cells | None = None,
    ties: bool = False,
) -> list[Matches]:
    """Find the nearest codes of each query, exactly.

    Args:
        chunks: packed codes, each ``(n_i, nbytes) uint8``; together they are the archive, and a
            row is a position counted through them. Memory-mapped arrays are read in place.
        queries: ``(Q, nbytes) uint8`` packed codes.
        layout: of codes and queries.
        k: how many matches; all within the radius if not given.
        radius: largest distance of a match, in bits as the layout weighs them.
        masks: for each chunk ``(n_i,) bool``, true where a row may be returned, or ``None`` where
            every row may.
        rows: ``(m,) int64``, ascending: the only rows that may be returned, and these only where
            their mask allows. Quicker than a mask that keeps a few per cent.
        magnitudes: ``(Q, bits) float32``, not negative. Ranks by the sum of a query's magnitudes
            over the bits that differ, and by distance among equal sums; they are rounded to 2^-20
            of each query's largest, so that equal sums are equal.
        cells: of the first rows of the chunks (:func:`terrahash.search.build_cells`), unchanged
            since; used where they save time. Later rows are scanned.
        ties: also return every further row that ranks exactly as the k-th does.

    Returns:
        One :class:`Matches` for each query.

    Raises:
        InputError: if an argument has another shape or type than said here, or both ``k`` and
            ``radius`` are missing.
    """
    if k is None and radius is None:
        raise InputError("neither k nor radius is given", "say how many matches or how near")
    if k is not None and k < 0:
        raise InputError(f"k is {k}", "ask for 0 or more matches")
    if radius is not None and not radius >= 0:
        raise InputError(f"the radius is {radius}", "give a distance of 0 or more")
    check_codes(queries, layout, "queries")
    _check_chunks(chunks, layout)
    masks = [None] * len(chunks) if masks is None else masks
    _check_masks(masks, chunks)
    if rows is not None and chunks:
        _check_rows(rows, sum(len(chunk) for chunk in chunks))
        if any(mask is not None for mask in masks):
            rows = rows[gather(_filled(masks, chunks), rows)]
        chunks, masks, cells = [gather(chunks, rows)], [None], None
    if cells is not None:
        _check_cells(cells, chunks, layout)
    question = Question(
        queries=np.require(queries, requirements=("C", "W")),  # as the kernels' signatures say
        layout=layout,
        k=k,
        radius=radius_units(radius, layout),
        asymmetric=None if magnitudes is None else Asymmetric.of(magnitudes, len(queries), layout),
        ties=ties,
    )
    found = _answer(question, chunks, masks, cells)
    if rows is not None:
        found = [replace(matches, rows=rows[matches.rows]) for matches in found]
    return found


def _answer(
    question: Question,
    chunks: Sequence[NDArray[np.uint8]],
    masks: Sequence[NDArray[np.bool_] | None],
    cells: Cells | None,
) -> list[Matches]:
    n = sum(len(chunk) for chunk in chunks)
    exhaustive = question.k is not None and (question.k == 0 or question.k >= n * EXHAUSTIVE_SHARE)
    compared = n * question.layout.nbytes * len(question.queries)
    if exhaustive or not kernels_pay(compared, asymmetric=question.asymmetric is not None):
        with counted():
            return search_numpy(question, chunks, masks)
    from terrahash.search.compiled import search_compiled

    return search_compiled(question, chunks, masks, cells)


def _check_chunks(chunks: Sequence[NDArray[np.uint8]], layout: CodeLayout) -> None:
    for chunk in chunks:
        if chunk.dtype != np.uint8 or chunk.ndim != 2 or chunk.shape[1] != layout.nbytes:
            raise InputError(
                f"a chunk of codes is {chunk.dtype} of shape {chunk.shape}, expected uint8 of "
                f"shape (N, {layout.nbytes}) for {layout.bits} bits",
                "pack codes with terrahash.codes.pack",
            )


def _check_masks(
    masks: Sequence[NDArray[np.bool_] | None], chunks: Sequence[NDArray[np.uint8]]
) -> None:
    if len(masks) != len(chunks):
        raise InputError(
            f"{len(masks)} masks for {len(chunks)} chunks", "give one mask or None for each chunk"
        )
    for chunk, mask in zip(chunks, masks, strict=True):
        if mask is not None and (mask.dtype != np.bool_ or mask.shape != (len(chunk),)):
            raise InputError(
                f"a mask is {mask.dtype} of shape {mask.shape}, expected bool of ({len(chunk)},)",
                "give one truth value for each row of the chunk",
            )


def _check_cells(cells: Cells, chunks: Sequence[NDArray[np.uint8]], layout: CodeLayout) -> None:
    if cells.layout != layout or cells.size > sum(len(chunk) for chunk in chunks):
        raise InputError(
            f"the cells are of {cells.size} rows and {cells.layout}, the chunks of "
            f"{sum(len(chunk) for chunk in chunks)} rows and {layout}",
            "build the cells again from these chunks",
        )


def _check_rows(rows: NDArray[np.int64], total: int) -> None:
    if rows.ndim != 1 or rows.dtype != np.int64:
        raise InputError(
            f"rows are {rows.dtype} of shape {rows.shape}, expected int64 of one dimension",
            "give row positions counted through the chunks",
        )
    if len(rows) and (rows[0] < 0 or rows[-1] >= total or (np.diff(rows) <= 0).any()):
        raise InputError(
            f"rows are not ascending positions below {total}", "sort them and drop repeated ones"
        )


def _filled(
    masks: Sequence[NDArray[np.bool_] | None], chunks: Sequence[NDArray[np.uint8]]
) -> list[NDArray[np.bool_]]:
    return [
        np.ones(len(chunk), np.bool_) if mask is None else mask
        for chunk, mask in zip(chunks, masks, strict=True)
    ]
