"""What a hash code is: its layout, its packing and the distance between two of them.

This module is the definition that every faster kernel is tested against.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terrahash.errors import InputError

MIN_BITS = 8
MAX_BITS = 1024
# Distances are computed in whole units so that 0.5-weighted label bits stay exact integers.
MAX_WEIGHT_DENOMINATOR = 16
MAX_LABEL_WEIGHT = 64.0


@dataclass(frozen=True)
class CodeLayout:
    """The bits of a stored code: ``hash_bits`` learned bits, then ``label_bits`` class bits.

    Distance is the number of differing hash bits plus ``label_weight`` for each differing label
    bit (``docs/methods/dhcl.md``; the published DHCL code amounts to ``label_weight=0.5``).

    Raises:
        InputError: if the total is outside 8…1024 bits, or the weight is not a positive multiple
            of a sixteenth up to 64.
    """

    hash_bits: int
    label_bits: int = 0
    label_weight: float = 1.0

    def __post_init__(self) -> None:
        if self.hash_bits < 1 or self.label_bits < 0:
            raise InputError(
                f"a code of {self.hash_bits} hash bits and {self.label_bits} label bits "
                "leaves nothing to learn",
                "choose more bits in all than the class labels take",
            )
        if not MIN_BITS <= self.bits <= MAX_BITS:
            raise InputError(
                f"codes of {self.bits} bits are not supported",
                f"choose between {MIN_BITS} and {MAX_BITS} bits in all",
            )
        scaled = self.label_weight * MAX_WEIGHT_DENOMINATOR
        if not 0 < self.label_weight <= MAX_LABEL_WEIGHT or scaled != int(scaled):
            raise InputError(
                f"label weight {self.label_weight} is not supported",
                f"use a positive multiple of 1/{MAX_WEIGHT_DENOMINATOR} up to {MAX_LABEL_WEIGHT:g}",
            )

    @property
    def bits(self) -> int:
        """All bits of the stored code, label bits included."""
        return self.hash_bits + self.label_bits

    @property
    def nbytes(self) -> int:
        """Bytes of one packed code, ``ceil(bits / 8)``."""
        return (self.bits + 7) // 8

    @property
    def units(self) -> tuple[int, int, int]:
        """``(hash, label, denominator)``: whole-number weights and what to divide a sum by."""
        if self.label_bits == 0:
            return 1, 1, 1
        weight = Fraction(self.label_weight)
        return weight.denominator, weight.numerator, weight.denominator

    def label_mask(self) -> NDArray[np.uint8]:
        """Packed mask of the label bits, ``(nbytes,) uint8``."""
        bits = np.zeros(self.bits, np.uint8)
        bits[self.hash_bits :] = 1
        return np.packbits(bits)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready description, the inverse of :meth:`from_json`."""
        return {
            "hash_bits": self.hash_bits,
            "label_bits": self.label_bits,
            "label_weight": self.label_weight,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> CodeLayout:
        """The layout that :meth:`to_json` described."""
        return cls(int(data["hash_bits"]), int(data["label_bits"]), float(data["label_weight"]))


def pack(bits: NDArray[Any]) -> NDArray[np.uint8]:
    """Pack ``(N, bits)`` truth values into ``(N, ceil(bits / 8)) uint8``, big-endian in bytes."""
    return np.packbits(np.asarray(bits, dtype=bool), axis=-1)


def unpack(codes: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Unpack ``(N, ceil(bits / 8)) uint8`` into ``(N, bits) uint8`` of 0 and 1."""
    return np.unpackbits(codes, axis=-1, count=bits)


def binarize(activations: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Bits of real-valued activations centred on zero; a zero activation gives bit 1."""
    return np.asarray(activations >= 0)


def check_codes(codes: NDArray[Any], layout: CodeLayout, what: str = "codes") -> None:
    """Check that an array holds packed codes of a layout.

    Raises:
        InputError: if it is not ``(N, layout.nbytes) uint8``, or has padding bits set.
    """
    if codes.dtype != np.uint8 or codes.ndim != 2 or codes.shape[1] != layout.nbytes:
        raise InputError(
            f"{what} are {codes.dtype} of shape {codes.shape}, expected uint8 of shape "
            f"(N, {layout.nbytes}) for {layout.bits} bits",
            "pack them with terrahash.codes.pack",
        )
    padding = layout.nbytes * 8 - layout.bits
    if padding and len(codes) and int((codes[:, -1] & ((1 << padding) - 1)).max()) > 0:
        raise InputError(
            f"{what} have bits set beyond the {layout.bits} bits of the layout",
            "check the number of bits that the codes were made with",
        )


def distances(
    queries: NDArray[np.uint8], codes: NDArray[np.uint8], layout: CodeLayout
) -> NDArray[np.float32]:
    """Weighted Hamming distances, the reference.

    Args:
        queries: ``(Q, nbytes) uint8`` packed codes.
        codes: ``(N, nbytes) uint8`` packed codes.
        layout: of both.

    Returns:
        ``(Q, N) float32`` distances in bits.
    """
    check_codes(queries, layout, "queries")
    check_codes(codes, layout)
    hash_unit, label_unit, denominator = layout.units
    label_mask = layout.label_mask()
    out = np.empty((len(queries), len(codes)), np.float32)
    for row, query in enumerate(queries):
        differing = codes ^ query
        units = np.bitwise_count(differing & ~label_mask).sum(axis=1, dtype=np.int64) * hash_unit
        if layout.label_bits:
            units += np.bitwise_count(differing & label_mask).sum(axis=1, dtype=np.int64) * (
                label_unit
            )
        out[row] = units / denominator
    return out
