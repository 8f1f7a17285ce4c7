"""What every hashing method has in common: a head, an objective and a recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from terrahash.codes import CodeLayout
from terrahash.encoder.learned import LearnedDatabase
from terrahash.errors import DatasetError, InputError
from terrahash.learning.heads import Activation, HashHead, HashOutput

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
        targets: ``(N, C) bool``, the classes of each training image; C is 0 without labels.
        class_names: the C classes, for messages; may be left out.
    """

    in_features: int
    layout: CodeLayout
    targets: NDArray[np.bool_]
    class_names: tuple[str, ...] = ()

    @property
    def classes(self) -> int:
        """Number of classes, C."""
        return int(self.targets.shape[1])

    @property
    def is_multilabel(self) -> bool:
        """Whether some image has not exactly one class."""
        return self.classes > 0 and bool((self.targets.sum(axis=1) != 1).any())

    def class_name(self, number: int) -> str:
        """How to call a class in a message."""
        return f"'{self.class_names[number]}'" if self.class_names else f"number {number}"


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
    """A loss with named terms.

    Its parameters (proxies) are trained along; its buffers (memories, learned codes) are kept in
    checkpoints. Alternating methods do their other half between the epochs.
    """

    def forward(self, output: HashOutput, batch: Batch) -> dict[str, Tensor]:
        """Weighted terms of the loss; what is minimised is their sum."""
        raise NotImplementedError

    def begin_epoch(self, rows: Tensor, progress: float) -> None:
        """Told before each epoch which training images its batches visit, ``(M,) int64`` rising,
        and how much of the training lies behind, 0…1."""

    def end_epoch(self, activations: Callable[[Tensor], Tensor]) -> None:
        """Told after each epoch; ``activations(rows)`` are those of training images in evaluation
        mode, ``(M, hash_bits)``."""

    def database(self, digests: NDArray[np.uint8]) -> LearnedDatabase | None:
        """The codes learned for the training images themselves, where a method learns them.

        Args:
            digests: ``(N, 32) uint8`` SHA-256 of each training image.
        """
        return None


@dataclass(frozen=True, kw_only=True)
class Method:
    """A hashing method with all its numbers.

    What the authors' code does otherwise than it should is a field like any other, a switch, named
    in ``published_switches`` with the value that reproduces the published behaviour.

    Attributes:
        hidden: widths of the head's hidden layers.
        dropout: before each linear layer of the head.
        learning_rate: of the head on frozen features, the peak of one cycle. Methods'
            own values of it, of the dropout, and what says "searched" come from
            ``benchmarks/tuning.py``.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    needs_labels: ClassVar[bool] = True
    takes_label_sets: ClassVar[bool] = True
    published_switches: ClassVar[Mapping[str, object]] = {}
    # Peak rate of fine-tuning a pretrained backbone and the head that was trained on its unchanged
    # features first; None where both are trained together from the start, as without pretraining.
    finetune_rate: ClassVar[float | None] = None
    # What the head has beside its hash layer.
    activation: ClassVar[Activation] = "tanh"
    classifies: ClassVar[bool] = False

    hidden: tuple[int, ...] = (512,)
    dropout: float = 0.3
    learning_rate: float = 1e-3

    @classmethod
    def published(cls) -> Self:
        """The method as the authors' code behaves, bugs included."""
        return cls(**cls.published_switches)  # type: ignore[arg-type]

    @property
    def variant(self) -> str:
        """``corrected``, ``published``, or ``corrected`` with the switches that are not."""
        corrected = type(self)()
        turned = {
            name: getattr(self, name)
            for name in self.published_switches
            if getattr(self, name) != getattr(corrected, name)
        }
        if turned and turned == {
            name: value
            for name, value in self.published_switches.items()
            if value != getattr(corrected, name)
        }:
            return "published"
        return ", ".join(["corrected", *(f"{name}={value}" for name, value in turned.items())])

    def layout(self, bits: int, classes: int) -> CodeLayout:
        """The layout of a stored code of ``bits`` in all, for data of that many classes."""
        return CodeLayout(bits)

    def label_codes(self, layout: CodeLayout, classes: int) -> NDArray[np.bool_]:
        """``(C, label_bits) bool``: the label bits of each class; natural binary, fixed width."""
        shifts = np.arange(layout.label_bits - 1, -1, -1)
        return ((np.arange(classes)[:, None] >> shifts) & 1).astype(bool)

    def recipe(self, mode: Mode) -> Recipe:
        """How the method is optimised in a mode."""
        if mode == "frozen":
            return Recipe(epochs=120, batch_size=90, learning_rate=self.learning_rate)
        return Recipe(
            epochs=16,
            batch_size=32,
            learning_rate=1e-3,
            backbone_learning_rate=3e-4,
        )

    def head(self, problem: Problem) -> HashHead:
        """A fresh head."""
        return HashHead(
            problem.in_features,
            problem.layout.hash_bits,
            hidden=self.hidden,
            classes=problem.classes if self.classifies else 0,
            activation=self.activation,
            dropout=self.dropout,
        )

    def objective(self, problem: Problem) -> Objective:
        """A fresh objective.

        Raises:
            DatasetError: if the training data is not fit for the method.
        """
        raise NotImplementedError

    def batches(
        self, problem: Problem, batch_size: int, generator: torch.Generator
    ) -> Iterator[Tensor]:
        """Index batches of one epoch: by default all images once, shuffled."""
        order = torch.randperm(len(problem.targets), generator=generator)
        yield from (part for part in order.split(batch_size) if len(part) > 1)


