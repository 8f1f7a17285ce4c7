"""Small problems that every method can be tried on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from terrahash.codes import CodeLayout
from terrahash.learning.heads import HashOutput
from terrahash.learning.methods.base import Batch, Problem


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """These matrices are too small to share; on a busy machine threads wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make_problem(
    labels: NDArray[np.int64], *, classes: int, layout: CodeLayout, features: int = 12
) -> Problem:
    """A problem of images with one class each."""
    return Problem(features, layout, np.asarray(labels[:, None] == np.arange(classes)))


def output_of(activations: torch.Tensor, logits: torch.Tensor | None = None) -> HashOutput:
    """A head's output with these activations."""
    return HashOutput(torch.atanh(activations.clamp(-1 + 1e-9, 1 - 1e-9)), activations, logits)


def batch_of(problem: Problem, rows: list[int] | torch.Tensor) -> Batch:
    """Those training images as a batch."""
    indices = torch.as_tensor(rows)
    return Batch(torch.from_numpy(problem.targets)[indices], indices)


@pytest.fixture
def balanced() -> Problem:
    """Six classes of ten images, 16 bits."""
    return make_problem(np.repeat(np.arange(6), 10), classes=6, layout=CodeLayout(16))


@pytest.fixture
def label_sets() -> Problem:
    """60 images with one or two of six classes, 16 bits."""
    targets = np.zeros((60, 6), bool)
    rows = np.arange(60)
    targets[rows, rows % 6] = True
    targets[rows[::3], (rows[::3] + 2) % 6] = True
    return Problem(12, CodeLayout(16), targets)
