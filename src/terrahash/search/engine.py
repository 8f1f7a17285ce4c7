"""The one entry to code search: checks the arguments and chooses the path."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from terrahash.codes import CodeLayout, check_codes
from terrahash.errors import InputError
from terrahash.search.matches import Matches
from terrahash.search.ranking import Asymmetric, radius_units
from terrahash.search.reference import search_numpy


def search(
    chunks: Sequence[NDArray[np.uint8]],
    queries: NDArray[np.uint8],
    layout: CodeLayout,
    *,
    k: int | None = None,
    radius: float | None = None,
    masks: Sequence[NDArray[np.bool_] | None] | None = None,
    magnitudes: NDArray[np.float32] | None = None,
    ties: bool = False,
) -> list[Matches]:
    """Find the nearest codes of each query, exactly.

    Args:
        chunks: packed codes, each ``(n_i, nbytes) uint8``; together they are the archive, and a
            row is a position counted through them.
        queries: ``(Q, nbytes) uint8`` packed codes.
        layout: of codes and queries.
        k: how many matches; all within the radius if not given.
        radius: largest distance of a match, in bits as the layout weighs them.
        masks: for each chunk ``(n_i,) bool``, true where a row may be returned, or ``None`` where
            every row may.
        magnitudes: ``(Q, bits) float32``, not negative. Ranks by the sum of a query's magnitudes
            over the bits that differ, and by distance among equal sums.
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
    for chunk in chunks:
        if chunk.dtype != np.uint8 or chunk.ndim != 2 or chunk.shape[1] != layout.nbytes:
            raise InputError(
                f"a chunk of codes is {chunk.dtype} of shape {chunk.shape}, expected uint8 of "
                f"shape (N, {layout.nbytes}) for {layout.bits} bits",
                "pack codes with terrahash.codes.pack",
            )
    if masks is None:
        masks = [None] * len(chunks)
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
    asymmetric = None if magnitudes is None else Asymmetric.of(magnitudes, len(queries), layout)
    return search_numpy(
        chunks,
        queries,
        layout,
        k=k,
        radius=radius_units(radius, layout),
        masks=masks,
        asymmetric=asymmetric,
        ties=ties,
    )