class ClosedForm(Method):
    """A method whose hash layer is computed from the training features at once, without labels."""

    needs_labels = False

    def head(self, problem: Problem) -> HashHead:
        """A linear hash layer and nothing else; :meth:`solve` fills it."""
        return HashHead(problem.in_features, problem.layout.hash_bits, activation="none")

    def recipe(self, mode: Mode) -> Recipe:
        """One pass to see the features.

        Raises:
            InputError: in ``finetune`` mode: there is no gradient to fine-tune with.
        """
        if mode == "finetune":
            raise InputError(
                f"{self.title} is computed from the features and has nothing to fine-tune",
                "leave out --mode finetune",
            )
        return Recipe(epochs=1, batch_size=1024, learning_rate=0.0)

    def objective(self, problem: Problem) -> Objective:
        """There is none."""
        return Objective()

    def solve(
        self, features: NDArray[np.float32], bits: int, seed: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The hash layer for ``(N, D)`` features: weight ``(bits, D)`` and bias ``(bits,)``.

        Raises:
            InputError: if that many bits cannot be had from these features.
        """
        raise NotImplementedError


def shared_labels(left: Tensor, right: Tensor) -> Tensor:
    """``(M, N) bool``: which of two ``(M, C)`` and ``(N, C)`` bool label sets share a label."""
    return (left.float() @ right.float().T) > 0


def classification_loss(logits: Tensor, targets: Tensor, *, multilabel: bool) -> Tensor:
    """Cross-entropy of ``(B, C)`` logits, mean over images; for label sets the binary one, summed
    over classes."""
    if multilabel:
        loss = functional.binary_cross_entropy_with_logits(
            logits, targets.to(logits.dtype), reduction="sum"
        )
        return loss / len(logits)
    return functional.cross_entropy(logits, targets.int().argmax(dim=1))


def require_single_labels(problem: Problem, method: str) -> None:
    """Refuse data with several labels an image.

    Raises:
        DatasetError: if some image has not exactly one class.
    """
    if problem.is_multilabel:
        raise DatasetError(
            f"{method} needs exactly one class an image, and this data set has label sets",
            "choose a method that takes label sets, or a data set with one class an image",
        )


def require_classes(problem: Problem, method: str, *, images: int = 1) -> None:
    """Refuse data without two classes to tell apart, or with classes too small for a sampler.

    Classes without any training image are let be: they are never sampled.

    Args:
        images: that a sampler needs of each class.

    Raises:
        DatasetError: naming the smallest class that is too small.
    """
    counts = problem.targets.sum(axis=0)
    if (counts > 0).sum() < 2:
        raise DatasetError(
            f"{method} tells classes apart, and the training images have only "
            f"{int((counts > 0).sum())}",
            "train on a data set with at least two classes, or with a method without labels: "
            "itq, lsh",
        )
    small = np.flatnonzero((counts > 0) & (counts < images))
    if len(small):
        worst = int(small[counts[small].argmin()])
        raise DatasetError(
            f"{method} draws {images} images of a class at a time, and class "
            f"{problem.class_name(worst)} has {int(counts[worst])} to train on "
            f"({len(small)} classes are too small)",
            "add images, merge small classes, or choose a method that does not sample by class: "
            "dhcl, ahcl",
        )
