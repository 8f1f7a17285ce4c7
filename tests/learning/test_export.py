"""ONNX export and its check."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from terrahash.datasets import Dataset
from terrahash.encoder.network import Network
from terrahash.errors import TrainingError
from terrahash.imagery.preprocessing import Preprocessing
from terrahash.learning.export import check_export, to_onnx


class Linear(nn.Module):
    """Mean colour to four activations."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(3, 4)
        self.scale = scale

    def forward(self, images: Tensor) -> tuple[Tensor]:
        return (self.layer(images.mean(dim=(2, 3))) * self.scale,)


def test_export_takes_any_batch_and_agrees(small: Dataset) -> None:
    preprocessing = Preprocessing(32)
    model = to_onnx(Linear(), Preprocessing(32), ["activations"])
    network = Network(model, preprocessing)
    for count in (1, 2, 5):
        images = np.random.default_rng(0).normal(size=(count, 3, 32, 32)).astype(np.float32)
        with torch.no_grad():
            expected = Linear()(torch.from_numpy(images))[0].numpy()
        np.testing.assert_allclose(network.run(images)[0], expected, atol=1e-6)
    assert check_export(Linear(), model, preprocessing, small.paths) < 1e-6


def test_an_export_that_differs_is_refused(small: Dataset) -> None:
    model = to_onnx(Linear(1.01), Preprocessing(32), ["activations"])
    with pytest.raises(TrainingError, match="differs"):
        check_export(Linear(), model, Preprocessing(32), small.paths)


def test_the_network_does_not_say_where_it_was_made() -> None:
    model = to_onnx(Linear(), Preprocessing(32), ["activations"])
    for folder in (Path(__file__).parents[2], Path(torch.__file__).parents[1]):
        assert str(folder).encode() not in model
