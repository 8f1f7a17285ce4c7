"""From a labelled data set to an encoder."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from terrahash.cache import cache_folder
from terrahash.datasets import Dataset, Split
from terrahash.encoder import Encoded, Encoder
from terrahash.encoder.encoder import SPLIT, WEIGHTS
from terrahash.encoder.learned import LEARNED, LearnedDatabase
from terrahash.errors import DatasetError, InputError
from terrahash.learning.backbones import DEFAULT_BACKBONE, DEFAULT_SIZE, Backbone, load_backbone
from terrahash.learning.bands import bands_of
from terrahash.learning.card import with_validation
from terrahash.learning.checkpoint import Checkpoint
from terrahash.learning.export import check_export, to_onnx
from terrahash.learning.features import extract_features
from terrahash.learning.inputs import FeatureInputs, ImageInputs, Inputs
from terrahash.learning.loop import Epoch, History, Run, Score, fit
from terrahash.learning.methods import METHODS, make_method
from terrahash.learning.methods.base import Method, Mode, Problem, Recipe, Variant
from terrahash.learning.model import ExportedNetwork, HashNetwork
from terrahash.learning.processes import Processes, joined
from terrahash.learning.validation import collapse, validate
from terrahash.machine import installed_versions
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
        bands: of the images, by name or number, or ``("all",)``; None takes pictures as RGB and
            all bands of rasters that are none.
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
    bands: tuple[str, ...] | None = None
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
        DatasetError: if the data set is not fit for the method (no labels, classes too small, label
            sets) or the split belongs to another one.
        InputError: for an unknown method, or bits too few for it.
        TrainingError: if weights do not fit or cannot be had, a loss is not finite from the start,
            or the export does not agree with the network.
    """
    chosen = TrainingOptions(**options)
    started = time.perf_counter()
    plan = plan_training(dataset, split, chosen, numbers=numbers)
    with joined(plan.device) as processes:
        shown = reporter if reporter is not None and processes.is_first else Silent()
        inputs = _inputs(plan, shown, processes)
        checkpoint = _checkpoint(plan)
        fitted = fit_network(
            plan, inputs, reporter=shown, checkpoint=checkpoint, processes=processes
        )
    encoder = _exported(fitted, time.perf_counter() - started, shown)
    checkpoint.remove()
    return encoder


@dataclass(frozen=True, eq=False, kw_only=True)
class Plan:
    """A training that can start: all that its result depends on, checked.

    Attributes:
        fit_rows, validation_rows: numbers of those images in the data set.
    """

    options: TrainingOptions
    dataset: Dataset
    split: Split
    method: Method
    recipe: Recipe
    backbone: Backbone
    problem: Problem
    fit_rows: NDArray[np.int64]
    validation_rows: NDArray[np.int64]

    @cached_property
    def images(self) -> Dataset:
        """The images to fit to, then those for validation."""
        return self.dataset.subset(np.concatenate([self.fit_rows, self.validation_rows]))

    @cached_property
    def label_codes(self) -> NDArray[np.bool_]:
        """``(C, label_bits) bool``: the label bits of each class."""
        return self.method.label_codes(self.problem.layout, len(self.dataset.class_names))

    @property
    def device(self) -> torch.device:
        """Where to train."""
        name = self.options.device or ("cuda" if torch.cuda.is_available() else "cpu")
        return torch.device(name)

    @property
    def bfloat16(self) -> bool:
        """Whether the network is run in bfloat16."""
        return self.options.mode == "finetune" and has_bfloat16(self.device)

    def configuration(self) -> dict[str, Any]:
        """All that the result depends on but the versions of what computes it, JSON-ready."""
        return {
            "data": hashlib.sha256("".join(self.images.digests()).encode()).hexdigest(),
            "split": self.split.hash,
            "options": dataclasses.asdict(self.options),
            "method": {"name": self.method.name, **dataclasses.asdict(self.method)},
            "recipe": dataclasses.asdict(self.recipe),
            "backbone": self.backbone.identity,
            "preprocessing": self.backbone.preprocessing.to_json(),
        }


