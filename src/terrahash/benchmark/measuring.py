"""From a run to its records: train, encode every image, measure under each protocol."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import terrahash
from terrahash.benchmark.materials import data_title, image_size
from terrahash.benchmark.results import Record
from terrahash.benchmark.specification import NAMED_WEIGHTS, Run
from terrahash.encoder import Encoded, Encoder
from terrahash.encoder.learned import LEARNED, LearnedDatabase
from terrahash.errors import EncoderError
from terrahash.evaluation.databases import with_learned_codes
from terrahash.evaluation.evaluator import evaluate_codes
from terrahash.evaluation.evaluator import versions as evaluation_versions
from terrahash.evaluation.protocols import arrange
from terrahash.evaluation.report import CodeReport
from terrahash.evaluation.retrieval import Retrieval
from terrahash.learning.features import extract_features
from terrahash.learning.inputs import FeatureInputs
from terrahash.learning.planning import Plan
from terrahash.learning.training import fit_network, train
from terrahash.learning.training import versions as training_versions
from terrahash.progress import Reporter

# Points kept of the precision-recall curve, spread evenly over the logarithm of the rank.
CURVE_POINTS = 40
CURVE_DIGITS = 4
# Parts of the package that a run's codes come from.
SOURCES = ("encoder", "imagery", "learning")


@dataclass(frozen=True, eq=False)
class Trained:
    """What a training left, for measuring.

    Attributes:
        encoded: codes of all images of the data set, in its order.
        learned: codes that training learned for the labelled images themselves, if it did.
        facts: what to record of the training: seconds, epochs, best epoch, validation
            score, warnings.
    """

    encoded: Encoded
    learned: LearnedDatabase | None
    facts: dict[str, Any]


def measured(
    run: Run,
    plan: Plan,
    *,
    identity: str,
    protocols: Sequence[str],
    k: int,
    models: Path,
    reporter: Reporter,
) -> Iterator[Record]:
    """Train a run and give a record for each protocol, and for each kind of database in it.

    Args:
        run: what to run.
        plan: its training.
        identity: of the run.
        protocols: to measure under.
        k: cut-off.
        models: folder that keeps fine-tuned encoders.
        reporter: is told of the progress.

    Raises:
        TerrahashError: if training or measuring is not possible.
    """
    if run.mode == "frozen":
        trained = train_head(plan, reporter)
    else:
        name = f"{plan.dataset.name}-{run.method}-{run.variant}-{run.bits}-seed{run.seed}"
        trained = train_whole(plan, models / f"{name}-{identity}", reporter)
    common = _description(run, plan, identity)
    for protocol in protocols:
        for database, codes in databases(trained, plan, protocol):
            started = time.perf_counter()
            result = evaluate(plan, trained.encoded, codes, protocol, k)
            yield {
                "kind": "result",
                **common,
                "protocol": protocol,
                "database": database,
                **result.to_json(),
                "precision_recall": precision_recall(result),
                "training": trained.facts,
                "evaluation_seconds": round(time.perf_counter() - started, 3),
            }


def train_head(plan: Plan, reporter: Reporter) -> Trained:
    """Train a head on cached features, and encode all images from these: no export is needed."""
    rows = np.concatenate([plan.fit_rows, plan.validation_rows, plan.split.indices("test")])
    images = plan.dataset.subset(rows)
    features = extract_features(
        plan.backbone,
        images.paths,
        images.digests(),
        progress=lambda done, total: reporter.advance("features", done, total),
    )
    inputs = FeatureInputs(features, plan.device)
    started, cpu_started = time.perf_counter(), time.process_time()
    fitted = fit_network(plan, inputs, reporter=reporter)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    history = fitted.history
    place = np.empty(len(rows), np.int64)
    place[rows] = np.arange(len(rows))
    best = history.epochs[history.best] if history.best >= 0 else None
    facts: dict[str, Any] = {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu_seconds, 2),
        "epochs": len(history.epochs),
        "best_epoch": history.best + 1,
        "validation_map": None if best is None or best.score is None else round(best.score, 6),
        "warnings": list(fitted.warnings),
    }
    return Trained(fitted.encode(inputs).at(place), fitted.learned_database(), facts)


def train_whole(plan: Plan, folder: Path, reporter: Reporter) -> Trained:
    """Train an encoder with its backbone, keep it in a folder, and encode all images with it."""
    try:
        encoder = Encoder.load(folder)
    except EncoderError:
        encoder = train(
            plan.dataset,
            plan.split,
            reporter=reporter,
            numbers=plan.method,
            **asdict(plan.options),
        )
        encoder.save(folder, weights=False)
    paths = plan.dataset.paths
    encoded = encoder.encode_files(
        paths, progress=lambda done: reporter.advance("encoding", done, len(paths))
    )
    card = encoder.card
    facts = {
        "seconds": card["seconds"],
        "cpu_seconds": None,
        "epochs": len(card["epochs"]),
        "best_epoch": card["best_epoch"] + 1,
        "validation_map": card["validation"] and round(card["validation"]["map"], 6),
        "warnings": card["warnings"],
    }
    stored = encoder.files.get(LEARNED)
    learned = None if stored is None else LearnedDatabase.from_bytes(stored)
    return Trained(encoded, learned, facts)


def databases(
    trained: Trained, plan: Plan, protocol: str
) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """What can be searched under a protocol: ``(name, (N, nbytes) codes of all images)``.

    ``network``: every image as the network encodes it. ``learned``: the training images by the
    codes that the method learned for them, or assigned to those held out for validation by their
    labels; where the database holds no training image there is nothing learned.
    """
    codes = trained.encoded.codes
    yield "network", codes
    if trained.learned is None or protocol == "within-test":
        return
    rows = np.arange(len(codes))
    yield "learned", with_learned_codes(codes, rows, trained.learned, plan.dataset, plan.split)


def evaluate(
    plan: Plan, encoded: Encoded, gallery: NDArray[np.uint8], protocol: str, k: int
) -> CodeReport:
    """Measure codes of all images under a protocol, as ``terrahash evaluate`` does.

    Args:
        plan: whose data set and split the codes are of.
        encoded: what the network says of all images; queries are taken from it.
        gallery: ``(N, nbytes) uint8`` codes of all images; what can be found is taken from it.
        protocol: see :data:`terrahash.evaluation.protocols.PROTOCOLS`.
        k: cut-off.
    """
    labels = plan.dataset.labels
    assert labels is not None  # noqa: S101  (a plan has labels)
    trial = arrange(plan.split, protocol)
    retrieval = Retrieval(
        encoded.codes[trial.queries],
        gallery[trial.gallery],
        labels[trial.queries],
        labels[trial.gallery],
        plan.problem.layout,
        trial.self_rows,
    )
    return evaluate_codes(retrieval, k=k, magnitudes=encoded.magnitudes[trial.queries])


def precision_recall(result: CodeReport) -> list[list[float]]:
    """Some points ``[recall, precision]`` of the curve by rank."""
    curves = result.metrics.curves
    last = len(curves.ranks) - 1
    wanted = np.geomspace(1, curves.ranks[last], CURVE_POINTS)
    chosen = np.unique(np.searchsorted(curves.ranks, wanted).clip(max=last))
    return [
        [round(recall, CURVE_DIGITS), round(precision, CURVE_DIGITS)]
        for recall, precision in zip(
            curves.recall_at[chosen].tolist(), curves.precision_at[chosen].tolist(), strict=True
        )
    ]


@cache
def source_digest() -> str:
    """12 hexadecimal digits over the source of what trains and encodes, for the record.

    A run is not repeated because a comment changed; but who doubts a figure can see which runs were
    made by the same code.
    """
    package = Path(terrahash.__file__).parent
    files = [path for part in SOURCES for path in sorted((package / part).rglob("*.py"))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]


def _description(run: Run, plan: Plan, identity: str) -> Record:
    """What all records of a run have in common."""
    dataset, split, layout = plan.dataset, plan.split, plan.problem.layout
    width, height = image_size(dataset)
    return {
        "run": identity,
        "data": dataset.name,
        "data_title": data_title(dataset),
        "images": len(dataset),
        "image_size": [width, height],
        "classes": len(dataset.class_names),
        "split": split.rule,
        "split_asked": run.split,
        "split_hash": split.hash,
        "seed": run.seed,
        "fit": len(plan.fit_rows),
        "validation": len(plan.validation_rows),
        "test": len(split.indices("test")),
        "method": plan.method.name,
        "title": plan.method.title,
        "variant": run.variant,
        "mode": run.mode,
        "backbone": plan.backbone.name,
        "weights": plan.backbone.weights,
        "weights_asked": run.weights if run.weights in NAMED_WEIGHTS else None,
        "size": plan.backbone.preprocessing.size,
        "bits": layout.bits,
        "bits_asked": run.bits,
        "label_bits": layout.label_bits,
        "label_weight": layout.label_weight,
        "epochs_asked": run.epochs,
        "numbers": asdict(plan.method),
        "recipe": plan.recipe_json(),
        "source": source_digest(),
        "versions": {**training_versions(), **evaluation_versions()},
    }
