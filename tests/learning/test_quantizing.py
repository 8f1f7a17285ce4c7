"""Encoders in 8 bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from terrahash.datasets import Dataset, Split, make_split
from terrahash.encoder import Encoder
from terrahash.errors import DatasetError, InputError
from terrahash.learning import train
from terrahash.learning.quantizing import equal_bits, quantize
from tests.learning.conftest import BACKBONE, SIZE


@pytest.fixture(scope="module")
def trained(small: Dataset, small_split: Split) -> Encoder:
    """A small network."""
    return train(
        small, small_split, bits=16, backbone=BACKBONE, weights="none", size=SIZE, epochs=5
    )


def test_8_bits_say_how_far_they_are_from_the_original(
    trained: Encoder, small: Dataset, small_split: Split, tmp_path: Path
) -> None:
    made = quantize(trained, small, small_split)
    found = made.card["quantization"]
    validation = [small.paths[row] for row in small_split.indices("validation")]
    assert found["of"] == trained.fingerprint != made.fingerprint
    assert found["validation"] == trained.card["validation"]
    assert found["calibration_images"] == len(small_split.indices("fit"))
    assert found["compared_images"] == len(validation)
    assert found["equal_bits"] == equal_bits(trained, made, validation) > 0.9
    assert len(made.model) < len(trained.model) / 2
    assert made.card["validation"]["n_queries"] == len(validation)
    kept = Encoder.load(made.save(tmp_path / "m"))
    assert kept.fingerprint == made.fingerprint
    assert "weights.safetensors" not in kept.files
    assert "In 8 bits" in (tmp_path / "m" / "README.md").read_text()
    np.testing.assert_array_equal(
        kept.encode_files(validation).codes, made.encode_files(validation).codes
    )
    with pytest.raises(InputError, match="already"):
        quantize(kept, small, small_split)


def test_a_split_of_other_images_is_refused(
    trained: Encoder, small: Dataset, small_split: Split
) -> None:
    with pytest.raises(DatasetError):
        quantize(trained, small.subset(range(10)), small_split)
    with pytest.raises(InputError, match="trained on other images"):
        quantize(trained, small, make_split(small, train=0.6, seed=8))
