"""DPSH: deep pairwise-supervised hashing (Li et al. 2016; ``methods.md`` §10)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from terrahash.learning.heads import HashHead, HashOutput, signs
from terrahash.learning.methods.base import (
    Batch,
    Method,
    Mode,
    Objective,
    Problem,
    Recipe,
    require_classes,
    shared_labels,
)


@dataclass(frozen=True, kw_only=True)
class DPSH(Method):
    """All numbers of DPSH.

    Attributes:
        quantization: η of ``mean (u − sign u)²``, 0.1.
    """

    name = "dpsh"
    title = "DPSH"

    quantization: float = 0.1

    def recipe(self, mode: Mode) -> Recipe:
        if mode == "frozen":
            return Recipe(epochs=120, batch_size=90, learning_rate=1e-3)
        return Recipe(epochs=16, batch_size=32, learning_rate=1e-3, backbone_learning_rate=3e-4)

    def head(self, problem: Problem) -> HashHead:
        return HashHead(
            problem.in_features,
            problem.layout.hash_bits,
            hidden=self.hidden,
            activation="none",
            dropout=self.dropout,
        )

    def objective(self, problem: Problem) -> Objective:
        require_classes(problem, self.title)
        return DPSHObjective(self, problem)


class DPSHObjective(Objective):
    """``mean [ln(1 + e^θ) − s·θ]`` with θ = ½ u·u′, against all training images as last seen."""

    memory: Tensor
    targets: Tensor

    def __init__(self, method: DPSH, problem: Problem) -> None:
        super().__init__()
        self.method = method
        items = len(problem.targets)
        self.register_buffer("memory", torch.zeros(items, problem.layout.hash_bits))
        self.register_buffer("targets", torch.from_numpy(problem.targets), persistent=False)

    def forward(self, output: HashOutput, batch: Batch) -> dict[str, Tensor]:
        mine = output.activations
        self.memory[batch.indices] = mine.detach().to(self.memory)
        like = shared_labels(batch.targets, self.targets)
        return {
            "likelihood": pair_likelihood(mine, self.memory.to(mine.dtype), like),
            "quantization": self.method.quantization
            * (mine - signs(mine).detach()).square().mean(),
        }


def pair_likelihood(mine: Tensor, others: Tensor, like: Tensor) -> Tensor:
    """Mean negative log-likelihood of ``(B, K)`` against ``(N, K)``, alike as ``(B, N)`` says."""
    angles = 0.5 * mine @ others.T
    return (functional.softplus(angles) - like * angles).mean()
