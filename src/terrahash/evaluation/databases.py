"""What is searched: images by the network's codes, or by those that training learned for them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from terrahash.datasets.dataset import Dataset
from terrahash.datasets.split import Split
from terrahash.encoder.learned import LearnedDatabase
from terrahash.errors import InputError


def with_learned_codes(
    codes: NDArray[np.uint8],
    rows: NDArray[np.int64],
    table: LearnedDatabase,
    dataset: Dataset,
    split: Split,
) -> NDArray[np.uint8]:
    """Codes of images, the training ones by what was learned for them or assigned to their labels.

    Args:
        codes: ``(n, nbytes) uint8`` of the network.
        rows: ``(n,) int64`` numbers of the images in the data set.
        table: what training learned.
        dataset: the images.
        split: that training was given.

    Raises:
        InputError: if none of the images is a training image, or one is not in the table.
    """
    training = np.isin(rows, split.indices("train"))
    if not training.any():
        raise InputError(
            "nothing was learned for images that training did not see, and the database holds "
            "no others",
            "choose test-to-train or test-to-all, or leave out --database",
        )
    learned = table.rows(dataset.subset(rows[training]).digests())
    if (learned < 0).any():
        missing = dataset.paths[rows[training][int((learned < 0).argmax())]]
        raise InputError(
            f"{missing}: is a training image of the split, but the encoder learned no code for it",
            "evaluate on the data and the split that the encoder was trained with",
        )
    out = codes.copy()
    out[training] = table.codes[learned]
    return out
