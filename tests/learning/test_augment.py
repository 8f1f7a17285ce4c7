"""Augmentation."""

from __future__ import annotations

import pytest
import torch

from terrahash.learning import augment as module
from terrahash.learning.augment import augment


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_same_seed_same_images() -> None:
    images = torch.rand(4, 3, 32, 32, generator=generator()) * 255
    first, again, other = (augment(images, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == images.shape
    assert float(first.min()) >= 0
    assert float(first.max()) <= 255


def test_without_crop_and_light_only_the_eight_symmetries_are_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "CROP_SCALE", (1.0, 1.0))
    monkeypatch.setattr(module, "CROP_RATIO", (1.0, 1.0))
    monkeypatch.setattr(module, "LIGHT", 0.0)
    image = torch.rand(1, 3, 16, 16, generator=generator()) * 255
    turned = [
        torch.rot90(flipped, turn, (2, 3))
        for turn in range(4)
        for flipped in (image, image.flip(3))
    ]
    seen = set()
    for one in augment(image.expand(64, -1, -1, -1), generator(3)):
        matches = [n for n, each in enumerate(turned) if torch.allclose(one, each[0], atol=1e-2)]
        assert len(matches) == 1
        seen.add(matches[0])
    assert seen == set(range(8))


def test_crops_stay_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIGHT", 0.0)
    ramp = torch.arange(32.0).expand(3, 32, 32)[None] * 8
    cropped = augment(ramp.expand(32, -1, -1, -1), generator())
    assert float(cropped.min()) >= 0
    assert float(cropped.max()) <= 31 * 8 + 1e-3
    spans = cropped.amax(dim=(1, 2, 3)) - cropped.amin(dim=(1, 2, 3))
    assert float(spans.min()) > 0.6 * 31 * 8
