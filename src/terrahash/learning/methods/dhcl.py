"""DHCL: deep hashing with a classifier's label bits (Liu et al. 2022; ``docs/methods/dhcl.md``).

Each class has a learned proxy; samples are drawn to their own proxy and pushed from the others by
cosine similarity, a classifier reads the class off the activations, and the predicted class in
binary is part of the code.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from terrahash.codes import MIN_BITS, CodeLayout
from terrahash.errors import InputError
from terrahash.learning.heads import HashOutput
from terrahash.learning.methods.base import (
    Batch,
    Method,
    Mode,
    Objective,
    Problem,
    Recipe,
    require_classes,
    require_single_labels,
)


@dataclass(frozen=True, kw_only=True)
class DHCL(Method):
    """All numbers of DHCL.

    Attributes:
        margin: m of the self-paced proxy loss, 0.25 (published code).
        scale: γ_s on its exponents, 4; published is 1, circle loss uses far more.
        quantization: λ_q on ``mean (|h| − 1)²``; 0.5 is inferred from the published ½.
        classification: weight of the cross-entropy, 1 (published code).
        proxy_loss: ``self_paced`` draws a sample to its own proxy, ``published`` has the
            signs that push it away and no scale, ``anchor`` is Proxy Anchor, which DHCL
            started from.
        anchor_scale, anchor_margin: α = 32 and δ = 0.1 of Proxy Anchor (Kim et al. 2020).
        binarized: what is drawn to ±1: the ``activations``, or as published ``sums`` of
            similarities, which has nothing to do with bits.
        trained_proxies: the published optimiser never received them.
        appended_label_bits: label bits come on top of the bits asked for, as published, else they
            are among them.
        label_weight: what a differing label bit counts; ½ is published, where hash bits are ±1 and
            label bits 0 or 1.
    """

    name = "dhcl"
    title = "DHCL"
    takes_label_sets = False
    classifies = True
    published_switches = {  # noqa: RUF012
        "proxy_loss": "published",
        "binarized": "sums",
        "trained_proxies": False,
        "appended_label_bits": True,
        "label_weight": 0.5,
    }

    margin: float = 0.25
    scale: float = 4.0
    quantization: float = 0.5
    classification: float = 1.0
    proxy_loss: Literal["self_paced", "published", "anchor"] = "self_paced"
    anchor_scale: float = 32.0
    anchor_margin: float = 0.1
    binarized: Literal["activations", "sums"] = "activations"
    trained_proxies: bool = True
    appended_label_bits: bool = False
    label_weight: float = 1.0

    def layout(self, bits: int, classes: int) -> CodeLayout:
        """``bits`` in all, label bits included, unless these are appended."""
        label_bits = max(1, math.ceil(math.log2(max(2, classes))))
        if self.appended_label_bits:
            return CodeLayout(bits, label_bits, self.label_weight)
        if label_bits >= bits:
            raise InputError(
                f"{bits} bits leave nothing to learn beside the {label_bits} label bits that "
                f"{classes} classes take",
                f"choose at least {max(MIN_BITS, label_bits + 1)} bits",
            )
        return CodeLayout(bits - label_bits, label_bits, self.label_weight)

    def recipe(self, mode: Mode) -> Recipe:
        return dataclasses.replace(super().recipe(mode), proxy_learning_rate=1e-2)

    def objective(self, problem: Problem) -> Objective:
        require_single_labels(problem, self.title)
        require_classes(problem, self.title)
        return DHCLObjective(self, problem)


class DHCLObjective(Objective):
    """Self-paced proxy loss + binarisation + cross-entropy."""

    def __init__(self, method: DHCL, problem: Problem) -> None:
        super().__init__()
        self.method = method
        self.proxies = nn.Parameter(torch.empty(problem.classes, problem.layout.hash_bits))
        nn.init.kaiming_normal_(self.proxies, mode="fan_out")
        self.proxies.requires_grad_(method.trained_proxies)

    def forward(self, output: HashOutput, batch: Batch) -> dict[str, Tensor]:
        assert output.logits is not None  # noqa: S101  (DHCL's head has a classifier)
        method = self.method
        cosines = functional.normalize(output.activations) @ functional.normalize(self.proxies).T
        pull, push = exponents(cosines, method)
        pulls = (pull.exp() * batch.targets).sum(dim=0)
        pushes = (push.exp() * ~batch.targets).sum(dim=0)
        present = batch.targets.any(dim=0).sum().clamp(min=1)
        if method.binarized == "activations":
            gap = method.quantization * (output.activations.abs() - 1).square().mean()
        else:
            sums = torch.cat([pulls, pushes])
            gap = 0.5 * (sums - sums.sign()).square().sum()
        return {
            "proxy": torch.log1p(pulls).sum() / present + torch.log1p(pushes).mean(),
            "binarization": gap,
            "class": method.classification * functional.cross_entropy(output.logits, batch.labels),
        }


def exponents(cosines: Tensor, method: DHCL) -> tuple[Tensor, Tensor]:
    """f and g of samples to proxies, ``(B, C)`` each: what is summed over a proxy's own samples and
    over the others.

    Self-paced: f = −γ[1+m−c]₊(c−(1−m)), g = γ[c+1+m]₊(c+(1−m)). Published:
    f = (1+m−c)(c−(1−m)), g = (c+1+m)(c−(1−m)). Proxy Anchor: f = −α(c−δ), g = α(c+δ).
    """
    if method.proxy_loss == "anchor":
        alpha, delta = method.anchor_scale, method.anchor_margin
        return -alpha * (cosines - delta), alpha * (cosines + delta)
    m = method.margin
    if method.proxy_loss == "published":
        return (1 + m - cosines) * (cosines - (1 - m)), (cosines + 1 + m) * (cosines - (1 - m))
    pull = -(1 + m - cosines).clamp(min=0) * (cosines - (1 - m))
    push = (cosines + 1 + m).clamp(min=0) * (cosines + (1 - m))
    return method.scale * pull, method.scale * push
