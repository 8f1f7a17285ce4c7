"""A retrieval experiment on bare codes: who asks, who can be found, and what counts as right."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from terrahash.codes import CodeLayout, check_codes
from terrahash.errors import InputError
from terrahash.machine import available_cores

Result = TypeVar("Result")

# Queries counted together: few enough that even 16-fold weighted 1024-bit codes need little memory
# (64 queries × 16,385 distances × 3 counts × 8 bytes = 25 MB a thread), enough to hide call costs.
BLOCK = 64


def check_cutoff(k: int, ranks: int) -> None:
    """Check that a query that ranks so many items has k of them.

    Raises:
        InputError: if k is below 1 or above ``ranks``.
    """
    if not 1 <= k <= ranks:
        raise InputError(
            f"k = {k} answers asked for, but each query ranks {ranks} gallery images",
            f"choose k between 1 and {ranks}",
        )


@dataclass(frozen=True, eq=False)
class Retrieval:
    """Queries, a gallery, and their labels.

    A gallery item is relevant to a query if it has the same label, or, for label sets, at least
    one label in common; its gain is the number of shared labels (1 for single labels).

    Args:
        query_codes: ``(Q, nbytes) uint8`` packed.
        gallery_codes: ``(N, nbytes) uint8`` packed.
        query_labels: ``(Q,) int64`` ≥ 0, or label sets ``(Q, C) bool``.
        gallery_labels: ``(N,) int64`` ≥ 0, or label sets ``(N, C) bool``.
        layout: of the codes.
        self_rows: ``(Q,) int64``, the gallery row that is the query itself and is left out of its
            ranking (−1: none); None if no query is in the gallery.

    Raises:
        InputError: if arrays are empty or do not fit each other.
    """

    query_codes: NDArray[np.uint8]
    gallery_codes: NDArray[np.uint8]
    query_labels: NDArray[Any]
    gallery_labels: NDArray[Any]
    layout: CodeLayout
    self_rows: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        check_codes(self.query_codes, self.layout, "query codes")
        check_codes(self.gallery_codes, self.layout, "gallery codes")
        for what, codes, labels in (
            ("query", self.query_codes, self.query_labels),
            ("gallery", self.gallery_codes, self.gallery_labels),
        ):
            if len(codes) == 0:
                raise InputError(f"there are no {what} codes", "evaluate on at least one image")
            _check_labels(labels, len(codes), what)
        if self.query_labels.shape[1:] != self.gallery_labels.shape[1:]:
            raise InputError(
                f"query labels of shape {self.query_labels.shape} and gallery labels of shape "
                f"{self.gallery_labels.shape} do not fit each other",
                "give single labels for both, or label sets over the same classes for both",
            )
        if self.self_rows is not None:
            rows = self.self_rows
            if rows.shape != (len(self.query_codes),) or not np.issubdtype(rows.dtype, np.integer):
                raise InputError(
                    f"self_rows are {rows.dtype} of shape {rows.shape}, expected one integer for "
                    f"each of {len(self.query_codes)} queries"
                )
            if rows.min() < -1 or rows.max() >= len(self.gallery_codes):
                raise InputError(
                    f"self_rows go from {rows.min()} to {rows.max()}, beyond the gallery of "
                    f"{len(self.gallery_codes)} items",
                    "use −1 for queries that are not in the gallery",
                )

    @classmethod
    def within(cls, codes: NDArray[np.uint8], labels: NDArray[Any], layout: CodeLayout) -> Self:
        """Each item of one collection queries all others (leave-one-out).

        Args:
            codes: ``(N, nbytes) uint8`` packed.
            labels: ``(N,) int64`` or ``(N, C) bool``.
            layout: of the codes.
        """
        return cls(codes, codes, labels, labels, layout, np.arange(len(codes)))

    @property
    def ranks(self) -> int:
        """Items that every query ranks: the gallery, less the query itself where it is in it."""
        return len(self.gallery_codes) - int(bool((self.own_rows >= 0).any()))

    @property
    def is_multilabel(self) -> bool:
        """Whether relevance is a shared label of label sets."""
        return self.query_labels.ndim == 2

    @cached_property
    def own_rows(self) -> NDArray[np.int64]:
        """``(Q,) int64``, −1 for queries that are not in the gallery."""
        if self.self_rows is None:
            return np.full(len(self.query_codes), -1, np.int64)
        return np.ascontiguousarray(self.self_rows, np.int64)

    @cached_property
    def query_words(self) -> NDArray[np.uint64]:
        """``(Q, W) uint64`` words of the query codes."""
        return _words(self.query_codes)

    @cached_property
    def gallery_words(self) -> NDArray[np.uint64]:
        """``(N, W) uint64`` words of the gallery codes."""
        return _words(self.gallery_codes)

    @cached_property
    def label_mask(self) -> NDArray[np.uint64]:
        """``(W,) uint64``, ones at label bits."""
        return np.asarray(_words(self.layout.label_mask()[None])[0])

    @cached_property
    def query_label_words(self) -> NDArray[np.uint64]:
        """``(Q, L) uint64``: labels as one number, or as bits of words."""
        return _label_words(self.query_labels)

    @cached_property
    def gallery_label_words(self) -> NDArray[np.uint64]:
        """``(N, L) uint64``: labels as one number, or as bits of words."""
        return _label_words(self.gallery_labels)

    @property
    def farthest(self) -> int:
        """The largest possible distance in whole units of the layout."""
        hash_unit, label_unit, _ = self.layout.units
        return self.layout.hash_bits * hash_unit + self.layout.label_bits * label_unit

    def check_k(self, k: int) -> None:
        """Check that every query has k items to rank.

        Raises:
            InputError: if k is below 1 or beyond the gallery.
        """
        check_cutoff(k, self.ranks)

    def in_blocks(self, function: Callable[[slice], Result]) -> list[Result]:
        """Results of a function over consecutive blocks of queries, in order, on all cores."""
        count = len(self.query_codes)
        blocks = [slice(start, min(start + BLOCK, count)) for start in range(0, count, BLOCK)]
        # What threads would otherwise compute twice.
        _ = self.query_words, self.gallery_words, self.label_mask, self.own_rows
        _ = self.query_label_words, self.gallery_label_words
        with ThreadPoolExecutor(available_cores(), thread_name_prefix="evaluate") as pool:
            return list(pool.map(function, blocks))


def _check_labels(labels: NDArray[Any], count: int, what: str) -> None:
    single = labels.ndim == 1 and np.issubdtype(labels.dtype, np.integer)
    several = labels.ndim == 2 and labels.dtype == np.bool_ and labels.shape[1] > 0
    if not (single or several) or len(labels) != count:
        raise InputError(
            f"{what} labels are {labels.dtype} of shape {labels.shape}, expected integers of "
            f"shape ({count},) or label sets bool of shape ({count}, classes)"
        )
    if single and labels.min() < 0:
        raise InputError(
            f"{what} labels go down to {labels.min()}", "number the classes from 0 upwards"
        )


def _words(codes: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Packed rows as whole 64-bit words, padded with zero bits."""
    padded = np.zeros((len(codes), -(-codes.shape[1] // 8) * 8), np.uint8)
    padded[:, : codes.shape[1]] = codes
    return padded.view(np.uint64)


def _label_words(labels: NDArray[Any]) -> NDArray[np.uint64]:
    if labels.ndim == 1:
        return np.ascontiguousarray(labels, np.uint64)[:, None]
    return _words(np.packbits(labels, axis=1))