@dataclass(frozen=True, eq=False)
class Fitted:
    """A trained network, not yet exported, with the weights of its best epoch.

    Attributes:
        warnings: what a user should know before trusting it.
    """

    plan: Plan
    run: Run
    history: History
    warnings: tuple[str, ...]

    @property
    def network(self) -> HashNetwork:
        """What was trained."""
        return self.run.network

    def encode(self, inputs: Inputs) -> Encoded:
        """Codes of all inputs, in order."""
        run = dataclasses.replace(self.run, inputs=inputs, processes=Processes())
        return run.encode(torch.arange(len(inputs)), self.plan.label_codes)

    def learned_database(self) -> LearnedDatabase | None:
        """The codes learned for the training images, where the method learns them; those of the
        validation images are assigned by their labels."""
        plan, fitted = self.plan, len(self.plan.fit_rows)
        digests = np.array([list(bytes.fromhex(each)) for each in plan.images.digests()], np.uint8)
        table = self.run.objective.database(digests[:fitted])
        if table is None or len(digests) == fitted:
            return table
        return table.extended(digests[fitted:], targets_of(plan.dataset)[plan.validation_rows])


def plan_training(
    dataset: Dataset,
    split: Split,
    options: TrainingOptions,
    *,
    numbers: Method | None = None,
    backbone: Backbone | None = None,
) -> Plan:
    """Check that a training can start.

    Args:
        dataset: labelled images.
        split: of that data set.
        options: how to train.
        numbers: a method with other numbers than its defaults; its name and variant count.
        backbone: one that is loaded already, at the size that the options ask for.

    Raises:
        DatasetError: if the data set has no labels or the split belongs to another one.
        InputError: for an unknown method, or bits too few for it.
        TrainingError: if weights do not fit or cannot be had.
    """
    split.check(dataset)
    method = numbers or make_method(options.method, options.variant)
    if dataset.labels is None and method.needs_labels:
        free = ", ".join(name for name, each in METHODS.items() if not each.needs_labels)
        raise DatasetError(
            f"{dataset.root} has no classes, and {method.title} learns from classes",
            f"put images into one folder a class, or choose a method without labels: {free}",
        )
    layout = method.layout(options.bits, len(dataset.class_names))
    recipe = method.recipe(options.mode)
    if options.epochs is not None:
        recipe = dataclasses.replace(recipe, epochs=options.epochs)
    fit_rows = split.indices("fit")
    if backbone is None:
        statistics = bands_of(dataset.subset(fit_rows).paths, options.bands, dataset.bands)
        backbone = load_backbone(
            options.backbone, options.weights, size=options.input_size, statistics=statistics
        )
    if not backbone.pretrained:
        recipe = dataclasses.replace(recipe, backbone_learning_rate=recipe.learning_rate)
    return Plan(
        options=options,
        dataset=dataset,
        split=split,
        method=method,
        recipe=recipe,
        backbone=backbone,
        problem=Problem(
            backbone.features, layout, targets_of(dataset)[fit_rows], dataset.class_names
        ),
        fit_rows=fit_rows,
        validation_rows=split.indices("validation"),
    )


def targets_of(dataset: Dataset) -> NDArray[np.bool_]:
    """``(N, C) bool`` classes of each image; C is 0 for images without labels."""
    return np.zeros((len(dataset), 0), bool) if dataset.labels is None else dataset.targets


def fit_network(
    plan: Plan,
    inputs: Inputs,
    *,
    reporter: Reporter | None = None,
    checkpoint: Checkpoint | None = None,
    processes: Processes | None = None,
) -> Fitted:
    """Train a network as planned, choosing by its validation images.

    Args:
        plan: what to train.
        inputs: of ``plan.images``, in order; more may follow them.
        reporter: is told of the progress.
        checkpoint: where to save, and to resume from.
        processes: who works on it; by default this process alone.

    Raises:
        DatasetError: if the training images are not fit for the method.
        TrainingError: if a loss is not finite before the first epoch is over.
    """
    reporter = reporter or Silent()
    recipe, device = plan.recipe, plan.device
    torch.manual_seed(plan.options.seed)
    frozen = plan.options.mode == "frozen"
    network = HashNetwork(
        plan.backbone.module if frozen else copy.deepcopy(plan.backbone.module),
        plan.method.head(plan.problem),
        frozen=frozen,
        pretrained=plan.backbone.pretrained,
    ).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    run = Run(
        network=network,
        objective=plan.method.objective(plan.problem).to(device),
        method=plan.method,
        recipe=recipe,
        problem=plan.problem,
        inputs=inputs,
        generator=torch.Generator().manual_seed(plan.options.seed),
        bfloat16=plan.bfloat16,
        processes=processes or Processes(),
    )
    validation_rows = torch.arange(len(plan.fit_rows), len(plan.images))
    validation_targets = targets_of(plan.dataset)[plan.validation_rows]

    def score() -> Score:
        encoded = run.encode(validation_rows, plan.label_codes)
        return validate(encoded, validation_targets, plan.problem.layout).score

    stage = f"training {plan.method.title}"

    def report(epoch: Epoch) -> None:
        terms = "  ".join(f"{name} {value:.3f}" for name, value in epoch.terms.items())
        score = "" if epoch.score is None else f"  validation mAP {epoch.score:.3f}"
        reporter.advance(
            stage,
            epoch.number + 1,
            recipe.epochs,
            f"{terms}{score}  {epoch.images_per_second:.0f} images/s",
        )

    with _threads(1 if plan.options.mode == "frozen" else torch.get_num_threads()):
        history = fit(
            run,
            validate=score if len(validation_rows) > 1 and plan.problem.classes else None,
            checkpoint=checkpoint,
            report=report,
        )
        warnings = [history.stopped] if history.stopped else []
        warnings += collapse(run.encode(run.rows, plan.label_codes), plan.problem)
    for warning in warnings:
        reporter.note(f"warning: {warning}")
    reporter.advance(stage, recipe.epochs, recipe.epochs)
    return Fitted(plan, run, history, tuple(warnings))


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Run torch on that many threads. A head's matrices are too small to share: on a busy machine
    two threads took eight times the processor time of one, and they change the last bits.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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
    return installed_versions("terrahash", "numpy", "torch", "timm", "onnxruntime", "pillow")


