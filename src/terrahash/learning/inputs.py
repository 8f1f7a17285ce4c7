"""Where a training step gets its input from: cached features, or images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from terrahash.imagery.preprocessing import Preprocessing
from terrahash.learning.augment import augment
from terrahash.machine import available_cores

# Resized images are kept in memory up to this; beyond it they are decoded anew each epoch.
MEMORY_LIMIT = 4 * 1024**3


class Inputs(Protocol):
    """Network input for training images, by position."""

    def __len__(self) -> int: ...

    def clean(self, indices: Tensor) -> Tensor:
        """Input as at inference."""

    def augmented(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        """Input for a training step."""


class FeatureInputs:
    """Cached backbone features, ``(N, D) float32``; they are not augmented."""

    def __init__(self, features: NDArray[np.float32], device: torch.device) -> None:
        self._features = torch.from_numpy(features).to(device)

    def __len__(self) -> int:
        return len(self._features)

    def clean(self, indices: Tensor) -> Tensor:
        return self._features[indices.to(self._features.device)]

    def augmented(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        return self.clean(indices)


class ImageInputs:
    """Images, resized once, normalised as at inference, augmented for training.

    Args:
        paths: N image files.
        preprocessing: of the network.
        device: where the network is.
        progress: called with (images done, images in all) while they are read into memory.

    Raises:
        ImageError: for the first image that cannot be read.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        preprocessing: Preprocessing,
        device: torch.device,
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self._paths = list(paths)
        self._preprocessing = preprocessing
        self._device = device
        self._pool = ThreadPoolExecutor(available_cores(), thread_name_prefix="decode")
        self._mean = torch.tensor(preprocessing.mean, device=device)[:, None, None]
        self._std = torch.tensor(preprocessing.std, device=device)[:, None, None]
        self._pixels: Tensor | None = None
        shape = len(paths), preprocessing.size, preprocessing.size, preprocessing.channels
        if math.prod(shape) <= MEMORY_LIMIT:
            pixels = np.empty(shape, np.uint8)
            for done, image in enumerate(self._pool.map(self._read, range(len(paths)))):
                pixels[done] = image
                if progress is not None:
                    progress(done + 1, len(paths))
            self._pixels = torch.from_numpy(pixels).to(device)

    def __len__(self) -> int:
        return len(self._paths)

    def _read(self, index: int) -> NDArray[np.uint8]:
        return self._preprocessing.resize(self._preprocessing.read(self._paths[index]))

    def _images(self, indices: Tensor) -> Tensor:
        """``(B, C, S, S) float32`` in 0…255, channels last in memory."""
        if self._pixels is not None:
            pixels = self._pixels[indices.to(self._device)]
        else:
            pixels = torch.from_numpy(np.stack(list(self._pool.map(self._read, indices.tolist()))))
        return pixels.to(self._device).permute(0, 3, 1, 2).float()

    def clean(self, indices: Tensor) -> Tensor:
        return (self._images(indices) - self._mean) / self._std

    def augmented(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        images = augment(self._images(indices), generator)
        return ((images - self._mean) / self._std).contiguous(memory_format=torch.channels_last)
