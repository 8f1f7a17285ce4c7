"""What an encoder says of a batch of images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terrahash.codes import CodeLayout, binarize, pack


@dataclass(frozen=True)
class Encoded:
    """Codes of N images and what led to them.

    Attributes:
        codes: ``(N, nbytes) uint8`` packed.
        activations: ``(N, hash_bits) float32``; a bit is 1 where its activation is ≥ 0.
        magnitudes: ``(N, bits) float32`` ≥ 0, what a differing bit costs in asymmetric ranking:
            ``|activation|`` for hash bits; for label bits the label weight times how sure the
            class probabilities are of that bit, ``max(0, 2·P(bit as stored) − 1)``.
        labels: ``(N,) int64`` predicted class, or None for an encoder without classes.
        confidences: ``(N,) float32`` probability of that class, or None.
    """

    codes: NDArray[np.uint8]
    activations: NDArray[np.float32]
    magnitudes: NDArray[np.float32]
    labels: NDArray[np.int64] | None = None
    confidences: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.codes)

    @classmethod
    def from_outputs(
        cls,
        activations: NDArray[np.float32],
        logits: NDArray[np.float32] | None,
        layout: CodeLayout,
        label_codes: NDArray[np.bool_],
    ) -> Encoded:
        """Codes from a network's outputs.

        Args:
            activations: ``(N, hash_bits) float32``.
            logits: ``(N, C) float32`` or None.
            layout: of the stored code.
            label_codes: ``(C, label_bits) bool``, the label bits of each class.
        """
        bits = binarize(activations)
        magnitudes = np.abs(activations)
        if logits is None:
            return cls(pack(bits), activations, magnitudes)
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities = shifted / shifted.sum(axis=1, keepdims=True)
        labels = logits.argmax(axis=1).astype(np.int64)
        confidences = probabilities[np.arange(len(labels)), labels]
        if layout.label_bits:
            label_bits = label_codes[labels]
            # Summed image by image, whatever their number: a matrix product is not.
            of_one = (probabilities[:, :, None] * label_codes).sum(axis=1)
            of_stored = np.where(label_bits, of_one, 1 - of_one)
            bits = np.concatenate([bits, label_bits], axis=1)
            certainty = np.maximum(0, 2 * of_stored - 1) * layout.label_weight
            magnitudes = np.concatenate([magnitudes, certainty], axis=1)
        return cls(
            pack(bits),
            activations,
            magnitudes.astype(np.float32),
            labels,
            confidences.astype(np.float32),
        )

    def __iter__(self) -> Iterator[Encoded]:
        """Each image by itself."""
        for row in range(len(self)):
            yield self.at(slice(row, row + 1))

    def at(self, rows: slice | NDArray[np.int64]) -> Encoded:
        """The images at these rows, in that order."""
        return Encoded(
            self.codes[rows],
            self.activations[rows],
            self.magnitudes[rows],
            None if self.labels is None else self.labels[rows],
            None if self.confidences is None else self.confidences[rows],
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Encoded]) -> Encoded:
        """One result from several, in order; at least one part."""
        first = parts[0]
        return cls(
            np.concatenate([part.codes for part in parts]),
            np.concatenate([part.activations for part in parts]),
            np.concatenate([part.magnitudes for part in parts]),
            None
            if first.labels is None
            else np.concatenate([part.labels for part in parts if part.labels is not None]),
            None
            if first.confidences is None
            else np.concatenate(
                [part.confidences for part in parts if part.confidences is not None]
            ),
        )
