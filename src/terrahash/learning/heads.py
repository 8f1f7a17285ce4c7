"""The hash head: pooled features to activations and, where a method wants them, class logits."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

Activation = Literal["tanh", "sigmoid", "none"]


class HashOutput(NamedTuple):
    """What a head says of a batch of B images.

    Attributes:
        raw: ``(B, hash_bits)`` before the activation function.
        activations: ``(B, hash_bits)``, centred on zero: a bit is 1 where its activation is ≥ 0.
        logits: ``(B, C)`` of the classifier on the activations, or None.
    """

    raw: Tensor
    activations: Tensor
    logits: Tensor | None

    def float(self) -> HashOutput:
        """The same in float32, whatever precision the network ran in."""
        logits = None if self.logits is None else self.logits.float()
        return HashOutput(self.raw.float(), self.activations.float(), logits)


class HashHead(nn.Module):
    """Hidden linear layers with LeakyReLU, a hash layer, its activation and a classifier on it.

    A sigmoid is centred, ``2σ(z) − 1``, so that every encoder's bits are the signs of its
    activations; methods that are written for ``a = σ(z)`` recover it as ``(activation + 1) / 2``.
    The classifier sees the activations (DHCL, AHCL) or their signs, with
    the gradient passed straight through (GreedyHash).

    Args:
        in_features: length of the pooled feature vector.
        hash_bits: learned bits.
        hidden: widths of the hidden layers.
        classes: outputs of the classifier; 0 for none.
        classify: what the classifier sees.
        activation: of the hash layer.
        batch_norm: normalise the hash layer's output before its activation (OrthoHash).
        slope: of the LeakyReLU for negative inputs.
        dropout: before every linear layer of the trunk.
    """

    def __init__(
        self,
        in_features: int,
        hash_bits: int,
        *,
        hidden: tuple[int, ...] = (),
        classes: int = 0,
        classify: Literal["activations", "signs"] = "activations",
        activation: Activation = "tanh",
        batch_norm: bool = False,
        slope: float = 0.2,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = in_features
        for size in hidden:
            if dropout:
                layers.append(nn.Dropout(dropout))
            layers += [nn.Linear(width, size), nn.LeakyReLU(slope)]
            width = size
        if dropout:
            layers.append(nn.Dropout(dropout))
        self.trunk = nn.Sequential(*layers)
        self.hash = nn.Linear(width, hash_bits)
        self.norm = nn.BatchNorm1d(hash_bits) if batch_norm else nn.Identity()
        self.classifier = nn.Linear(hash_bits, classes) if classes else None
        self.classify = classify
        self.activation = activation

    def forward(self, features: Tensor) -> HashOutput:
        raw = self.norm(self.hash(self.trunk(features)))
        activations = raw
        if self.activation == "tanh":
            activations = torch.tanh(raw)
        elif self.activation == "sigmoid":
            activations = 2 * torch.sigmoid(raw) - 1
        if self.classifier is None:
            return HashOutput(raw, activations, None)
        seen = signs(activations) if self.classify == "signs" else activations
        return HashOutput(raw, activations, self.classifier(seen))


def signs(values: Tensor) -> Tensor:
    """±1, zero counting as +1, with the gradient of the values themselves (straight through)."""
    return values + (torch.where(values >= 0, 1.0, -1.0).to(values.dtype) - values).detach()
