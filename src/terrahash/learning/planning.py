"""What will be trained: options, and all that the result depends on, checked."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from terrahash.datasets import Dataset, Split
from terrahash.errors import DatasetError, InputError
from terrahash.learning.backbones import DEFAULT_BACKBONE, DEFAULT_SIZE, Backbone, load_backbone
from terrahash.learning.bands import bands_of
from terrahash.learning.methods import METHODS, make_method
from terrahash.learning.methods.base import Method, Mode, Problem, Recipe, Variant

MODES = ("frozen", "finetune")
DEVICES = ("cpu", "cuda")
# Fine-tuning runs at a smaller size by default: half the work for the same retrieval quality.
FINETUNE_SIZE = 192


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How to train, beside the data.

    Attributes:
        method: name of a hashing method.
        bits: of the stored code, label bits included.
        variant: ``corrected`` or ``published``.
        mode: ``frozen`` trains a head on fixed backbone features, ``finetune`` the whole network.
        backbone: name of a timm architecture.
        weights: safetensors file, ``"timm"``, ``"none"``, or None for the default place.
        size: side of the network's input in pixels, or None for the mode's default.
        bands: of the images, by name or number, or ``("all",)``; None takes pictures as RGB and
            all bands of rasters that are none.
        epochs: instead of the method's own number.
        seed: of every random choice.
        device: ``"cpu"``, ``"cuda"``, or None for the best there is.

    Raises:
        InputError: if a value is none of the allowed ones.
    """

    method: str = "dhcl"
    bits: int = 64
    variant: Variant = "corrected"
    mode: Mode = "frozen"
    backbone: str = DEFAULT_BACKBONE
    weights: str | None = None
    size: int | None = None
    bands: tuple[str, ...] | None = None
    epochs: int | None = None
    seed: int = 0
    device: str | None = None

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise InputError(f"unknown mode '{self.mode}'", f"choose one of: {', '.join(MODES)}")
        if self.epochs is not None and self.epochs < 1:
            raise InputError(f"{self.epochs} epochs train nothing", "choose at least 1")
        if self.device is not None:
            try:
                kind = torch.device(self.device).type
            except RuntimeError:
                kind = ""
            if kind not in DEVICES:
                raise InputError(
                    f"unknown device '{self.device}'", f"choose one of: {', '.join(DEVICES)}"
                )
            if kind == "cuda" and not torch.cuda.is_available():
                raise InputError("no CUDA device is available", "leave out --device, or choose cpu")

    @property
    def input_size(self) -> int:
        """Side of the network's input in pixels."""
        return self.size or (DEFAULT_SIZE if self.mode == "frozen" else FINETUNE_SIZE)


@dataclass(frozen=True, eq=False, kw_only=True)
class Plan:
    """A training that can start: all that its result depends on, checked.

    Attributes:
        head_recipe: how head and objective are trained on the features of the unchanged backbone,
            before the whole network is; None if they are not.
        fit_rows, validation_rows: numbers of those images in the data set.
    """

    options: TrainingOptions
    dataset: Dataset
    split: Split
    method: Method
    recipe: Recipe
    head_recipe: Recipe | None
    backbone: Backbone
    problem: Problem
    fit_rows: NDArray[np.int64]
    validation_rows: NDArray[np.int64]

    @cached_property
    def images(self) -> Dataset:
        """The images to fit to, then those for validation."""
        return self.dataset.subset(np.concatenate([self.fit_rows, self.validation_rows]))

    @cached_property
    def label_codes(self) -> NDArray[np.bool_]:
        """``(C, label_bits) bool``: the label bits of each class."""
        return self.method.label_codes(self.problem.layout, len(self.dataset.class_names))

    @property
    def device(self) -> torch.device:
        """Where to train."""
        name = self.options.device or ("cuda" if torch.cuda.is_available() else "cpu")
        return torch.device(name)

    @property
    def bfloat16(self) -> bool:
        """Whether the network is run in bfloat16."""
        return self.options.mode == "finetune" and has_bfloat16(self.device)

    def recipe_json(self) -> dict[str, Any]:
        """The recipe, and under ``head`` that of the head where it is trained first, JSON-ready."""
        first = {} if self.head_recipe is None else {"head": dataclasses.asdict(self.head_recipe)}
        return dataclasses.asdict(self.recipe) | first

    def configuration(self) -> dict[str, Any]:
        """All that the result depends on but the versions of what computes it, JSON-ready."""
        return {
            "data": hashlib.sha256("".join(self.images.digests()).encode()).hexdigest(),
            "split": self.split.hash,
            "options": dataclasses.asdict(self.options),
            "method": {"name": self.method.name, **dataclasses.asdict(self.method)},
            "recipe": self.recipe_json(),
            "backbone": self.backbone.identity,
            "preprocessing": self.backbone.preprocessing.to_json(),
        }


