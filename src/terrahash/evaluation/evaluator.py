"""From an encoder and a split to a report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from typing import Protocol as Interface

import numpy as np
from numpy.typing import NDArray

from terrahash.codes import CodeLayout
from terrahash.datasets.dataset import Dataset
from terrahash.datasets.split import Split
from terrahash.encoder.encoded import Encoded
from terrahash.encoder.learned import LearnedDatabase
from terrahash.errors import DatasetError, InputError
from terrahash.evaluation.codestats import code_statistics
from terrahash.evaluation.databases import with_learned_codes
from terrahash.evaluation.examples import find_examples
from terrahash.evaluation.metrics import measure
from terrahash.evaluation.protocols import arrange
from terrahash.evaluation.published import published_metrics
from terrahash.evaluation.report import CodeReport, Report
from terrahash.evaluation.retrieval import Retrieval, check_cutoff
from terrahash.machine import installed_versions


class CanEncode(Interface):
    """What evaluation needs of an encoder; :class:`terrahash.encoder.Encoder` has it."""

    @property
    def card(self) -> Mapping[str, Any]:
        """The contents of ``encoder.json``."""

    @property
    def layout(self) -> CodeLayout:
        """Of its codes."""

    @property
    def fingerprint(self) -> str:
        """Over all that changes codes."""

    def encode_files(
        self,
        paths: Iterable[str | Path],
        *,
        workers: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Encoded:
        """Codes of image files, in order."""


def evaluate(
    encoder: CanEncode,
    dataset: Dataset,
    split: Split,
    protocol: str = "within-test",
    k: int = 20,
    *,
    learned: LearnedDatabase | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Measure an encoder on the test images of a split.

    Args:
        encoder: what to measure; its card says what it was trained on.
        dataset: labelled images.
        split: of that data set; if the encoder was trained on the same data set, the very split
            that it was trained with.
        protocol: ``"within-test"``, ``"test-to-train"`` or ``"test-to-all"``.
        k: cut-off of the metrics at k.
        learned: find training images by the codes that training learned for them (AHCL, ADSH),
            see :func:`terrahash.encoder.learned.learned_database`; queries are encoded as ever.
        progress: called with images encoded and images in all.

    Raises:
        InputError: if the protocol is unknown, k is beyond the gallery, or the encoder was trained
            with another split of this data set and so may have seen the test images; or if learned
            codes are asked for and the protocol's gallery has none.
        DatasetError: if the data set has no labels or the split does not fit it.
        ImageError: if an image cannot be read.
    """
    started = time.perf_counter()
    if dataset.labels is None:
        raise DatasetError(
            f"'{dataset.name}' has no labels to judge answers by",
            "put each class into a folder of its own, or a labels.csv beside the images",
        )
    split.check(dataset)
    notes = check_training(encoder.card, dataset.name, split)
    trial = arrange(split, protocol)
    check_cutoff(k, trial.ranks)
    needed = np.union1d(trial.queries, trial.gallery)
    paths = dataset.paths
    encoded = encoder.encode_files(
        [paths[row] for row in needed],
        progress=(lambda done: progress(done, len(needed))) if progress else None,
    )
    seconds_encoding = time.perf_counter() - started
    queries = np.searchsorted(needed, trial.queries)
    gallery = np.searchsorted(needed, trial.gallery)
    database = encoded.codes[gallery]
    if learned is not None:
        database = with_learned_codes(database, trial.gallery, learned, dataset, split)
    retrieval = Retrieval(
        encoded.codes[queries],
        database,
        dataset.labels[trial.queries],
        dataset.labels[trial.gallery],
        encoder.layout,
        trial.self_rows,
    )
    magnitudes = encoded.magnitudes[queries]
    result = evaluate_codes(retrieval, k=k, magnitudes=magnitudes)
    card = encoder.card
    return Report(
        method=card.get("method"),
        variant=card.get("variant"),
        backbone=card.get("backbone"),
        mode=card.get("mode"),
        seed=card.get("seed"),
        encoder=encoder.fingerprint,
        bits=encoder.layout.bits,
        label_bits=encoder.layout.label_bits,
        dataset=dataset.name,
        split=split.rule,
        split_hash=split.hash,
        split_seed=split.seed,
        protocol=protocol,
        result=result,
        seconds=time.perf_counter() - started,
        seconds_encoding=seconds_encoding,
        versions=versions(),
        notes=notes,
        examples=find_examples(retrieval, trial, result.metrics.ap_at_k, magnitudes),
        database="network" if learned is None else "learned",
    )


def evaluate_codes(
    retrieval: Retrieval, *, k: int = 20, magnitudes: NDArray[np.float32] | None = None
) -> CodeReport:
    """Everything that can be said of bare codes.

    Args:
        retrieval: queries, gallery and labels.
        k: cut-off.
        magnitudes: ``(Q, bits) float32`` ≥ 0 of the queries, for asymmetric ranking.

    Raises:
        InputError: if k is beyond the gallery or the magnitudes do not fit.
    """
    started = time.perf_counter()
    metrics = measure(retrieval, k=k, magnitudes=magnitudes)
    published = published_metrics(retrieval, k=k)
    statistics = code_statistics(retrieval.gallery_codes, retrieval.layout)
    return CodeReport(metrics, published, statistics, time.perf_counter() - started)


def check_training(card: Mapping[str, Any], dataset: str, split: Split) -> tuple[str, ...]:
    """Notes on what the encoder was trained on, if it was not this split's training part.

    Raises:
        InputError: if it was trained with another split of the same data set.
    """
    trained_on, trained_split = card.get("dataset"), card.get("split_hash")
    if trained_split == split.hash:
        return ()
    if trained_on is None or trained_split is None:
        return (
            "the encoder does not say what it was trained on; it may have seen the test images",
        )
    if trained_on == dataset:
        raise InputError(
            f"the encoder was trained with the split {trained_split} of '{dataset}' "
            f"({card.get('split_rule')}, seed {card.get('split_seed')}), and this is the split "
            f"{split.hash} ({split.rule}, seed {split.seed}): it has seen images that would be "
            "tested",
            "evaluate with the split it was trained with (the default), or train with this one",
        )
    return (f"trained on '{trained_on}' (split {trained_split}), not on '{dataset}'",)


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    return installed_versions("terrahash", "numpy", "numba", "onnxruntime", "pillow")
