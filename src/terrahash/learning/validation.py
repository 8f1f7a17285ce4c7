"""How good the network is on the validation images: what training chooses by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terrahash.codes import CodeLayout
from terrahash.encoder.encoded import Encoded
from terrahash.evaluation.codestats import code_statistics
from terrahash.evaluation.metrics import measure
from terrahash.evaluation.retrieval import Retrieval
from terrahash.learning.loop import Score
from terrahash.learning.methods.base import Problem

K = 20
# Codes count as collapsed when one code is shared by more of the images than this.
LARGEST_SHARE = 0.5


@dataclass(frozen=True)
class Validation:
    """Each validation image queries the others.

    Attributes:
        score: tie-aware mAP over the full ranking, and its standard error as a mean over the
            queries; what epochs are compared by.
        map_at_k: tie-aware mAP@20, denominator min(20, R).
        queries: number of validation images.
        distinct_codes: different codes among them.
    """

    score: Score
    map_at_k: float
    queries: int
    distinct_codes: int

    def to_json(self) -> dict[str, Any]:
        """For the encoder's card."""
        return {
            "protocol": "within-validation",
            "map": self.score.score,
            "map_standard_error": self.score.standard_error,
            "map_at_k": self.map_at_k,
            "k": min(K, self.queries - 1),
            "n_queries": self.queries,
            "distinct_codes": self.distinct_codes,
        }


def validate(encoded: Encoded, targets: NDArray[np.bool_], layout: CodeLayout) -> Validation:
    """Measure codes of validation images.

    Args:
        encoded: of N ≥ 2 images.
        targets: ``(N, C) bool`` their classes.
        layout: of the codes.
    """
    single = bool((targets.sum(axis=1) == 1).all())
    labels = targets.argmax(axis=1) if single else targets
    retrieval = Retrieval.within(encoded.codes, labels, layout)
    whole = measure(retrieval, k=len(targets) - 1)
    error = float(whole.ap_at_k.std() / np.sqrt(len(targets)))
    return Validation(
        Score(whole.map_at_k, error),
        measure(retrieval, k=min(K, len(targets) - 1)).map_at_k,
        len(targets),
        len(np.unique(encoded.codes, axis=0)),
    )


def collapse(encoded: Encoded, problem: Problem) -> list[str]:
    """A warning, with the numbers, if the codes of the training images have collapsed.

    They have if there are fewer different codes than classes (or than bits, without classes), or if
    one code is that of most images while no class is.
    """
    statistics = code_statistics(encoded.codes, problem.layout)
    images, distinct = statistics.n_codes, statistics.distinct_codes
    present = problem.targets.any(axis=0).sum() if problem.classes else problem.layout.bits
    commonest = problem.targets.mean(axis=0).max() if problem.classes else 0.0
    needed = min(int(present), 2**problem.layout.bits, images)
    share = statistics.largest_bucket / images
    if distinct >= needed and share <= max(LARGEST_SHARE, float(commonest)):
        return []
    what = f"{int(present)} classes" if problem.classes else f"{problem.layout.bits} bits"
    return [
        f"the codes have collapsed: {images} training images of {what} have {distinct} distinct "
        f"codes, the most frequent is that of {statistics.largest_bucket} images, and "
        f"{statistics.dead_bits} bits never change; train longer, or with another learning rate "
        "or method"
    ]
