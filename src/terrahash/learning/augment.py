"""Augmentation for images taken from above: there is no up, and the light changes."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

# Side of the crop relative to the tile, drawn log-uniformly.
CROP_SCALE = (0.65, 1.0)
CROP_RATIO = (0.85, 1.18)
# Brightness, contrast and saturation are scaled by 1 ± this.
LIGHT = 0.25


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Random flips, quarter turns, crops and light for a batch.

    Flip, turn and crop are one affine map, so that pixels are interpolated once.

    Args:
        images: ``(B, C, S, S) float32`` in 0…255.
        generator: a CPU generator; the same state gives the same images.

    Returns:
        ``(B, C, S, S) float32`` in 0…255.
    """
    count, device = len(images), images.device
    grid = functional.affine_grid(
        _affine(count, generator).to(device), list(images.shape), align_corners=False
    )
    images = functional.grid_sample(
        images,
        grid.to(images.dtype),
        mode="bilinear",
        padding_mode="reflection",
        align_corners=False,
    )
    return _light(images, generator)


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator) * (high - low) + low


def _affine(count: int, generator: torch.Generator) -> Tensor:
    """``(B, 2, 3)`` maps from output to input coordinates in −1…1."""
    area = torch.exp(_uniform(count, math.log(CROP_SCALE[0]), math.log(CROP_SCALE[1]), generator))
    ratio = torch.exp(
        0.5 * _uniform(count, math.log(CROP_RATIO[0]), math.log(CROP_RATIO[1]), generator)
    )
    width, height = (area * ratio).clamp(max=1), (area / ratio).clamp(max=1)
    flip = torch.randint(0, 2, (count,), generator=generator) * 2.0 - 1
    quarter = torch.randint(0, 4, (count,), generator=generator) * (math.pi / 2)
    cosine, sine = torch.cos(quarter).round(), torch.sin(quarter).round()
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = width * cosine * flip, -width * sine
    theta[:, 1, 0], theta[:, 1, 1] = height * sine * flip, height * cosine
    theta[:, 0, 2] = (1 - width) * _uniform(count, -1, 1, generator)
    theta[:, 1, 2] = (1 - height) * _uniform(count, -1, 1, generator)
    return theta


def _light(images: Tensor, generator: torch.Generator) -> Tensor:
    count = len(images)
    brightness, contrast, saturation = (
        _uniform(count, 1 - LIGHT, 1 + LIGHT, generator).to(images)[:, None, None, None]
        for _ in range(3)
    )
    images = images * brightness
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    images = (images - mean) * contrast + mean
    if images.shape[1] != 3:  # what bands beyond colours differ by is what they are there for
        return images.clamp(0, 255)
    grey = images.mean(dim=1, keepdim=True)
    return ((images - grey) * saturation + grey).clamp(0, 255)
