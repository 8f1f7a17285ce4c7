"""Codes that training learned for the labelled images themselves (AHCL, ADSH)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from terrahash.codes import pack
from terrahash.errors import EncoderError, InputError

if TYPE_CHECKING:
    from terrahash.encoder.encoder import Encoder

LEARNED = "learned_codes.npz"
# A fixed point comes within a few sweeps; this only bounds the pathological.
MOST_SWEEPS = 50


def learned_database(encoder: Encoder) -> LearnedDatabase:
    """The codes that an encoder's training learned for the labelled images themselves.

    Raises:
        EncoderError: if it learned none, or the file is damaged.
    """
    stored = encoder.files.get(LEARNED)
    if stored is None:
        raise EncoderError(
            f"the encoder's method, {encoder.card.get('method')}, learned no codes for images",
            "use an encoder that was trained with --method ahcl or adsh",
        )
    return LearnedDatabase.from_bytes(stored)


@dataclass(frozen=True, eq=False)
class LearnedDatabase:
    """A table of codes, and what is needed to find the code of another labelled item.

    Attributes:
        digests: ``(N, 32) uint8`` SHA-256 of each image file.
        codes: ``(N, nbytes) uint8`` packed.
        activations: ``(M, bits) float32`` of the training images that stood in for queries.
        targets: ``(M, C) bool`` their classes.
        ratio: what unlike pairs are drawn to is ``−ratio`` (``docs/methods/ahcl.md``, r).
    """

    digests: NDArray[np.uint8]
    codes: NDArray[np.uint8]
    activations: NDArray[np.float32]
    targets: NDArray[np.bool_]
    ratio: float

    def rows(self, digests: Sequence[str]) -> NDArray[np.int64]:
        """``(n,) int64`` row of each image by its hexadecimal SHA-256, −1 where it is unknown."""
        return np.array([self._row_of.get(digest, -1) for digest in digests], np.int64)

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {digest.tobytes().hex(): row for row, digest in enumerate(self.digests)}

    def assign(self, targets: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Codes for labelled items that were not there at training (``docs/methods/ahcl.md``).

        Each is the row that the discrete step gives an item of these labels, ``argmin_v
        Σ_i (u_iᵀv − K·s_i)²``, starting from ``sign(Σ_i s_i u_i)``.

        Args:
            targets: ``(n, C) bool``, the classes of each item.

        Returns:
            ``(n, nbytes) uint8`` packed.

        Raises:
            InputError: if the classes are not as many as at training.
        """
        if targets.ndim != 2 or targets.shape[1] != self.targets.shape[1]:
            raise InputError(
                f"targets of shape {targets.shape} do not fit the {self.targets.shape[1]} classes "
                "of the learned database",
                "give (n, classes) booleans in the order of the encoder's classes",
            )
        different, place = np.unique(targets, axis=0, return_inverse=True)
        linear = linear_term(self.activations, self.targets, different, self.ratio)
        codes = np.where(linear <= 0, np.float32(1), np.float32(-1))
        gram = self.activations.T @ self.activations
        for _ in range(MOST_SWEEPS):
            if not sweep(codes, linear, gram):
                break
        return pack(codes.T[place.ravel()] >= 0)

    def extended(self, digests: NDArray[np.uint8], targets: NDArray[np.bool_]) -> LearnedDatabase:
        """The table with further labelled items, their codes assigned by their labels."""
        return LearnedDatabase(
            np.concatenate([self.digests, digests]),
            np.concatenate([self.codes, self.assign(targets)]),
            self.activations,
            self.targets,
            self.ratio,
        )

    def to_bytes(self) -> bytes:
        """The contents of ``learned_codes.npz``; no pickle."""
        file = io.BytesIO()
        np.savez_compressed(
            file,
            digests=self.digests,
            codes=self.codes,
            activations=self.activations,
            targets=np.packbits(self.targets, axis=1),
            classes=np.int64(self.targets.shape[1]),
            ratio=np.float64(self.ratio),
        )
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes | Path) -> LearnedDatabase:
        """The inverse of :meth:`to_bytes`; also reads the file itself.

        Raises:
            EncoderError: if it is damaged.
        """
        try:
            with np.load(io.BytesIO(data) if isinstance(data, bytes) else data) as stored:
                classes = int(stored["classes"])
                targets = np.unpackbits(stored["targets"], axis=1, count=classes).astype(bool)
                return cls(
                    stored["digests"],
                    stored["codes"],
                    stored["activations"],
                    targets,
                    float(stored["ratio"]),
                )
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise EncoderError(
                f"{LEARNED} is damaged: {error}", "copy the whole encoder folder again"
            ) from None


def linear_term(
    activations: NDArray[np.float32],
    query_targets: NDArray[np.bool_],
    targets: NDArray[np.bool_],
    ratio: float,
) -> NDArray[np.float32]:
    """``(K, n)``, ``−2K·(SᵀU)ᵀ`` with ``S = 1`` for a shared label and ``−ratio`` else.

    Args:
        activations: ``(m, K)`` of the simulated queries, U.
        query_targets: ``(m, C) bool`` their classes.
        targets: ``(n, C) bool`` classes of the database items.
    """
    bits = activations.shape[1]
    # Items with the same labels have the same row: there are far fewer label sets than items.
    queries, query_place = np.unique(query_targets, axis=0, return_inverse=True)
    items, item_place = np.unique(targets, axis=0, return_inverse=True)
    sums = np.zeros((len(queries), bits), np.float32)
    np.add.at(sums, query_place.ravel(), activations)
    shared = (queries.astype(np.float32) @ items.T.astype(np.float32)) > 0
    similarity = np.where(shared, np.float32(1), np.float32(-ratio))
    linear: NDArray[np.float32] = -2 * bits * (sums.T @ similarity)
    return np.ascontiguousarray(linear[:, item_place.ravel()])


def sweep(
    codes: NDArray[np.float32], linear: NDArray[np.float32], gram: NDArray[np.float32]
) -> int:
    """One sweep of discrete cyclic coordinate descent over the bits, in place.

    Minimises ``‖U Vᵀ‖² + ⟨V, Q⟩`` one bit of all codes at a time, each with the bits before it
    already renewed; never increases it. A bit whose coefficient is zero stays as it is.

    Args:
        codes: ``(K, n) float32`` of ±1 (or 0 at the very start), Vᵀ.
        linear: ``(K, n) float32``, Qᵀ.
        gram: ``(K, K) float32``, UᵀU.

    Returns:
        How many bits changed.
    """
    changed = 0
    for bit in range(len(codes)):
        weights = gram[bit].copy()
        weights[bit] = 0
        coefficient = linear[bit] + 2 * (weights @ codes)
        renewed = np.where(coefficient == 0, codes[bit], -np.sign(coefficient))
        changed += int((renewed != codes[bit]).sum())
        codes[bit] = renewed
    return changed
