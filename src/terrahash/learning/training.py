"""From a labelled data set to an encoder."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from terrahash.cache import cache_folder
from terrahash.datasets import Dataset, Split
from terrahash.encoder import Encoded, Encoder
from terrahash.encoder.encoder import WEIGHTS
from terrahash.errors import DatasetError, InputError
from terrahash.learning.backbones import DEFAULT_BACKBONE, DEFAULT_SIZE, Backbone, load_backbone
from terrahash.learning.card import with_validation
from terrahash.learning.checkpoint import Checkpoint
from terrahash.learning.export import check_export, to_onnx
from terrahash.learning.features import extract_features
from terrahash.learning.inputs import FeatureInputs, ImageInputs, Inputs
from terrahash.learning.loop import Epoch, encode, fit
from terrahash.learning.methods import make_method
from terrahash.learning.methods.base import Method, Mode, Problem, Recipe, Variant
from terrahash.learning.model import ExportedNetwork, HashNetwork
from terrahash.learning.validation import validate
from terrahash.progress import Reporter, Silent

MODES = ("frozen", "finetune")
# Fine-tuning runs at a smaller size by default: half the work for the same retrieval quality.
FINETUNE_SIZE = 192


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How to train, beside the data.

    Attributes:
        method: name of a hashing method.
        bits: of the stored code, label bits included.
        variant: ``corrected`` or ``published``.
        mode: ``frozen`` trains a head on fixed backbone features, ``finetune`` the whole network.
        backbone: name of a timm architecture.
        weights: safetensors file, ``"timm"``, ``"none"``, or None for the default place.
        size: side of the network's input in pixels, or None for the mode's default.
        epochs: instead of the method's own number.
        seed: of every random choice.
        device: ``"cpu"``, ``"cuda"``, or None for the best there is.

    Raises:
        InputError: if a value is none of the allowed ones.
    """

    method: str = "dhcl"
    bits: int = 64
    variant: Variant = "corrected"
    mode: Mode = "frozen"
    backbone: str = DEFAULT_BACKBONE
    weights: str | None = None
    size: int | None = None
    epochs: int | None = None
    seed: int = 0
    device: str | None = None

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise InputError(f"unknown mode '{self.mode}'", f"choose one of: {', '.join(MODES)}")
        if self.epochs is not None and self.epochs < 1:
            raise InputError(f"{self.epochs} epochs train nothing", "choose at least 1")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise InputError("no CUDA device is available", "leave out --device, or choose cpu")

    @property
    def input_size(self) -> int:
        """Side of the network's input in pixels."""
        return self.size or (DEFAULT_SIZE if self.mode == "frozen" else FINETUNE_SIZE)


