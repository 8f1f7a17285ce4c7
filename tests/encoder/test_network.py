"""Many images through a network."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from terrahash.encoder import Encoder
from terrahash.encoder.network import GROUP, GROUPS_PER_WORKER
from terrahash.errors import ImageError


def image(number: int) -> NDArray[np.uint8]:
    if number % 7 == 3:
        raise ImageError(f"{number}: damaged", "")
    return np.random.default_rng(number).integers(0, 256, (40, 40, 3), dtype=np.uint8)


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 10, 200])
def test_each_image_has_its_own_result_in_order(encoder: Encoder, workers: int, count: int) -> None:
    outcomes = list(encoder.stream(range(count), image, workers=workers))
    assert [number for number, _ in outcomes] == list(range(count))
    for number, outcome in outcomes:
        if isinstance(outcome, ImageError):
            assert outcome.message == f"{number}: damaged"
            continue
        alone = encoder.encode_image(image(number))
        np.testing.assert_array_equal(outcome.codes, alone.codes)
        np.testing.assert_array_equal(outcome.activations, alone.activations)
        np.testing.assert_array_equal(outcome.magnitudes, alone.magnitudes)
        assert outcome.confidences is not None
        assert alone.confidences is not None
        np.testing.assert_array_equal(outcome.confidences, alone.confidences)


def test_few_images_are_taken_ahead(encoder: Encoder) -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(1000):
            taken = number + 1
            yield 0

    for done, _ in enumerate(encoder.stream(items(), image, workers=2)):
        assert taken - done <= 2 * GROUPS_PER_WORKER * GROUP
