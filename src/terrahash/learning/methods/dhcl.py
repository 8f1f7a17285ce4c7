"""DHCL: deep hashing with a classifier's label bits (Liu et al. 2022; ``methods.md`` §4).

Each class has a learned proxy; samples are drawn to their own proxy and pushed from the others by
cosine similarity, a classifier reads the class off the activations, and the predicted class in
binary is part of the code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from terrahash.codes import CodeLayout
from terrahash.errors import InputError
from terrahash.learning.heads import HashOutput
from terrahash.learning.methods.base import (
    Batch,
    Method,
    Mode,
    Objective,
    Problem,
    Recipe,
    require_single_labels,
)

# A differing label bit counts half in the published code: ±1 hash bits, 0/1 label bits (§4.2).
PUBLISHED_LABEL_WEIGHT = 0.5


@dataclass(frozen=True, kw_only=True)
class DHCL(Method):
    """All numbers of DHCL.

    Attributes:
        margin: m of the self-paced proxy loss, 0.25 (published code).
        scale: γ_s on its exponents; 1 is published, circle loss uses far more (§4.3 c); 4 was
            chosen from 1, 2, 4, 8 and 16 on folds of UC Merced's training part.
        dropout: in the head; chosen from 0, 0.3 and 0.5 on the same folds.
        quantization: λ_q on ``mean (|h| − 1)²``; 0.5 is inferred from the published ½ (§4.3 e).
        classification: weight of the cross-entropy, 1 (published code).
    """

    name = "dhcl"
    title = "DHCL"

    margin: float = 0.25
    scale: float = 4.0
    quantization: float = 0.5
    classification: float = 1.0
    dropout: float = 0.3

    def layout(self, bits: int, classes: int) -> CodeLayout:
        """``bits`` in all, label bits included; the published variant appends the label bits."""
        label_bits = max(1, math.ceil(math.log2(classes)))
        if self.variant == "published":
            return CodeLayout(bits, label_bits, PUBLISHED_LABEL_WEIGHT)
        if label_bits >= bits:
            raise InputError(
                f"{bits} bits leave nothing to learn beside the {label_bits} label bits that "
                f"{classes} classes take",
                f"choose at least {label_bits + 1} bits",
            )
        return CodeLayout(bits - label_bits, label_bits)

    def recipe(self, mode: Mode) -> Recipe:
        if mode == "frozen":
            return Recipe(epochs=120, batch_size=90, learning_rate=1e-3, proxy_learning_rate=1e-2)
        return Recipe(
            epochs=24,
            batch_size=32,
            learning_rate=1e-3,
            backbone_learning_rate=3e-4,
            proxy_learning_rate=1e-2,
        )

    def objective(self, problem: Problem) -> Objective:
        require_single_labels(problem, self.title)
        return DHCLObjective(self, problem)


class DHCLObjective(Objective):
    """Self-paced proxy loss + cross-entropy + quantisation."""

    def __init__(self, method: DHCL, problem: Problem) -> None:
        super().__init__()
        self.method = method
        self.proxies = nn.Parameter(torch.empty(problem.classes, problem.layout.hash_bits))
        nn.init.kaiming_normal_(self.proxies, mode="fan_out")
        # The published optimiser never received the proxies (§4.6).
        self.proxies.requires_grad_(method.variant == "corrected")

    def forward(self, output: HashOutput, batch: Batch) -> dict[str, Tensor]:
        assert output.logits is not None  # noqa: S101  (DHCL's head has a classifier)
        cosines = functional.normalize(output.activations) @ functional.normalize(self.proxies).T
        terms = (
            self._published(cosines, batch.targets)
            if self.method.variant == "published"
            else self._corrected(cosines, output.activations, batch.targets)
        )
        terms["class"] = self.method.classification * functional.cross_entropy(
            output.logits, batch.labels
        )
        return terms

    def _corrected(self, cosines: Tensor, activations: Tensor, own: Tensor) -> dict[str, Tensor]:
        """Exponents f = −[1+m−c]₊(c−(1−m)) and g = [c+1+m]₊(c+(1−m)), scaled (§4.3 c)."""
        m = self.method.margin
        pull = -(1 + m - cosines).clamp(min=0) * (cosines - (1 - m)) * self.method.scale
        push = (cosines + 1 + m).clamp(min=0) * (cosines + (1 - m)) * self.method.scale
        return {
            "proxy": _log_sums(pull, push, own),
            "quantization": self.method.quantization * (activations.abs() - 1).square().mean(),
        }

    def _published(self, cosines: Tensor, own: Tensor) -> dict[str, Tensor]:
        """The published signs, which push a sample from its proxy, and its "binarization" of sums
        of similarities (§4.3 b)."""
        m = self.method.margin
        pull = (1 + m - cosines) * (cosines - (1 - m))
        push = (cosines + 1 + m) * (cosines - (1 - m))
        pulls, pushes = (pull.exp() * own).sum(0), (push.exp() * ~own).sum(0)
        binarization = (pulls - pulls.sign()).square().sum() + (
            pushes - pushes.sign()
        ).square().sum()
        return {"proxy": _log_sums(pull, push, own), "binarization": 0.5 * binarization}


def _log_sums(pull: Tensor, push: Tensor, own: Tensor) -> Tensor:
    """``1/|C⁺| Σ_p ln(1 + Σ_own e^pull) + 1/C Σ_p ln(1 + Σ_others e^push)`` over ``(B, C)``."""
    present = own.any(dim=0)
    attract = torch.log1p((pull.exp() * own).sum(dim=0))
    repel = torch.log1p((push.exp() * ~own).sum(dim=0))
    return attract.sum() / present.sum().clamp(min=1) + repel.mean()
