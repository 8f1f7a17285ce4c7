"""Backbone and head as one network."""

from __future__ import annotations

from torch import Tensor, nn

from terrahash.learning.heads import HashHead, HashOutput


class HashNetwork(nn.Module):
    """Images to activations and logits.

    In ``frozen`` mode the backbone is left out of training and the network is fed its features.
    BatchNorm statistics of a pretrained backbone stay as they are: batches of a hash objective are
    small and class-balanced on purpose, which is not what the archive looks like. A backbone
    without pretraining has none worth keeping and learns them.
    """

    def __init__(
        self, backbone: nn.Module, head: HashHead, *, frozen: bool, pretrained: bool = True
    ) -> None:
        super().__init__()
        self.backbone = backbone.requires_grad_(not frozen)
        self.head = head
        self.frozen = frozen
        self.pretrained = pretrained

    def train(self, mode: bool = True) -> HashNetwork:
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        if self.pretrained:
            for module in self.backbone.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def features(self, inputs: Tensor) -> Tensor:
        """``(B, D)`` pooled features of images; in ``frozen`` mode those are the inputs."""
        if self.frozen:
            return inputs
        features: Tensor = self.backbone(inputs)
        return features

    def forward(self, inputs: Tensor) -> HashOutput:
        output: HashOutput = self.head(self.features(inputs))
        return output


class ExportedNetwork(nn.Module):
    """The form in which a network is exported: images to ``(activations[, logits])``."""

    def __init__(self, network: HashNetwork) -> None:
        super().__init__()
        self.backbone = network.backbone
        self.head = network.head
        self.outputs = (
            ["activations"] if network.head.classifier is None else ["activations", "logits"]
        )

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        output: HashOutput = self.head(self.backbone(images))
        if output.logits is None:
            return (output.activations,)
        return output.activations, output.logits
