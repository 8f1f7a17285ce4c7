"""Labelled images and how they are divided: known data sets, any folder, the built-in scenes.

Nothing here decodes an image except the generator of ``scenes``; importing this package is cheap.
"""

from __future__ import annotations

from terrahash.datasets.dataset import Dataset
from terrahash.datasets.known import KnownDataset
from terrahash.datasets.registry import KNOWN, load_dataset
from terrahash.datasets.split import Split, make_split, split_from_text

__all__ = [
    "KNOWN",
    "Dataset",
    "KnownDataset",
    "Split",
    "load_dataset",
    "make_split",
    "split_from_text",
]
