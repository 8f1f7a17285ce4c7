"""An encoder in 8-bit integers: smaller, faster, and how far its codes are from the original's."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terrahash.codes import unpack
from terrahash.datasets import Dataset, Split
from terrahash.encoder import Encoder
from terrahash.encoder.encoder import WEIGHTS
from terrahash.errors import InputError, MissingExtraError
from terrahash.learning.card import with_validation

# Images whose activations give the ranges of the integers; spread evenly over those fitted to.
CALIBRATION_IMAGES = 128


def quantize(encoder: Encoder, dataset: Dataset, split: Split) -> Encoder:
    """The encoder with weights and activations in 8 bits.

    Static quantisation by onnxruntime: a scale for each output channel of the weights, and for each
    activation the range that it takes on images that the encoder was fitted to. The validation
    images then say how good it is: the card has their numbers beside those of the original under
    ``quantization``, and the distance → precision curve anew. Its codes are not the original's:
    archives know it as another encoder.

    Args:
        encoder: as trained.
        dataset: that it was trained on.
        split: that it was trained with.

    Raises:
        InputError: if it is quantised already, or was trained with another split.
        DatasetError: if the split does not fit the data set.
        MissingExtraError: if the extra ``train`` is not installed.
    """
    if encoder.card.get("quantization"):
        raise InputError("the encoder is in 8 bits already", "quantise the one it was made from")
    split.check(dataset)
    if encoder.card.get("split_hash") not in (None, split.hash):
        raise InputError(
            f"the encoder was trained on other images than this split of '{dataset.name}' "
            f"(its own is {encoder.card['split_hash']} of '{encoder.card.get('dataset')}')",
            "give the data set and the split that it was trained with",
        )
    fitted = split.indices("fit")
    step = max(1, len(fitted) // CALIBRATION_IMAGES)
    calibration = [dataset.paths[row] for row in fitted[::step][:CALIBRATION_IMAGES]]
    inputs = (encoder.preprocessing(encoder.read(path)) for path in calibration)
    model = quantized_model(encoder.model, inputs)
    card: dict[str, Any] = {**encoder.card, "quantization": None}
    files = {name: content for name, content in encoder.files.items() if name != WEIGHTS}
    bare = Encoder.create(card, model, files)
    held_out = dataset.subset(split.indices("validation"))
    shown = held_out.paths or tuple(calibration)
    card["quantization"] = {
        "of": encoder.fingerprint,
        "calibration_images": len(calibration),
        "compared_images": len(shown),
        "equal_bits": equal_bits(encoder, bare, shown),
        "validation": encoder.card.get("validation"),
    }
    return with_validation(Encoder.create(card, model, files), held_out)


def equal_bits(one: Encoder, other: Encoder, paths: Iterable[Path]) -> float:
    """Share of the bits of images' codes that two encoders of one layout agree on."""
    paths = list(paths)
    codes = [unpack(encoder.encode_files(paths).codes, encoder.bits) for encoder in (one, other)]
    return float((codes[0] == codes[1]).mean())


def quantized_model(model: bytes, inputs: Iterable[NDArray[np.float32]]) -> bytes:
    """An ONNX network with 8-bit weights and activations.

    Args:
        model: the network, with the input ``images``.
        inputs: ``(1, C, size, size) float32`` each, typical ones.

    Raises:
        MissingExtraError: if ``onnx`` is not installed.
    """
    try:
        from onnxruntime import quantization
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError as error:
        raise MissingExtraError("quantising", "train", error.name or "onnx") from None

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._inputs: Iterator[NDArray[np.float32]] = iter(inputs)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            images = next(self._inputs, None)
            return None if images is None else {"images": images}

    log = logging.getLogger()
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with tempfile.TemporaryDirectory(prefix="terrahash-") as folder:
            plain, prepared, finished = (Path(folder, f"{name}.onnx") for name in "abc")
            plain.write_bytes(model)
            quant_pre_process(plain, prepared, skip_symbolic_shape=True)
            quantization.quantize_static(
                prepared,
                finished,
                Reader(),
                quant_format=quantization.QuantFormat.QDQ,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                per_channel=True,
            )
            return finished.read_bytes()
    finally:
        log.setLevel(level)
