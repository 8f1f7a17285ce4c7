"""Who asks and who can be found (``docs/evaluation.md``); no protocol compares with another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terrahash.datasets.split import Split
from terrahash.errors import InputError

PROTOCOLS = {
    "within-test": "each test image queries the other test images",
    "test-to-train": "each test image queries the labelled training images",
    "test-to-all": "each test image queries all other images",
}


@dataclass(frozen=True, eq=False)
class Trial:
    """Image numbers of a protocol.

    Attributes:
        queries: ``(Q,) int64`` images that ask.
        gallery: ``(N,) int64`` images that can be found, ascending.
        self_rows: ``(Q,) int64`` place of each query in the gallery, −1 where it is not in it.
    """

    queries: NDArray[np.int64]
    gallery: NDArray[np.int64]
    self_rows: NDArray[np.int64]

    @property
    def ranks(self) -> int:
        """Images that every query ranks: the gallery, less the query where it is in it."""
        return len(self.gallery) - int(bool((self.self_rows >= 0).any()))


def arrange(split: Split, protocol: str) -> Trial:
    """Queries and gallery of a protocol.

    Raises:
        InputError: if there is no such protocol, or the split leaves it without images.
    """
    if protocol not in PROTOCOLS:
        raise InputError(f"no protocol '{protocol}'", f"choose from {', '.join(PROTOCOLS)}")
    test = np.sort(split.indices("test"))
    train = np.sort(split.indices("train"))
    if protocol == "within-test":
        gallery = test
    elif protocol == "test-to-train":
        gallery = train
    else:
        gallery = np.sort(np.concatenate([train, test]))
    if len(test) == 0 or len(gallery) == 0:
        raise InputError(
            f"the protocol {protocol} has {len(test)} queries and a gallery of {len(gallery)}",
            "make a split with images on both sides",
        )
    if protocol == "test-to-train":
        return Trial(test, gallery, np.full(len(test), -1, np.int64))
    return Trial(test, gallery, np.searchsorted(gallery, test).astype(np.int64))
