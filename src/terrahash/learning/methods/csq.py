"""CSQ: central similarity quantisation (Yuan et al. 2020; ``docs/methods/baselines.md``)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from terrahash.learning.heads import HashOutput
from terrahash.learning.methods.base import (
    Batch,
    Method,
    Objective,
    Problem,
    require_classes,
)

# Random centres are drawn anew this often in search of distant ones.
DRAWS = 100


@dataclass(frozen=True, kw_only=True)
class CSQ(Method):
    """All numbers of CSQ.

    Attributes:
        quantization: weight of ``mean (|u| − 1)²``, 1e-4.
    """

    name = "csq"
    title = "CSQ"

    quantization: float = 1e-4
    learning_rate: float = 1.8e-3

    def objective(self, problem: Problem) -> Objective:
        require_classes(problem, self.title)
        return CSQObjective(self, problem)


class CSQObjective(Objective):
    """Binary cross-entropy of ``½(tanh z + 1)`` with the centre of the image's class.

    An image with several labels is drawn to the majority of their centres, bit by bit; a bit
    without majority is drawn by lot, once for each set (the paper's form for label sets).
    """

    centers: Tensor
    lots: Tensor

    def __init__(self, method: CSQ, problem: Problem) -> None:
        super().__init__()
        self.method = method
        bits = problem.layout.hash_bits
        self.register_buffer("centers", hash_centers(problem.classes, bits))
        self.register_buffer("lots", torch.randint(0, 2, (bits,)).float() * 2 - 1)

    def forward(self, output: HashOutput, batch: Batch) -> dict[str, Tensor]:
        raw = output.raw
        votes = batch.targets.to(raw.dtype) @ self.centers.to(raw.dtype)
        wanted = (votes + 0.5 * self.lots) > 0
        # ½(tanh z + 1) = σ(2z), and logits are exact where the activation saturates.
        central = functional.binary_cross_entropy_with_logits(2 * raw, wanted.to(raw.dtype))
        gap = output.activations.abs() - 1
        return {
            "central": central,
            "quantization": self.method.quantization * gap.square().mean(),
        }


def hash_centers(classes: int, bits: int) -> Tensor:
    """``(C, bits) float32`` of ±1, one far code for each class.

    Rows of a Hadamard matrix and their negatives where ``bits`` is a power of two and there are
    enough of them; else random codes of half ones, the most distant of some draws.
    """
    if bits & (bits - 1) == 0 and classes <= 2 * bits:
        matrix = torch.ones(1, 1)
        while len(matrix) < bits:
            matrix = torch.cat([torch.cat([matrix, matrix], 1), torch.cat([matrix, -matrix], 1)])
        return torch.cat([matrix, -matrix])[:classes]
    best, best_distance = torch.empty(0), -1.0
    for _ in range(DRAWS):
        order = torch.rand(classes, bits).argsort(dim=1)
        codes = torch.where(order < bits // 2, 1.0, -1.0)
        distances = (bits - codes @ codes.T) / 2
        distances.fill_diagonal_(bits)
        if float(distances.min()) > best_distance:
            best, best_distance = codes, float(distances.min())
    return best
