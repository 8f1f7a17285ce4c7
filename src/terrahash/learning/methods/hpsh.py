"""HPSH: hard-probability sampling hashing (Xue et al. 2020; ``docs/methods/hpsh.md``).

MHCLN's head with a margin loss, negatives drawn by their distance (Wu et al. 2017), and a
quantisation term, in batches with the same number of images of each class.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from pytorch_metric_learning.losses import MarginLoss
from pytorch_metric_learning.reducers import MeanReducer
from torch import Tensor
from torch.nn import functional

from terrahash.learning.heads import HashHead, HashOutput
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
from terrahash.learning.methods.mhcln import balance, ones_shares, push, sigmoid_head

# Distances below count as this, negatives beyond are not drawn (Wu et al. 2017).
NEAREST, FARTHEST = 0.5, 1.4


@dataclass(frozen=True, kw_only=True)
class HPSH(Method):
    """All numbers of HPSH.

    Attributes:
        boundary: β_m, 0.6: positives are pulled below it, negatives pushed above it.
        margin: α_m, 0.3, around the boundary (published code).
        push: 0.001 over the bits, as MHCLN's.
        balance_weight: 1, as MHCLN's, over the bits of each code.
        quantization: λ_q of ``mean_i Σ_k [ln cosh(|bit − a|)]²``; the published 1/100 of a sum is
            not transferable.
        sampling: of negatives. ``distance``: by the inverse of the density of distances on the
            sphere; ``uniform``; ``published``: those probabilities taken for logits, which is
            nearly uniform and draws the anchor's own class too.
        quantized: what the quantisation term is taken of. ``activations``; ``normalized``, the
            normalised embedding, as published, where it can only pull to zero; ``nothing``.
        images_per_class: k in a batch, 5 (published code).
        hidden, dropout: of the head; published are 1024 and 512 without dropout, which fits the
            training images by heart and is worse on folds of UC Merced's training part.
    """

    name = "hpsh"
    title = "HPSH"
    finetune_rate = 3e-4
    published_switches = {"sampling": "published", "quantized": "normalized"}  # noqa: RUF012

    boundary: float = 0.6
    margin: float = 0.3
    push: float = 0.001
    balance_weight: float = 1.0
    quantization: float = 0.1
    sampling: Literal["distance", "uniform", "published"] = "distance"
    quantized: Literal["activations", "normalized", "nothing"] = "activations"
    images_per_class: int = 5

    def recipe(self, mode: Mode) -> Recipe:
        return dataclasses.replace(super().recipe(mode), batch_size=300 if mode == "frozen" else 60)

    def head(self, problem: Problem) -> HashHead:
        return sigmoid_head(self, problem)

    def objective(self, problem: Problem) -> Objective:
        require_classes(problem, self.title, images=self.images_per_class)
        return HPSHObjective(self)

    def batches(
        self, problem: Problem, batch_size: int, generator: torch.Generator
    ) -> Iterator[Tensor]:
        """k images of every class, class by class; of some classes where that would be more than
        the batch size."""
        members = [np.flatnonzero(column) for column in problem.targets.T]
        members = [rows for rows in members if len(rows)]
        at_once = min(len(members), max(2, batch_size // self.images_per_class))
        steps = max(1, len(problem.targets) // (at_once * self.images_per_class))
        for _ in range(steps):
            chosen = torch.randperm(len(members), generator=generator)[:at_once]
            yield torch.cat([self._draw(members[number], generator) for number in chosen.tolist()])

    def _draw(
        self, rows: np.ndarray[tuple[int, ...], np.dtype[np.int64]], generator: torch.Generator
    ) -> Tensor:
        order = torch.randperm(len(rows), generator=generator)[: self.images_per_class]
        return torch.from_numpy(rows)[order]


class HPSHObjective(Objective):
    """Margin + push + balance + quantisation."""

    def __init__(self, method: HPSH) -> None:
        super().__init__()
        self.method = method
        self.margin = MarginLoss(margin=method.margin, beta=method.boundary, reducer=MeanReducer())

    def forward(self, output: HashOutput, batch: Batch) -> dict[str, Tensor]:
        method = self.method
        shares = ones_shares(output)
        embeddings = functional.normalize(shares)
        triplets = self.triplets(embeddings.detach(), batch.targets)
        terms = {
            "margin": self.margin(shares, indices_tuple=triplets),
            "push": -method.push * push(shares),
            "balance": method.balance_weight * balance(shares, "code"),
        }
        if method.quantized == "activations":
            terms["quantization"] = method.quantization * log_cosh_gap(shares).sum() / len(shares)
        elif method.quantized == "normalized":
            gaps = log_cosh_gap(embeddings).sum(dim=1)
            terms["quantization"] = sum((gaps[rows].sum() for rows in triplets), gaps.new_zeros(()))
            terms["quantization"] = terms["quantization"] / 100
        return terms

    def triplets(self, embeddings: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """All n(k−1) pairs of an anchor with its k−1 classmates, each with a negative drawn.

        Args:
            embeddings: ``(n, K)`` normalised, k rows of each class after each other.
            targets: ``(n, C) bool``.
        """
        k = self.method.images_per_class
        count = len(embeddings)
        rows = torch.arange(count, device=embeddings.device)
        mates = rows.view(-1, k).repeat_interleave(k, dim=0)
        mates = mates[mates != rows[:, None]].view(count, k - 1)
        related = shared_labels(targets, targets)
        chances = negative_chances(embeddings, related, self.method.sampling)
        usable = chances.sum(dim=1) > 0
        negatives = torch.multinomial(chances[usable], k - 1, replacement=True)
        anchors = rows[usable].repeat_interleave(k - 1)
        return anchors, mates[usable].flatten(), negatives.flatten()


def negative_chances(
    embeddings: Tensor, related: Tensor, sampling: Literal["distance", "uniform", "published"]
) -> Tensor:
    """``(n, n)``: how likely each image is drawn as a negative of each anchor.

    A row of zeros has no negative. Where no negative is nearer than 1.4, all are equally likely;
    the published code divides zero by zero there.

    Args:
        embeddings: ``(n, K)`` normalised.
        related: ``(n, n) bool``, which images are no negatives of each other.
    """
    uniform = (~related).to(embeddings.dtype)
    uniform = uniform / uniform.sum(dim=1, keepdim=True).clamp(min=1)
    if sampling == "uniform":
        return uniform
    bits = embeddings.shape[1]
    distances = (2 - 2 * embeddings @ embeddings.T).clamp(min=0).sqrt().clamp(min=NEAREST)
    # ln 1/q(d) for the density q of distances on the unit sphere in K dimensions.
    log_weights = (2 - bits) * distances.log() - (bits - 3) / 2 * (1 - distances.square() / 4).log()
    allowed = ~related & (distances < FARTHEST)
    chances = log_weights.masked_fill(~allowed, -math.inf).softmax(dim=1)
    chances = torch.where(allowed.any(dim=1, keepdim=True), chances, uniform)
    return chances.softmax(dim=1) if sampling == "published" else chances


def log_cosh_gap(values: Tensor) -> Tensor:
    """``[ln cosh |1[z > 0.5] − z|]²``, smooth at ½ and zero at 0 and 1."""
    gap = ((values > 0.5).to(values.dtype) - values).abs()
    return (gap + functional.softplus(-2 * gap) - math.log(2)).square()