def train(
    dataset: Dataset,
    split: Split,
    *,
    reporter: Reporter | None = None,
    numbers: Method | None = None,
    **options: Any,
) -> Encoder:
    """Train an encoder on the ``fit`` part of a split, choosing by its ``validation`` part.

    The same data, split, options and seed give the same codes on the same machine. Interrupted
    training is resumed by calling it again with the same arguments.

    Args:
        dataset: labelled images.
        split: of that data set.
        reporter: is told of the progress.
        numbers: a method with other numbers than its defaults; its name and variant count.
        **options: see :class:`TrainingOptions`.

    Raises:
        DatasetError: if the data set has no labels or the split belongs to another one.
        InputError: for an unknown method, or bits too few for it.
        TrainingError: if weights do not fit or cannot be had, a loss is not finite, or the export
            does not agree with the network.
    """
    chosen = TrainingOptions(**options)
    reporter = reporter or Silent()
    started = time.perf_counter()
    split.check(dataset)
    if dataset.labels is None:
        raise DatasetError(
            f"{dataset.root} has no classes to learn from", "put images into one folder a class"
        )
    method = numbers or make_method(chosen.method, chosen.variant)
    targets = dataset.targets
    fit_indices, validation_indices = split.indices("fit"), split.indices("validation")
    device = torch.device(chosen.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    backbone = load_backbone(chosen.backbone, chosen.weights, size=chosen.input_size)
    layout = method.layout(chosen.bits, len(dataset.class_names))
    problem = Problem(backbone.features, layout, targets[fit_indices])
    recipe = method.recipe(chosen.mode)
    if chosen.epochs is not None:
        recipe = dataclasses.replace(recipe, epochs=chosen.epochs)

    everything = dataset.subset(np.concatenate([fit_indices, validation_indices]))
    inputs = _inputs(everything, backbone, chosen.mode, device, reporter)
    torch.manual_seed(chosen.seed)
    network = HashNetwork(backbone.module, method.head(problem), frozen=chosen.mode == "frozen").to(
        device, memory_format=torch.channels_last
    )  # type: ignore[call-overload]
    objective = method.objective(problem).to(device)
    generator = torch.Generator().manual_seed(chosen.seed)
    bfloat16 = chosen.mode == "finetune" and has_bfloat16(device)
    label_codes = method.label_codes(layout, len(dataset.class_names))
    validation_rows = torch.arange(len(fit_indices), len(everything))
    validation_targets = targets[validation_indices]

    def encode_validation() -> Encoded:
        return encode(network, inputs, validation_rows, problem, label_codes, bfloat16=bfloat16)

    def score() -> float:
        return validate(encode_validation(), validation_targets, layout).score

    stage = f"training {method.title}"

    def report(epoch: Epoch) -> None:
        terms = "  ".join(f"{name} {value:.3f}" for name, value in epoch.terms.items())
        score = "" if epoch.score is None else f"  validation mAP {epoch.score:.3f}"
        reporter.advance(
            stage,
            epoch.number + 1,
            recipe.epochs,
            f"{terms}{score}  {epoch.images_per_second:.0f} images/s",
        )

    configuration = _configuration(everything, split, chosen, method, recipe, backbone)
    checkpoint = _checkpoint(configuration)
    history = fit(
        network,
        objective,
        method=method,
        recipe=recipe,
        problem=problem,
        inputs=inputs,
        generator=generator,
        bfloat16=bfloat16,
        validate=score if len(validation_indices) > 1 else None,
        checkpoint=checkpoint,
        report=report,
    )
    reporter.advance(stage, recipe.epochs, recipe.epochs)
    seconds = time.perf_counter() - started
    reporter.note("exporting to ONNX and comparing it with torch")
    network = network.cpu()
    exported = ExportedNetwork(network)
    model = to_onnx(exported, backbone.preprocessing.size, exported.outputs)
    difference = check_export(exported, model, backbone.preprocessing, everything.paths)
    card: dict[str, Any] = {
        "method": method.name,
        "variant": method.variant,
        "mode": chosen.mode,
        "backbone": backbone.name,
        "weights": backbone.weights,
        "layout": layout.to_json(),
        "label_codes": ["".join("01"[bit] for bit in code) for code in label_codes.astype(int)],
        "classes": list(dataset.class_names),
        "preprocessing": backbone.preprocessing.to_json(),
        "dataset": dataset.name,
        "split_hash": split.hash,
        "split_rule": split.rule,
        "split_seed": split.seed,
        "images": {"fit": len(fit_indices), "validation": len(validation_indices)},
        "seed": chosen.seed,
        "numbers": dataclasses.asdict(method),
        "recipe": dataclasses.asdict(recipe),
        "epochs": history.to_json(),
        "best_epoch": history.best,
        "export_difference": difference,
        "seconds": round(seconds, 1),
        "device": device.type,
        "versions": versions(),
    }
    files: dict[str, bytes | Path] = {WEIGHTS: _weights(network)}
    held_out = dataset.subset(validation_indices)
    encoder = with_validation(Encoder.create(card, model, files), held_out)
    checkpoint.remove()
    return encoder


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware, faster than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def versions() -> dict[str, str]:
    """What a result depends on beside data and options."""
    packages = ("terrahash", "numpy", "torch", "timm", "onnxruntime", "pillow")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def _inputs(
    dataset: Dataset, backbone: Backbone, mode: Mode, device: torch.device, reporter: Reporter
) -> Inputs:
    if mode == "frozen":
        features = extract_features(
            backbone,
            dataset.paths,
            dataset.digests(),
            progress=lambda done, total: reporter.advance("features", done, total),
        )
        return FeatureInputs(features, device)
    return ImageInputs(
        dataset.paths,
        backbone.preprocessing,
        device,
        progress=lambda done, total: reporter.advance("reading images", done, total),
    )


def _configuration(
    dataset: Dataset,
    split: Split,
    options: TrainingOptions,
    method: Method,
    recipe: Recipe,
    backbone: Backbone,
) -> dict[str, Any]:
    return {
        "data": hashlib.sha256("".join(dataset.digests()).encode()).hexdigest(),
        "split": split.hash,
        "options": dataclasses.asdict(options),
        "method": {"name": method.name, **dataclasses.asdict(method)},
        "recipe": dataclasses.asdict(recipe),
        "backbone": backbone.identity,
        "preprocessing": backbone.preprocessing.to_json(),
        "versions": versions(),
    }


def _checkpoint(configuration: dict[str, Any]) -> Checkpoint:
    canonical = json.dumps(configuration, sort_keys=True)
    name = hashlib.sha256(canonical.encode()).hexdigest()[:24]
    return Checkpoint(cache_folder() / "checkpoints" / f"{name}.safetensors", configuration)


def _weights(network: HashNetwork) -> bytes:
    from safetensors.torch import save

    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    data: bytes = save(state)
    return data
