"""OrthoHash: one loss, cosines to fixed codes (Hoe et al. 2021; ``docs/methods/baselines.md``)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from terrahash.learning.heads import HashHead, HashOutput
from terrahash.learning.methods.base import (
    Batch,
    Method,
    Objective,
    Problem,
    require_classes,
    require_single_labels,
)
from terrahash.learning.methods.csq import hash_centers


@dataclass(frozen=True, kw_only=True)
class OrthoHash(Method):
    """All numbers of OrthoHash.

    Attributes:
        scale: s on the cosines, 7.8 (searched).
        margin: m off the cosine to the own class's code, 0.3.
    """

    name = "orthohash"
    title = "OrthoHash"
    takes_label_sets = False

    scale: float = 7.8
    margin: float = 0.3
    learning_rate: float = 1.8e-3

    def head(self, problem: Problem) -> HashHead:
        return HashHead(
            problem.in_features,
            problem.layout.hash_bits,
            hidden=self.hidden,
            activation="none",
            batch_norm=True,
            dropout=self.dropout,
        )

    def objective(self, problem: Problem) -> Objective:
        require_single_labels(problem, self.title)
        require_classes(problem, self.title)
        return OrthoHashObjective(self, problem)


class OrthoHashObjective(Objective):
    """``CE(s·(cos(u, o_c) − m·1[c = y]), y)`` with a fixed code o_c of each class."""

    codes: Tensor

    def __init__(self, method: OrthoHash, problem: Problem) -> None:
        super().__init__()
        self.method = method
        codes = hash_centers(problem.classes, problem.layout.hash_bits)
        self.register_buffer("codes", functional.normalize(codes))

    def forward(self, output: HashOutput, batch: Batch) -> dict[str, Tensor]:
        cosines = functional.normalize(output.activations) @ self.codes.to(output.raw.dtype).T
        logits = self.method.scale * (cosines - self.method.margin * batch.targets)
        return {"class": functional.cross_entropy(logits, batch.labels)}
