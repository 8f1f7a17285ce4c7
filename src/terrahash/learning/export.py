"""From a torch module to a serialized ONNX network, and the check that both agree."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from terrahash.encoder.network import Network
from terrahash.errors import TrainingError
from terrahash.imagery.preprocessing import Preprocessing

# Largest difference of an activation between torch and onnxruntime that an export may show.
TOLERANCE = 1e-4
CHECKED_IMAGES = 32


def to_onnx(module: nn.Module, preprocessing: Preprocessing, outputs: Sequence[str]) -> bytes:
    """Serialize a module from ``images (N, channels, size, size)`` to the named outputs.

    Args:
        module: in evaluation mode, on the CPU.
        preprocessing: that makes its input.
        outputs: names of the outputs, in order.
    """
    size = preprocessing.size
    example = torch.zeros(2, preprocessing.channels, size, size)
    exporter_log = logging.getLogger("torch.onnx")
    level = exporter_log.level
    exporter_log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module.eval(),
                (example,),
                dynamo=True,
                verbose=False,
                input_names=["images"],
                output_names=list(outputs),
                dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            )
        if program is None:
            raise TrainingError("the ONNX exporter returned nothing", "report this as a bug")
        proto = program.model_proto
        _forget_origins(proto)
        serialized: bytes = proto.SerializeToString()
        return serialized
    finally:
        exporter_log.setLevel(level)


def _forget_origins(proto: Any) -> None:
    """Remove the stack traces that the exporter notes: they name folders of this machine, and would
    make the fingerprint of the same network depend on where it was trained."""
    graphs = [proto.graph, *proto.functions]
    for graph in graphs:
        values = [*graph.value_info]
        if graph is proto.graph:
            values += [*graph.input, *graph.output, *graph.initializer]
        for part in (graph, *graph.node, *values):
            part.ClearField("metadata_props")
            part.ClearField("doc_string")


def check_export(
    module: nn.Module,
    model: bytes,
    preprocessing: Preprocessing,
    paths: Sequence[Path],
) -> float:
    """Compare torch and onnxruntime on real images.

    Args:
        module: the torch network, giving a tuple whose first output are the activations.
        model: its ONNX export.
        preprocessing: of both.
        paths: images to compare on; up to 32 evenly spread ones are taken.

    Returns:
        The largest absolute difference of an activation.

    Raises:
        TrainingError: if activations differ by more than 1e-4, or a bit differs whose activation
            is not within 1e-4 of zero.
    """
    step = max(1, len(paths) // CHECKED_IMAGES)
    images = np.concatenate([preprocessing(preprocessing.read(path)) for path in paths[::step]])
    with torch.no_grad():
        expected: NDArray[np.float32] = module.eval()(torch.from_numpy(images))[0].numpy()
    network = Network(model, preprocessing)
    actual = np.concatenate([network.run(image[None])[0] for image in images])
    difference = float(np.abs(expected - actual).max())
    flipped = ((expected >= 0) != (actual >= 0)) & (np.abs(expected) > TOLERANCE)
    if difference > TOLERANCE or flipped.any():
        raise TrainingError(
            f"the exported network differs from the trained one by {difference:.2e} "
            f"({int(flipped.sum())} bits) on {len(images)} images",
            "this is a fault of the export for this backbone; please report it",
        )
    return difference
