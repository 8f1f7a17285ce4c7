"""HashNet: hashing by continuation (Cao et al. 2017; ``docs/methods/baselines.md``)."""

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
    shared_labels,
)


@dataclass(frozen=True, kw_only=True)
class HashNet(Method):
    """All numbers of HashNet.

    Attributes:
        alpha: on the inner products, 0.3; the authors' is 0.1.
        steepening: the tanh is ``tanh(βz)`` with ``β = √(1 + steepening · progress)``; 50 takes the
            authors' schedule (0.005 an iteration, power ½) through their 10,000 iterations.
    """

    name = "hashnet"
    title = "HashNet"

    alpha: float = 0.3
    steepening: float = 50.0

    def objective(self, problem: Problem) -> Objective:
        require_classes(problem, self.title)
        return HashNetObjective(self)


class HashNetObjective(Objective):
    """Weighted pairwise logistic loss on ``tanh(βz)``: like and unlike pairs weigh the same."""

    beta: Tensor

    def __init__(self, method: HashNet) -> None:
        super().__init__()
        self.method = method
        self.register_buffer("beta", torch.ones(()))

    def begin_epoch(self, rows: Tensor, progress: float) -> None:
        """Steepen the tanh."""
        self.beta.fill_((1 + self.method.steepening * progress) ** 0.5)

    def forward(self, output: HashOutput, batch: Batch) -> dict[str, Tensor]:
        mine = torch.tanh(self.beta * output.raw)
        others = ~torch.eye(len(mine), dtype=torch.bool, device=mine.device)
        like = shared_labels(batch.targets, batch.targets)[others]
        products = (self.method.alpha * mine @ mine.T)[others]
        losses = functional.softplus(products) - like * products
        likes = like.sum()
        # A batch may hold no like pair, or no unlike one.
        weight_like = len(like) / likes.clamp(min=1)
        weight_unlike = len(like) / (len(like) - likes).clamp(min=1)
        return {"likelihood": (torch.where(like, weight_like, weight_unlike) * losses).mean()}
