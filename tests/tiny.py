"""An encoder made without torch: mean colour through one linear layer for each output."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from terrahash.encoder import Encoder

SIZE = 32
HASH_BITS = 11
CLASSES = ("field", "harbour", "river")


def tiny_model(seed: int = 0) -> bytes:
    """An ONNX network: mean colour of each image through one linear layer for each output."""
    rng = np.random.default_rng(seed)
    weights = {
        "to_bits": rng.normal(size=(3, HASH_BITS)).astype(np.float32),
        "to_classes": rng.normal(size=(3, len(CLASSES))).astype(np.float32),
    }
    axes = helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3])
    nodes = [
        helper.make_node("ReduceMean", ["images", "axes"], ["colour"], keepdims=0),
        helper.make_node("MatMul", ["colour", "to_bits"], ["activations"]),
        helper.make_node("MatMul", ["colour", "to_classes"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, SIZE, SIZE])],
        [
            helper.make_tensor_value_info("activations", TensorProto.FLOAT, ["n", HASH_BITS]),
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", len(CLASSES)]),
        ],
        [axes, *(onnx.numpy_helper.from_array(w, name) for name, w in weights.items())],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8, producer_name="test"
    )
    data: bytes = model.SerializeToString()
    return data


def tiny_card() -> dict[str, object]:
    """The card of an encoder with 11 hash bits and 2 label bits."""
    return {
        "method": "test",
        "layout": {"hash_bits": HASH_BITS, "label_bits": 2, "label_weight": 1.0},
        "label_codes": ["00", "01", "10"],
        "classes": list(CLASSES),
        "preprocessing": {"size": SIZE, "mean": [127.5] * 3, "std": [127.5] * 3},
    }


def tiny_encoder(seed: int = 0) -> Encoder:
    """An encoder with all parts."""
    files = {"weights.safetensors": b"weights", "README.md": b"# card"}
    return Encoder.create(tiny_card(), tiny_model(seed), files)
