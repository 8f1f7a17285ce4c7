"""Refining a search by examples: from marked codes to a query in Hamming space.

Rocchio's relevance feedback (1971), bit by bit. With codes as ±1, the query vector is

    v = α·q + β·mean(positives) − γ·mean(negatives),

its bits are the signs of v and the magnitudes |v| rank asymmetrically: a bit on which the examples
disagree hardly counts, one that tells positives from negatives counts most.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terrahash.codes import CodeLayout, binarize, check_codes, pack, unpack
from terrahash.errors import InputError

# The weights of the query, of the positive and of the negative examples: the best of a grid on the
# validation images of UC Merced with 16-bit codes (`benchmarks/refine.py --choose`).
QUERY_WEIGHT = 1.0
POSITIVE_WEIGHT = 1.0
NEGATIVE_WEIGHT = 1.0


@dataclass(frozen=True)
class RefinedQuery:
    """A query for :func:`terrahash.search.search`.

    Attributes:
        code: ``(1, nbytes) uint8``.
        magnitudes: ``(1, bits) float32``.
    """

    code: NDArray[np.uint8]
    magnitudes: NDArray[np.float32]


def refine(
    layout: CodeLayout,
    *,
    query: NDArray[np.uint8] | None = None,
    magnitudes: NDArray[np.float32] | None = None,
    positives: NDArray[np.uint8] | None = None,
    negatives: NDArray[np.uint8] | None = None,
    query_weight: float = QUERY_WEIGHT,
    positive_weight: float = POSITIVE_WEIGHT,
    negative_weight: float = NEGATIVE_WEIGHT,
) -> RefinedQuery:
    """A query from examples that a user marked, and from the first query if there is one.

    Args:
        layout: of all codes. Label bits count as they do in the distance.
        query: ``(1, nbytes) uint8``, the code searched with so far.
        magnitudes: ``(1, bits) float32`` of that query as an encoder gives them, with the label
            weight in those of label bits; their mean is scaled to 1. All ones if not given.
        positives: ``(P, nbytes) uint8``, codes like those wanted.
        negatives: ``(N, nbytes) uint8``, codes unlike those wanted.
        query_weight: α, ignored where there is no query.
        positive_weight: β, ignored where there are no positives.
        negative_weight: γ, ignored where there are no negatives.

    Raises:
        InputError: if there is neither a query nor a positive example, or a weight is negative.
    """
    if min(query_weight, positive_weight, negative_weight) < 0:
        raise InputError("a weight of the refinement is negative", "use weights of 0 or more")
    has_positives = positives is not None and len(positives) > 0
    if query is None and not has_positives:
        raise InputError(
            "there is neither a query nor a positive example", "mark at least one hit as wanted"
        )
    weights = np.ones(layout.bits)
    weights[layout.hash_bits :] = layout.label_weight
    vector = np.zeros(layout.bits)
    if query is not None:
        signs = _mean_signs(query, layout, "query")
        if magnitudes is not None:
            unweighted = np.asarray(magnitudes, np.float64).reshape(-1) / weights
            signs = signs * unweighted / (float(unweighted.mean()) or 1.0)
        vector += query_weight * signs
    if positives is not None and has_positives:
        vector += positive_weight * _mean_signs(positives, layout, "positive examples")
    if negatives is not None and len(negatives):
        vector -= negative_weight * _mean_signs(negatives, layout, "negative examples")
    return RefinedQuery(
        code=pack(binarize(vector)[None]),
        magnitudes=(np.abs(vector) * weights).astype(np.float32)[None],
    )


def _mean_signs(codes: NDArray[np.uint8], layout: CodeLayout, what: str) -> NDArray[np.float64]:
    check_codes(codes, layout, what)
    shares: NDArray[np.float64] = unpack(codes, layout.bits).mean(axis=0)
    return shares * 2.0 - 1.0
