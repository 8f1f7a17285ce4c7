"""What every hashing method has in common: a head, an objective and a recipe."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from terrahash.codes import CodeLayout
from terrahash.errors import InputError
from terrahash.learning.heads import HashHead, HashOutput

Variant = Literal["corrected", "published"]
Mode = Literal["frozen", "finetune"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a method is optimised in one mode.

    Attributes:
        epochs: passes over the training images.
        batch_size: images a step.
        learning_rate: of the head.
        backbone_learning_rate: of the backbone, in ``finetune`` mode.
        proxy_learning_rate: of parameters that belong to the objective (proxies).
        weight_decay: decoupled (AdamW).
        one_cycle: warm the rate up and anneal it to nothing (Smith and Topin 2018), else constant.
        clip_value: gradients are clipped to ± this.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    backbone_learning_rate: float = 0.0
    proxy_learning_rate: float = 0.0
    weight_decay: float = 1e-4
    one_cycle: bool = True
    clip_value: float = 10.0


@dataclass(frozen=True)
class Problem:
    """What a method is told of the training data.

    Attributes:
        in_features: length of the pooled feature vector.
        layout: of the stored code.
        targets: ``(N, C) bool``, the classes of each training image.
    """

    in_features: int
    layout: CodeLayout
    targets: NDArray[np.bool_]

    @property
    def classes(self) -> int:
        """Number of classes, C."""
        return int(self.targets.shape[1])

    @property
    def is_multilabel(self) -> bool:
        """Whether some image has not exactly one class."""
        return bool((self.targets.sum(axis=1) != 1).any())


class Batch(NamedTuple):
    """The part of the training data that a step sees.

    Attributes:
        targets: ``(B, C) bool``.
        indices: ``(B,) int64`` positions among the training images.
    """

    targets: Tensor
    indices: Tensor

    @property
    def labels(self) -> Tensor:
        """``(B,) int64`` class of each image, for data with one class an image."""
        return self.targets.int().argmax(dim=1)


class Objective(nn.Module):
    """A loss with named terms; its own parameters (proxies) are trained along."""

    def forward(self, output: HashOutput, batch: Batch) -> dict[str, Tensor]:
        """Weighted terms of the loss; what is minimised is their sum."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Method:
    """A hashing method with all its numbers.

    Attributes:
        variant: ``corrected``, or ``published``: as the authors' code behaves, bugs included.
        hidden: widths of the head's hidden layers.
        dropout: before each linear layer of the head.
    """

    name: ClassVar[str]
    title: ClassVar[str]

    variant: Variant = "corrected"
    hidden: tuple[int, ...] = (512,)
    dropout: float = 0.0

    def layout(self, bits: int, classes: int) -> CodeLayout:
        """The layout of a stored code of ``bits`` in all, for data of that many classes."""
        return CodeLayout(bits)

    def label_codes(self, layout: CodeLayout, classes: int) -> NDArray[np.bool_]:
        """``(C, label_bits) bool``: the label bits of each class; natural binary, fixed width."""
        shifts = np.arange(layout.label_bits - 1, -1, -1)
        return ((np.arange(classes)[:, None] >> shifts) & 1).astype(bool)

    def recipe(self, mode: Mode) -> Recipe:
        """How the method is optimised in a mode."""
        raise NotImplementedError

    def head(self, problem: Problem) -> HashHead:
        """A fresh head."""
        return HashHead(
            problem.in_features,
            problem.layout.hash_bits,
            hidden=self.hidden,
            classes=problem.classes,
            dropout=self.dropout,
        )

    def objective(self, problem: Problem) -> Objective:
        """A fresh objective."""
        raise NotImplementedError

    def batches(
        self, problem: Problem, batch_size: int, generator: torch.Generator
    ) -> Iterator[Tensor]:
        """Index batches of one epoch: by default all images once, shuffled."""
        order = torch.randperm(len(problem.targets), generator=generator)
        yield from (part for part in order.split(batch_size) if len(part) > 1)


def require_single_labels(problem: Problem, method: str) -> None:
    """Refuse data with several labels an image.

    Raises:
        InputError: if some image has not exactly one class.
    """
    if problem.is_multilabel:
        raise InputError(
            f"{method} needs exactly one class an image, and this data set has label sets",
            "choose a method that takes label sets, or a data set with one class an image",
        )