def plan_training(
    dataset: Dataset,
    split: Split,
    options: TrainingOptions,
    *,
    numbers: Method | None = None,
    backbone: Backbone | None = None,
) -> Plan:
    """Check that a training can start.

    Args:
        dataset: labelled images.
        split: of that data set.
        options: how to train.
        numbers: a method with other numbers than its defaults; its name and variant count.
        backbone: one that is loaded already, as :func:`backbone_for` gives it.

    Raises:
        DatasetError: if the data set has no labels, or label sets where the method takes none, or
            the split belongs to another one.
        InputError: for an unknown method, or bits too few for it.
        TrainingError: if weights do not fit or cannot be had.
    """
    split.check(dataset)
    method = numbers or make_method(options.method, options.variant)
    if dataset.labels is None and method.needs_labels:
        free = ", ".join(name for name, each in METHODS.items() if not each.needs_labels)
        raise DatasetError(
            f"{dataset.root} has no classes, and {method.title} learns from classes",
            f"put images into one folder a class, or choose a method without labels: {free}",
        )
    if dataset.is_multilabel and not method.takes_label_sets:
        able = ", ".join(name for name, each in METHODS.items() if each.takes_label_sets)
        raise DatasetError(
            f"{method.title} needs exactly one class an image, and '{dataset.name}' has label sets",
            f"choose a method that takes label sets: {able}",
        )
    layout = method.layout(options.bits, len(dataset.class_names))
    recipe = method.recipe(options.mode)
    if options.epochs is not None:
        recipe = dataclasses.replace(recipe, epochs=options.epochs)
    fit_rows = split.indices("fit")
    if backbone is None:
        backbone = backbone_for(dataset, split, options)
    head_recipe, rate = None, method.finetune_rate
    if not backbone.pretrained:
        recipe = dataclasses.replace(recipe, backbone_learning_rate=recipe.learning_rate)
    elif options.mode == "finetune" and rate is not None:
        head_recipe = method.recipe("frozen")
        recipe = dataclasses.replace(recipe, learning_rate=rate, backbone_learning_rate=rate)
    return Plan(
        options=options,
        dataset=dataset,
        split=split,
        method=method,
        recipe=recipe,
        head_recipe=head_recipe,
        backbone=backbone,
        problem=Problem(
            backbone.features, layout, targets_of(dataset)[fit_rows], dataset.class_names
        ),
        fit_rows=fit_rows,
        validation_rows=split.indices("validation"),
    )


def backbone_for(dataset: Dataset, split: Split, options: TrainingOptions) -> Backbone:
    """The backbone that the options name, for the bands of the images.

    Raises:
        DatasetError: if the images have no such bands.
        ImageError: if an image cannot be read or has other bands than the first.
        TrainingError: if weights do not fit or cannot be had.
    """
    fitted = dataset.subset(split.indices("fit"))
    return load_backbone(
        options.backbone,
        options.weights,
        size=options.input_size,
        statistics=bands_of(fitted.paths, options.bands, dataset.bands),
    )


def targets_of(dataset: Dataset) -> NDArray[np.bool_]:
    """``(N, C) bool`` classes of each image; C is 0 for images without labels."""
    return np.zeros((len(dataset), 0), bool) if dataset.labels is None else dataset.targets


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware, faster than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
