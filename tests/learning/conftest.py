"""Small data and networks for learning."""

from __future__ import annotations

from pathlib import Path

import pytest

from terrahash.datasets import Dataset, Split, load_dataset, make_split
from terrahash.learning.backbones import Backbone, load_backbone

BACKBONE = "resnet10t"
SIZE = 32


@pytest.fixture(scope="session")
def small(tiles: Path) -> Dataset:
    """Four classes of twenty tiles."""
    return load_dataset(tiles)


@pytest.fixture(scope="session")
def small_split(small: Dataset) -> Split:
    """60-40, two validation tiles a class."""
    return make_split(small, train=0.6, seed=0, validation=0.17)


@pytest.fixture
def backbone() -> Backbone:
    """A small network with random weights."""
    return load_backbone(BACKBONE, "none", size=SIZE)
