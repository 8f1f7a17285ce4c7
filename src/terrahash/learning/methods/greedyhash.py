"""GreedyHash: classification on the signs themselves (Su et al. 2018; ``docs/methods/``)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from terrahash.learning.heads import HashHead, HashOutput
from terrahash.learning.methods.base import (
    Batch,
    Method,
    Objective,
    Problem,
    classification_loss,
    require_classes,
)


@dataclass(frozen=True, kw_only=True)
class GreedyHash(Method):
    """All numbers of GreedyHash.

    Attributes:
        quantization: weight of ``mean ||u| − 1|³``, 0.44 (searched; the authors' is 0.1).
    """

    name = "greedyhash"
    title = "GreedyHash"

    quantization: float = 0.44
    dropout: float = 0.09
    learning_rate: float = 3.7e-3

    def head(self, problem: Problem) -> HashHead:
        return HashHead(
            problem.in_features,
            problem.layout.hash_bits,
            hidden=self.hidden,
            classes=problem.classes,
            classify="signs",
            activation="none",
            dropout=self.dropout,
        )

    def objective(self, problem: Problem) -> Objective:
        require_classes(problem, self.title)
        return GreedyHashObjective(self, multilabel=problem.is_multilabel)


class GreedyHashObjective(Objective):
    """Cross-entropy of the classifier on the signs, gradient straight through, + quantisation."""

    def __init__(self, method: GreedyHash, *, multilabel: bool) -> None:
        super().__init__()
        self.method = method
        self.multilabel = multilabel

    def forward(self, output: HashOutput, batch: Batch) -> dict[str, Tensor]:
        assert output.logits is not None  # noqa: S101  (GreedyHash's head has a classifier)
        gap = (output.activations.abs() - 1).abs()
        return {
            "class": classification_loss(output.logits, batch.targets, multilabel=self.multilabel),
            "quantization": self.method.quantization * gap.pow(3).mean(),
        }