def _exported(fitted: Fitted, seconds: float, reporter: Reporter) -> Encoder:
    """The encoder of a trained network, measured on its validation images."""
    reporter.note("exporting to ONNX and comparing it with torch")
    plan, backbone = fitted.plan, fitted.plan.backbone
    network = fitted.network.cpu()
    exported = ExportedNetwork(network)
    model = to_onnx(exported, backbone.preprocessing, exported.outputs)
    difference = check_export(exported, model, backbone.preprocessing, plan.images.paths)
    card: dict[str, Any] = {
        "method": plan.method.name,
        "variant": plan.method.variant,
        "mode": plan.options.mode,
        "backbone": backbone.name,
        "weights": backbone.weights,
        "layout": plan.problem.layout.to_json(),
        "label_codes": [
            "".join("01"[bit] for bit in code) for code in plan.label_codes.astype(int)
        ],
        "classes": list(plan.dataset.class_names),
        "preprocessing": backbone.preprocessing.to_json(),
        "dataset": plan.dataset.name,
        "split_hash": plan.split.hash,
        "split_rule": plan.split.rule,
        "split_seed": plan.split.seed,
        "images": {"fit": len(plan.fit_rows), "validation": len(plan.validation_rows)},
        "seed": plan.options.seed,
        "numbers": dataclasses.asdict(plan.method),
        "recipe": dataclasses.asdict(plan.recipe),
        "epochs": fitted.history.to_json(),
        "best_epoch": fitted.history.best,
        "warnings": list(fitted.warnings),
        "export_difference": difference,
        "seconds": round(seconds, 1),
        "device": plan.device.type,
        "versions": versions(),
    }
    files: dict[str, bytes | Path] = {
        WEIGHTS: _weights(network),
        SPLIT: plan.split.to_text().encode(),
    }
    if (learned := fitted.learned_database()) is not None:
        files[LEARNED] = learned.to_bytes()
    held_out = plan.dataset.subset(plan.validation_rows)
    return with_validation(Encoder.create(card, model, files), held_out)


def _inputs(plan: Plan, reporter: Reporter, processes: Processes) -> Inputs:
    images = plan.images
    if plan.options.mode == "frozen":
        if processes.count > 1:  # each fills its part of the cache that all read afterwards
            part = slice(processes.rank, None, processes.count)
            extract_features(plan.backbone, images.paths[part], images.digests()[part])
            processes.wait()
        features = extract_features(
            plan.backbone,
            images.paths,
            images.digests(),
            progress=lambda done, total: reporter.advance("features", done, total),
        )
        return FeatureInputs(features, plan.device)
    return ImageInputs(
        images.paths,
        plan.backbone.preprocessing,
        plan.device,
        progress=lambda done, total: reporter.advance("reading images", done, total),
    )


def _checkpoint(plan: Plan) -> Checkpoint:
    configuration = {**plan.configuration(), "versions": versions()}
    canonical = json.dumps(configuration, sort_keys=True)
    name = hashlib.sha256(canonical.encode()).hexdigest()[:24]
    return Checkpoint(cache_folder() / "checkpoints" / f"{name}.safetensors", configuration)


def _weights(network: HashNetwork) -> bytes:
    from safetensors.torch import save

    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    data: bytes = save(state)
    return data
