"""Small data and networks for learning."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

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


@pytest.fixture
def one_thread() -> Iterator[None]:
    """These matrices are too small to share."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
