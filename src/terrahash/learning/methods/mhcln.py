"""MHCLN, also MiLaN: metric learning for codes (Roy et al. 2018, 2020; ``docs/methods/mhcln.md``).

Triplets on normalised sigmoid activations, a push of the activations away from one half, and codes
that are half ones, in batches of two classes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.reducers import MeanReducer
from torch import Tensor, nn

from terrahash.learning.heads import HashHead, HashOutput
from terrahash.learning.methods.base import (
    Batch,
    Method,
    Mode,
    Objective,
    Problem,
    Recipe,
    require_classes,
)

Balance = Literal["code", "bit"]


@dataclass(frozen=True, kw_only=True)
class MHCLN(Method):
    """All numbers of MHCLN.

    Attributes:
        margin: α of the triplet loss, 0.5 (searched; 0.2 in the published code).
        push: β, 0.001; divided by the bits, which leaves it almost without effect.
        balance_weight: γ, 1.
        balance: what shall be half ones, each ``code`` (published code), or each ``bit`` over the
            batch (the usual idea, and what the published comment says). Over two classes
            balanced bits make their codes opposites, and retrieval is worse for it.
        triplets: in a batch, 30; where a class is smaller, as many as there are disjoint anchors
            and positives.
        aligned: anchors, positives and negatives are a third of the batch each. Published code cuts
            the batch into thirds also where a class has fewer than 60 images, so that positives are
            taken for negatives and the other class for positives.
        passes: an epoch has as many batches as this many passes over the images: a batch shows only
            two classes.
        hidden, dropout: of the head; published are 1024 and 512 without dropout, which fits the
            training images by heart and is worse on folds of UC Merced's training part.
    """

    name = "mhcln"
    title = "MHCLN"
    finetune_rate = 3e-5
    published_switches = {"aligned": False}  # noqa: RUF012

    margin: float = 0.5
    push: float = 0.001
    balance_weight: float = 1.0
    balance: Balance = "code"
    triplets: int = 30
    aligned: bool = True
    passes: int = 5
    dropout: float = 0.24
    learning_rate: float = 5.4e-4

    def recipe(self, mode: Mode) -> Recipe:
        usual = dataclasses.replace(super().recipe(mode), batch_size=3 * self.triplets)
        return usual if mode == "frozen" else dataclasses.replace(usual, epochs=4)

    def head(self, problem: Problem) -> HashHead:
        return sigmoid_head(self, problem)

    def objective(self, problem: Problem) -> Objective:
        require_classes(problem, self.title, images=2)
        return MHCLNObjective(self)

    def batches(
        self, problem: Problem, batch_size: int, generator: torch.Generator
    ) -> Iterator[Tensor]:
        """Anchors, positives and negatives, a third of the batch each."""
        steps = max(1, self.passes * len(problem.targets) // batch_size)
        sampler = TripletSampler(problem.targets, batch_size // 3, generator, aligned=self.aligned)
        for _ in range(steps):
            yield sampler.draw()


class TripletSampler:
    """Batches of two classes: one for anchors and positives, one for negatives.

    With label sets the anchors and positives share the drawn class, and each anchor's negative is
    any image that has no label of the anchor's and the positive's.
    """

    def __init__(
        self,
        targets: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
        triplets: int,
        generator: torch.Generator,
        *,
        aligned: bool = True,
    ) -> None:
        self._aligned = aligned
        self._targets = torch.from_numpy(targets)
        self._triplets = triplets
        self._generator = generator
        self._members = [column.nonzero()[:, 0] for column in self._targets.T]
        self._classes = torch.tensor(
            [number for number, rows in enumerate(self._members) if len(rows)]
        )
        self._several = bool((self._targets.sum(dim=1) != 1).any())

    def draw(self) -> Tensor:
        """``(3T,)``: T anchors, T positives, T negatives."""
        order = self._shuffled(self._classes)
        own = self._shuffled(self._members[int(order[0])])
        others = self._shuffled(self._members[int(order[1])])
        if self._several:
            return self._with_strangers(own)
        if not self._aligned:
            drawn = torch.cat([own[: 2 * self._triplets], others[: self._triplets]])
            return drawn[: len(drawn) // 3 * 3]
        count = min(self._triplets, len(own) // 2, len(others))
        return torch.cat([own[:count], own[count : 2 * count], others[:count]])

    def _with_strangers(self, own: Tensor) -> Tensor:
        count = min(self._triplets, len(own) // 2)
        anchors, positives = own[:count], own[count : 2 * count]
        taken = self._targets[anchors] | self._targets[positives]
        strange = (taken.float() @ self._targets.float().T) == 0
        usable = strange.any(dim=1)
        if not usable.any():  # the drawn images have all classes between them
            return self.draw()
        negatives = torch.multinomial(strange[usable].float(), 1, generator=self._generator)
        return torch.cat([anchors[usable], positives[usable], negatives[:, 0]])

    def _shuffled(self, values: Tensor) -> Tensor:
        return values[torch.randperm(len(values), generator=self._generator)]


class MHCLNObjective(Objective):
    """Triplet + push + balance."""

    def __init__(self, method: MHCLN) -> None:
        super().__init__()
        self.method = method
        self.triplet = TripletMarginLoss(
            margin=method.margin,
            distance=LpDistance(p=2, power=2, normalize_embeddings=True),
            reducer=MeanReducer(),
        )

    def forward(self, output: HashOutput, batch: Batch) -> dict[str, Tensor]:
        shares = ones_shares(output)
        rows = torch.arange(len(shares), device=shares.device).view(3, -1)
        return {
            "triplet": self.triplet(shares, indices_tuple=(rows[0], rows[1], rows[2])),
            "push": -self.method.push * push(shares),
            "balance": self.method.balance_weight * balance(shares, self.method.balance),
        }


def sigmoid_head(method: Method, problem: Problem) -> HashHead:
    """MHCLN's head: sigmoid, no classifier, weights U(−√3σ, √3σ) with σ² = 4/(fan_in + fan_out),
    biases zero."""
    head = HashHead(
        problem.in_features,
        problem.layout.hash_bits,
        hidden=method.hidden,
        activation="sigmoid",
        dropout=method.dropout,
    )
    for module in head.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight, gain=math.sqrt(2))
            nn.init.zeros_(module.bias)
    return head


def ones_shares(output: HashOutput) -> Tensor:
    """``(B, K)`` sigmoid activations a in 0…1, as the formulas of MHCLN and HPSH have them."""
    return (output.activations + 1) / 2


def push(shares: Tensor) -> Tensor:
    """Mean squared distance of activations from one half: 1/K of L_push."""
    return (shares - 0.5).square().mean()


def balance(shares: Tensor, what: Balance) -> Tensor:
    """How far the mean over the bits of each code, or over the codes for each bit, is from ½."""
    return (shares.mean(dim=1 if what == "code" else 0) - 0.5).square().mean()
