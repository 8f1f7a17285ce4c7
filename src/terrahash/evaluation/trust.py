"""How far a hit at a given distance can be trusted, measured on validation images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from terrahash.codes import CodeLayout
from terrahash.errors import InputError
from terrahash.evaluation.retrieval import Retrieval


@dataclass(frozen=True)
class TrustCurve:
    """Distance ► probability that a hit at it shares a label with the query.

    The estimate holds for an archive with about the classes and proportions of the images it was
    measured on; training stores it in ``encoder.json`` and search shows it beside each hit.

    Attributes:
        distances: in bits, ascending, at which pairs were seen.
        precision: the estimate at each, never rising with distance.
        pairs: how many pairs were seen at each.
    """

    distances: tuple[float, ...]
    precision: tuple[float, ...]
    pairs: tuple[int, ...]

    def __post_init__(self) -> None:
        if not len(self.distances) == len(self.precision) == len(self.pairs) > 0:
            raise InputError("a distance-precision curve needs as many values of each kind, not 0")

    def at(self, distance: float) -> float | None:
        """The estimate for a hit at a distance.

        Between distances at which pairs were seen it is that of the next larger one: the lower of
        the two that bracket it. Beyond the largest distance ever seen it is None: nothing is known.
        """
        place = int(np.searchsorted(self.distances, distance - 1e-9))
        return self.precision[place] if place < len(self.distances) else None

    def to_json(self) -> dict[str, list[float] | list[int]]:
        """JSON-ready, the inverse of :meth:`from_json`."""
        return {
            "distances": list(self.distances),
            "precision": [round(value, 6) for value in self.precision],
            "pairs": list(self.pairs),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Sequence[Any]]) -> Self:
        """The curve that :meth:`to_json` described.

        Raises:
            InputError: if a part is missing or they do not fit each other.
        """
        try:
            return cls(
                tuple(float(value) for value in data["distances"]),
                tuple(float(value) for value in data["precision"]),
                tuple(int(value) for value in data["pairs"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"the distance-precision curve lacks or garbles {error}", "train the encoder again"
            ) from None


def precision_by_distance(
    codes: NDArray[np.uint8], labels: NDArray[Any], layout: CodeLayout
) -> TrustCurve:
    """The trust curve from images that the encoder was not fitted to.

    All ordered pairs of different images are counted by distance. The share of pairs with a
    common label, drawn towards the overall share by the weight of one pair (so that three lucky
    pairs promise no certainty), is made non-increasing by isotonic regression weighted by pairs.

    Args:
        codes: ``(N, nbytes) uint8`` packed, N ≥ 2.
        labels: ``(N,) int64`` or label sets ``(N, C) bool``.
        layout: of the codes.

    Raises:
        InputError: if there are fewer than two images or the arrays do not fit each other.
    """
    if len(codes) < 2:
        raise InputError(
            f"{len(codes)} image gives no pairs to measure trust on", "give two images or more"
        )
    from terrahash.evaluation.counting import pairs_by_distance  # numba: not for reading a curve

    total, relevant = pairs_by_distance(Retrieval.within(codes, labels, layout))
    seen = np.flatnonzero(total)
    pairs, same = total[seen], relevant[seen]
    base = same.sum() / pairs.sum()
    estimate = (same + base) / (pairs + 1)
    return TrustCurve(
        tuple((seen / layout.units[2]).tolist()),
        tuple(_falling(estimate, pairs.astype(np.float64)).tolist()),
        tuple(pairs.tolist()),
    )


def _falling(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least-squares non-increasing fit: pool adjacent violators."""
    levels: list[float] = []
    masses: list[float] = []
    lengths: list[int] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        length = 1
        while levels and levels[-1] < value:
            mass = masses.pop()
            value = (levels.pop() * mass + value * weight) / (mass + weight)
            weight += mass
            length += lengths.pop()
        levels.append(value)
        masses.append(weight)
        lengths.append(length)
    return np.repeat(levels, lengths)
