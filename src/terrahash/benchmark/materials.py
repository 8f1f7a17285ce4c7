"""What runs are made of, each loaded once: data sets, splits, backbones, training plans."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict
from functools import cache

import numpy as np
from PIL import Image

from terrahash.benchmark.results import FORMAT
from terrahash.benchmark.specification import Run
from terrahash.datasets import KNOWN, Dataset, Split, load_dataset, split_from_text
from terrahash.imagery.reading import FORMATS
from terrahash.learning.backbones import Backbone
from terrahash.learning.planning import Plan, TrainingOptions, backbone_for, plan_training

# Image headers that are read to see how large a data set's images are.
SAMPLED_IMAGES = 64


class Materials:
    """Loads what runs need and keeps it."""

    def __init__(self) -> None:
        self.dataset = cache(load_dataset)
        self._splits: dict[tuple[str, str, int], Split] = {}
        self._backbones: dict[tuple[str, str, str | None, int], Backbone] = {}

    def split(self, run: Run) -> Split:
        """The split of a run.

        Raises:
            InputError: if the text is no split.
            DatasetError: if the data set cannot be split so.
        """
        key = (run.data, run.split, run.seed)
        if key not in self._splits:
            dataset = self.dataset(run.data)
            self._splits[key] = split_from_text(run.split, dataset, seed=run.seed)
        return self._splits[key]

    def plan(self, run: Run) -> Plan:
        """The training of a run, checked.

        Raises:
            TerrahashError: as :func:`terrahash.learning.planning.plan_training` raises.
        """
        options = TrainingOptions(**run.options())
        dataset, split = self.dataset(run.data), self.split(run)
        key = (split.hash, options.backbone, options.weights, options.input_size)
        if key not in self._backbones:
            self._backbones[key] = backbone_for(dataset, split, options)
        return plan_training(dataset, split, options, backbone=self._backbones[key])


def identity(plan: Plan) -> str:
    """16 hexadecimal digits over everything that the results of a run depend on.

    Data and roles of its images, numbers and recipe of the method, weights and input of the
    backbone, and the format of the results; not the versions of what computes them, which are
    recorded beside.
    """
    options = plan.options
    depends = {
        "format": FORMAT,
        **plan.configuration(),
        "options": {"bits": options.bits, "mode": options.mode, "seed": options.seed},
    }
    return digest(depends)


def identity_of_request(run: Run) -> str:
    """A name for a run that cannot even be planned, so that its failure can be recorded."""
    return digest({"format": FORMAT, "request": asdict(run)})


def digest(value: object) -> str:
    """16 hexadecimal digits over a JSON-ready value."""
    canonical = json.dumps(value, sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def data_title(dataset: Dataset) -> str:
    """What to call a data set in a table; says so where its images are not of the published size.

    ``"AID at 150 px"`` for AID's images reduced to 150×150.
    """
    known = KNOWN.get(dataset.name)
    if known is None:
        return dataset.name
    title = known.title.split(" (")[0]
    published = re.match(r"(\d+)×(\d+)", known.tile)
    width, height = image_size(dataset)
    if published is None or (width, height) == (int(published[1]), int(published[2])):
        return title
    return f"{title} at {width} px" if width == height else f"{title} at {width}×{height} px"


def image_size(dataset: Dataset) -> tuple[int, int]:
    """Median width and height of the images in pixels, from the headers of some of them."""
    step = max(1, len(dataset) // SAMPLED_IMAGES)
    sizes = []
    for path in dataset.paths[::step]:
        try:
            with Image.open(path, formats=FORMATS) as image:
                sizes.append(image.size)
        except OSError:
            continue
    width, height = np.median(sizes or [(0, 0)], axis=0).astype(int).tolist()
    return width, height
