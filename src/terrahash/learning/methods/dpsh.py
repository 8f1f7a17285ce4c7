"""DPSH: deep pairwise-supervised hashing (Li et al. 2016; ``docs/methods/baselines.md``).

Pairs are those of a batch. Common code pairs each batch with a memory of all training images as
they were last seen; at learning rates that train a head in seconds all batches then flee the same
stale mean, overshoot, and the loss rises from epoch to epoch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from terrahash.learning.heads import HashOutput, signs
from terrahash.learning.methods.base import (
    Batch,
    Method,
    Objective,
    Problem,
    require_classes,
    shared_labels,
)


@dataclass(frozen=True, kw_only=True)
class DPSH(Method):
    """All numbers of DPSH.

    Attributes:
        quantization: η of ``mean (u − sign u)²``, 0.44 (searched).
    """

    name = "dpsh"
    title = "DPSH"
    activation = "none"

    quantization: float = 0.44
    dropout: float = 0.09
    learning_rate: float = 3.7e-3

    def objective(self, problem: Problem) -> Objective:
        require_classes(problem, self.title)
        return DPSHObjective(self)


class DPSHObjective(Objective):
    """``mean [ln(1 + e^θ) − s·θ]`` with θ = ½ u·u′, over the pairs of a batch."""

    def __init__(self, method: DPSH) -> None:
        super().__init__()
        self.method = method

    def forward(self, output: HashOutput, batch: Batch) -> dict[str, Tensor]:
        mine = output.activations
        others = ~torch.eye(len(mine), dtype=torch.bool, device=mine.device)
        like = shared_labels(batch.targets, batch.targets)[others]
        angles = (0.5 * mine @ mine.T)[others]
        gaps = mine - signs(mine).detach()
        return {
            "likelihood": (functional.softplus(angles) - like * angles).mean(),
            "quantization": self.method.quantization * gaps.square().mean(),
        }
