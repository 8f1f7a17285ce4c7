"""An encoder made without torch: mean colour through one linear layer for each output."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from terrahash.encoder import Encoder
from terrahash.imagery.bands import Bands
from terrahash.imagery.preprocessing import Preprocessing

SIZE = 32
HASH_BITS = 11
CLASSES = ("field", "harbour", "river")


def tiny_model(seed: int = 0, channels: int = 3) -> bytes:
    """An ONNX network: mean colour of each image through one linear layer for each output."""
    rng = np.random.default_rng(seed)
    weights = {
        "to_bits": rng.normal(size=(channels, HASH_BITS)).astype(np.float32),
        "to_classes": rng.normal(size=(channels, len(CLASSES))).astype(np.float32),
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
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", channels, SIZE, SIZE])],
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


def tiny_encoder(seed: int = 0, bands: Bands | None = None) -> Encoder:
    """An encoder with all parts, of RGB or of other bands."""
    files = {"weights.safetensors": b"weights", "README.md": b"# card"}
    card = tiny_card()
    channels = 3 if bands is None else len(bands)
    if bands is not None:
        prepared = Preprocessing(SIZE, (127.5,) * channels, (127.5,) * channels, bands)
        card["preprocessing"] = prepared.to_json()
    return Encoder.create(card, tiny_model(seed, channels), files)
