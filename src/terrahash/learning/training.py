"""From a labelled data set to an encoder."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from terrahash.cache import cache_folder
from terrahash.datasets import Dataset, Split
from terrahash.encoder import Encoded, Encoder
from terrahash.encoder.encoder import SPLIT, WEIGHTS
from terrahash.encoder.learned import LEARNED, LearnedDatabase
from terrahash.learning.card import with_validation
from terrahash.learning.checkpoint import Checkpoint
from terrahash.learning.export import check_export, to_onnx
from terrahash.learning.features import extract_features
from terrahash.learning.inputs import FeatureInputs, ImageInputs, Inputs
from terrahash.learning.loop import Epoch, History, Run, Score, fit
from terrahash.learning.methods.base import Method, Recipe
from terrahash.learning.model import ExportedNetwork, HashNetwork
from terrahash.learning.planning import Plan, TrainingOptions, plan_training, targets_of
from terrahash.learning.processes import Processes, joined
from terrahash.learning.validation import collapse, validate
from terrahash.machine import installed_versions
from terrahash.progress import Reporter, Silent


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
    stage = f"training {plan.method.title}"
    saved = None if checkpoint is None else checkpoint.load()
    if saved is not None:
        reporter.note("going on where this training was interrupted")
    with _threads(1 if frozen else torch.get_num_threads()):
        if plan.head_recipe is not None and saved is None:
            _fit_head(run, plan, plan.head_recipe, reporter)
        history = fit(
            run,
            validate=_scoring(run, plan),
            checkpoint=checkpoint,
            saved=saved,
            report=_reporting(reporter, stage, recipe),
        )
        warnings = [history.stopped] if history.stopped else []
        warnings += collapse(run.encode(run.rows, plan.label_codes), plan.problem)
    for warning in warnings:
        reporter.note(f"warning: {warning}")
    reporter.advance(stage, recipe.epochs, recipe.epochs)
    return Fitted(plan, run, history, tuple(warnings))


def _fit_head(run: Run, plan: Plan, recipe: Recipe, reporter: Reporter) -> None:
    """Train head and objective of a run on the features of its backbone as it is.

    A head that knows nothing yet would send gradients through the backbone that undo what it was
    pretrained for (Kumar et al. 2022).
    """
    reporter.note("training the head on the features of the unchanged backbone")
    head_run = dataclasses.replace(
        run,
        network=HashNetwork(nn.Identity(), run.network.head, frozen=True),
        recipe=recipe,
        inputs=FeatureInputs(run.all_features(), plan.device),
        generator=torch.Generator().manual_seed(plan.options.seed),
        bfloat16=False,
    )
    with _threads(1):
        fit(
            head_run,
            validate=_scoring(head_run, plan),
            report=_reporting(reporter, f"training {plan.method.title}'s head", recipe),
        )


def _scoring(run: Run, plan: Plan) -> Callable[[], Score] | None:
    """How good a run's network is on the validation images, where there are any."""
    rows = torch.arange(len(plan.fit_rows), len(plan.images))
    targets = targets_of(plan.dataset)[plan.validation_rows]

    def score() -> Score:
        encoded = run.encode(rows, plan.label_codes)
        return validate(encoded, targets, plan.problem.layout).score

    return score if len(rows) > 1 and plan.problem.classes else None


def _reporting(reporter: Reporter, stage: str, recipe: Recipe) -> Callable[[Epoch], None]:
    def report(epoch: Epoch) -> None:
        terms = "  ".join(f"{name} {value:.3f}" for name, value in epoch.terms.items())
        score = "" if epoch.score is None else f"  validation mAP {epoch.score:.3f}"
        reporter.advance(
            stage,
            epoch.number + 1,
            recipe.epochs,
            f"{terms}{score}  {epoch.images_per_second:.0f} images/s",
        )

    return report


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
        "recipe": plan.recipe_json(),
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
