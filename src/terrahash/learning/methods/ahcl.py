"""AHCL: asymmetric hashing with a classifier (Song et al. 2022; ``docs/methods/ahcl.md``).

The network learns codes for queries, and the codes of the labelled database are free ±1 variables,
found bit by bit in turns with it. ADSH (Jiang and Li 2018) is the same without the classifier.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from terrahash.codes import pack
from terrahash.encoder.learned import LearnedDatabase, linear_term, sweep
from terrahash.learning.heads import HashOutput
from terrahash.learning.methods.base import (
    Batch,
    Method,
    Mode,
    Objective,
    Problem,
    Recipe,
    classification_loss,
    require_classes,
    shared_labels,
)

# The published λ, and the number of database items that it was published for (WHU-RS19).
PUBLISHED_LAMBDA, PUBLISHED_ITEMS = 200.0, 505
# Keeps the ratio finite where all images share a label.
SMALLEST_SHARE = 1e-9


@dataclass(frozen=True, kw_only=True)
class AHCL(Method):
    """All numbers of AHCL.

    An epoch is an outer iteration: queries Ω are drawn, visited ``passes`` times in the same order,
    and the database codes renewed in one sweep over the bits.

    Attributes:
        classification: γ of the cross-entropy, 20 (published code; its help text says 0.5).
        queries: m, how many images stand in for queries in an iteration; all where there are fewer.
        passes: over the queries in an iteration, 2 (published code).
        scale_quantization: λ grows with the number n of database items, so that
            ``λ/n`` stays the published 200/505; else λ is 200 whatever n is.
        random_start: database codes start as random signs, else as zeros, which leaves the first
            iteration to the cross-entropy and a pull to zero.
        fresh_activations: the discrete step sees the queries' activations of the network as it is,
            else those gathered while it was changing, with dropout.
    """

    name = "ahcl"
    title = "AHCL"
    classifies = True
    finetune_rate = 3e-4
    published_switches = {  # noqa: RUF012
        "scale_quantization": False,
        "random_start": False,
        "fresh_activations": False,
    }

    classification: float = 20.0
    queries: int = 2000
    passes: int = 2
    scale_quantization: bool = True
    random_start: bool = True
    fresh_activations: bool = True

    def recipe(self, mode: Mode) -> Recipe:
        usual = super().recipe(mode)
        if mode == "frozen":
            return dataclasses.replace(usual, epochs=40, batch_size=64)
        return dataclasses.replace(usual, epochs=8)

    def objective(self, problem: Problem) -> Objective:
        require_classes(problem, self.title)
        return AHCLObjective(self, problem)

    def batches(
        self, problem: Problem, batch_size: int, generator: torch.Generator
    ) -> Iterator[Tensor]:
        """Some images, at random, several times in the same order."""
        chosen = torch.randperm(len(problem.targets), generator=generator)[: self.queries]
        for _ in range(self.passes):
            yield from chosen.split(batch_size)


@dataclass(frozen=True, kw_only=True)
class ADSH(AHCL):
    """Asymmetric deep supervised hashing: AHCL without the classifier (γ = 0)."""

    name = "adsh"
    title = "ADSH"
    classifies = False

    classification: float = 0.0


class AHCLObjective(Objective):
    """``Σ_ij (u_iᵀv_j − K·S_ij)² + λ Σ_i ‖v_i − u_i‖²`` per query and item, + cross-entropy.

    Buffers: ``codes (K, n)`` the database, ``activations (n, K)`` of the queries, and which images
    are ``chosen (n,)`` as queries.
    """

    codes: Tensor
    activations: Tensor
    chosen: Tensor
    ratio: Tensor
    targets: Tensor

    def __init__(self, method: AHCL, problem: Problem) -> None:
        super().__init__()
        self.method = method
        self.several = problem.is_multilabel
        items, bits = len(problem.targets), problem.layout.hash_bits
        codes = torch.randint(0, 2, (bits, items)).float() * 2 - 1
        self.register_buffer("codes", codes if method.random_start else torch.zeros_like(codes))
        self.register_buffer("activations", torch.zeros(items, bits))
        self.register_buffer("chosen", torch.zeros(items, dtype=torch.bool))
        self.register_buffer("ratio", torch.zeros(()))
        self.register_buffer("targets", torch.from_numpy(problem.targets), persistent=False)
        self.pull = PUBLISHED_LAMBDA
        if method.scale_quantization:
            self.pull *= items / PUBLISHED_ITEMS

    def begin_epoch(self, rows: Tensor, progress: float) -> None:
        """Take the epoch's images as queries; weigh like and unlike pairs against each other."""
        self.chosen.zero_()
        self.chosen[rows] = True
        like = shared_labels(self.targets[rows], self.targets).double().mean()
        self.ratio = (like / (1 - like).clamp(min=SMALLEST_SHARE)).to(self.codes.dtype)

    def forward(self, output: HashOutput, batch: Batch) -> dict[str, Tensor]:
        mine = output.activations
        if not self.method.fresh_activations:
            self.activations[batch.indices] = mine.detach()
        bits, items = self.codes.shape
        like = shared_labels(batch.targets, self.targets)
        wanted = bits * torch.where(like, 1.0, -self.ratio)
        pairs = items * len(mine)
        terms = {
            "similarity": (mine @ self.codes - wanted).square().sum() / pairs,
            "quantization": self.pull * (self.codes.T[batch.indices] - mine).square().sum() / pairs,
        }
        if output.logits is not None and self.method.classification:
            terms["class"] = self.method.classification * classification_loss(
                output.logits, batch.targets, multilabel=self.several
            )
        return terms

    def end_epoch(self, activations: Callable[[Tensor], Tensor]) -> None:
        """The discrete step: ``Q = −2K·SᵀU − 2λ·Ū``, then a sweep over the bits."""
        rows = self.chosen.nonzero()[:, 0]
        if self.method.fresh_activations:
            self.activations[rows] = activations(rows).to(self.activations)
        mine = self.activations[rows].cpu().numpy()
        targets = self.targets.cpu().numpy()
        chosen = rows.cpu().numpy()
        linear = linear_term(mine, targets[chosen], targets, float(self.ratio))
        linear[:, chosen] -= 2 * self.pull * mine.T
        codes = self.codes.cpu().numpy().copy()
        sweep(codes, linear, mine.T @ mine)
        self.codes.copy_(torch.from_numpy(codes))

    def database(self, digests: NDArray[np.uint8]) -> LearnedDatabase:
        chosen = self.chosen.cpu().numpy()
        return LearnedDatabase(
            digests,
            pack(self.codes.T.cpu().numpy() >= 0),
            self.activations.cpu().numpy()[chosen],
            self.targets.cpu().numpy()[chosen],
            float(self.ratio),
        )
