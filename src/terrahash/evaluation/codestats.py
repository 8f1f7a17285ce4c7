"""How well codes use their bits: distinct codes, balance and correlation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terrahash.codes import CodeLayout, check_codes, unpack
from terrahash.errors import InputError


@dataclass(frozen=True, eq=False)
class CodeStatistics:
    """What a collection of codes looks like.

    Attributes:
        n_codes: how many codes there are.
        distinct_codes: how many different ones.
        largest_bucket: items that share the most frequent code.
        bit_balance: ``(bits,) float64``, share of ones per bit; 0.5 is balanced.
        dead_bits: bits that are the same in all codes.
        correlation: ``(bits, bits) float64``, Pearson correlation of the bits; 0 with a dead bit.
        mean_absolute_correlation: of different bits; 0 is independent.
    """

    n_codes: int
    distinct_codes: int
    largest_bucket: int
    bit_balance: NDArray[np.float64]
    dead_bits: int
    correlation: NDArray[np.float64]
    mean_absolute_correlation: float

    def to_json(self) -> dict[str, Any]:
        """JSON-ready, without the correlation matrix."""
        return {
            "n_codes": self.n_codes,
            "distinct_codes": self.distinct_codes,
            "largest_bucket": self.largest_bucket,
            "dead_bits": self.dead_bits,
            "mean_absolute_correlation": round(self.mean_absolute_correlation, 6),
            "bit_balance": [round(float(share), 6) for share in self.bit_balance],
        }


def code_statistics(codes: NDArray[np.uint8], layout: CodeLayout) -> CodeStatistics:
    """Statistics of ``(N, nbytes) uint8`` packed codes.

    Raises:
        InputError: if there are no codes, or they do not fit the layout.
    """
    check_codes(codes, layout)
    if len(codes) == 0:
        raise InputError("there are no codes to take statistics of", "give at least one")
    _, counts = np.unique(codes, axis=0, return_counts=True)
    bits = unpack(codes, layout.bits).astype(np.float32)
    balance = bits.mean(axis=0, dtype=np.float64)
    deviation = np.sqrt(balance * (1 - balance))
    alive = deviation > 0
    together = (bits.T @ bits).astype(np.float64) / len(bits)  # exact up to 2²⁴ codes
    covariance = together - np.outer(balance, balance)
    scale = np.outer(deviation, deviation)
    correlation = np.zeros_like(covariance)
    np.divide(covariance, scale, out=correlation, where=scale > 0)
    pairs = layout.bits * (layout.bits - 1)
    between = np.abs(correlation).sum() - np.abs(np.diag(correlation)).sum()
    return CodeStatistics(
        n_codes=len(codes),
        distinct_codes=len(counts),
        largest_bucket=int(counts.max()),
        bit_balance=balance,
        dead_bits=int((~alive).sum()),
        correlation=correlation,
        mean_absolute_correlation=float(between / pairs),
    )
