"""What all tests share: a cache of their own, and real data where there is some."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder that nobody else uses."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["TERRAHASH_CACHE"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def ucmerced_root() -> Path:
    """The folder of UC Merced's classes."""
    root = Path(os.environ.get("TERRAHASH_DATA", "")) / "UCMerced_LandUse" / "Images"
    if not root.is_dir():
        pytest.skip("real data: set TERRAHASH_DATA to a folder with UCMerced_LandUse")
    return root


@pytest.fixture(scope="session")
def weights() -> Path:
    """Pretrained MobileNetV2 weights."""
    folder = os.environ.get("TERRAHASH_WEIGHTS", "")
    found = sorted(Path(folder).glob("mobilenetv2_100.*safetensors")) if folder else []
    if not found:
        pytest.skip("pretrained weights: set TERRAHASH_WEIGHTS to a folder with them")
    return found[0]


def pattern(kind: int, seed: int, size: int = 48) -> NDArray[np.uint8]:
    """A striped, checked, spotted or plain ``(size, size, 3) uint8`` image with noise."""
    rng = np.random.default_rng([kind, seed])
    y, x = np.mgrid[:size, :size] + rng.integers(0, 8)
    value = [(x // 4) % 2, ((x // 6) + (y // 6)) % 2, (y // 4) % 2, (x * y // 64) % 2][kind]
    colour = rng.uniform(60, 200, 3)
    image = value[..., None] * colour + rng.normal(0, 12, (size, size, 3)) + 30
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of four classes with twenty small tiles each."""
    root = tmp_path_factory.mktemp("tiles")
    for kind, name in enumerate(("columns", "checks", "rows", "curves")):
        (root / name).mkdir()
        for seed in range(20):
            Image.fromarray(pattern(kind, seed)).save(root / name / f"{name}{seed:02d}.png")
    return root
