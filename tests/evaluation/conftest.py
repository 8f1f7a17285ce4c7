"""A tiny labelled folder, its split, and an encoder that reads codes off the pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from terrahash.codes import CodeLayout, pack
from terrahash.datasets.dataset import Dataset
from terrahash.datasets.folder import load_folder
from terrahash.datasets.split import Split, make_split
from terrahash.encoder.encoded import Encoded
from terrahash.evaluation.evaluator import evaluate
from terrahash.evaluation.report import Report

CLASSES = ("harbor", "forest", "runway")
PER_CLASS = 12


class PixelEncoder:
    """The code of an image is its class's colour; every fourth image looks like the next class."""

    layout = CodeLayout(8)
    fingerprint = "f" * 64

    def __init__(self, card: dict[str, Any]) -> None:
        self.card = card
        self.encoded = 0

    def encode_files(
        self,
        paths: Iterable[str | Path],
        *,
        workers: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Encoded:
        activations = []
        for path in paths:
            channel = int(np.asarray(Image.open(path))[0, 0].argmax())
            activations.append(np.eye(8, dtype=np.float32)[channel] * 2 - 1)
            self.encoded += 1
            if progress:
                progress(len(activations))
        stacked = np.array(activations)
        return Encoded(pack(stacked >= 0), stacked, np.abs(stacked))


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    random = np.random.default_rng(0)
    for number, name in enumerate(CLASSES):
        (tmp_path / "tiles" / name).mkdir(parents=True)
        for image in range(PER_CLASS):
            pixels = random.integers(0, 60, (16, 16, 3), dtype=np.uint8)
            looks = (number + (image % 4 == 0)) % len(CLASSES)
            pixels[..., looks] += 190
            Image.fromarray(pixels).save(tmp_path / "tiles" / name / f"{image:02}.png")
    return load_folder(tmp_path / "tiles")


@pytest.fixture
def split(dataset: Dataset) -> Split:
    return make_split(dataset, 0.5, seed=3)


@pytest.fixture
def encoder(split: Split) -> PixelEncoder:
    return PixelEncoder(
        {
            "method": "dhcl",
            "variant": "corrected",
            "backbone": "pixels",
            "mode": "frozen",
            "seed": 5,
            "dataset": "tiles",
            "split_hash": split.hash,
            "split_rule": split.rule,
            "split_seed": split.seed,
        }
    )


@pytest.fixture
def report(encoder: PixelEncoder, dataset: Dataset, split: Split) -> Report:
    return evaluate(encoder, dataset, split, k=5)
