"""The first layer of an RGB network, adapted to other bands."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from terrahash.errors import TrainingError
from terrahash.imagery.bands import COLOURS, common_name


def with_bands(timm: Any, name: str, module: nn.Module, bands: Sequence[str]) -> nn.Module:
    """A copy of an RGB network that takes other bands.

    Args:
        timm: the package.
        name: of the architecture.
        module: with pretrained weights.
        bands: names of the input's channels.

    Raises:
        TrainingError: if its first layer is no convolution over RGB.
    """
    place = getattr(timm.get_pretrained_cfg(name), "first_conv", None)
    module = copy.deepcopy(module)
    old = module.get_submodule(place) if isinstance(place, str) else None
    if not isinstance(old, nn.Conv2d) or old.in_channels != 3 or old.groups != 1:
        raise TrainingError(
            f"the first layer of '{name}' cannot be adapted to {len(bands)} bands",
            "choose a convolutional backbone such as mobilenetv2_100 or resnet18",
        )
    old.weight = nn.Parameter(adapted(old.weight.detach(), bands))
    old.in_channels = len(bands)
    return module


def adapted(weight: Tensor, bands: Sequence[str]) -> Tensor:
    """Filters for bands from filters for RGB.

    Bands that show red, green or blue get the filters of their colour, all others the mean of the
    three; then all are multiplied by 3 / C, so that C like bands excite the layer as three did.
    (Repeating filters and rescaling them so is how Carreira & Zisserman 2017 inflate filters to
    video, and how timm's ``adapt_input_conv`` meets other channel counts, there without regard to
    what the channels show.)

    Args:
        weight: ``(filters, 3, h, w)`` for red, green, blue.
        bands: C names.

    Returns:
        ``(filters, C, h, w)``.
    """
    mean = weight.mean(dim=1)
    planes = [
        weight[:, COLOURS.index(band)] if band in COLOURS else mean
        for band in map(common_name, bands)
    ]
    return torch.stack(planes, dim=1) * (3 / len(bands))
