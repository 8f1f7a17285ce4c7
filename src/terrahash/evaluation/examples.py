"""Queries to look at: what the numbers mean in pictures, without choosing flattering ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terrahash.datasets.dataset import Dataset
from terrahash.evaluation.metrics import Floats
from terrahash.evaluation.pictures import QueryRow, Tile
from terrahash.evaluation.protocols import Trial
from terrahash.evaluation.retrieval import Retrieval
from terrahash.search import search

TYPICAL = 6  # queries drawn at random, of different classes
HARDEST = 3  # queries with the lowest AP@k
ANSWERS = 10


@dataclass(frozen=True)
class Answer:
    """An image found: its number in the data set, its distance in bits, and whether it is right."""

    image: int
    distance: float
    right: bool


@dataclass(frozen=True)
class Example:
    """A query: its number in the data set, its AP@k, and what a search answers, best first."""

    query: int
    ap_at_k: float
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class Examples:
    """Queries drawn at random, and those that the encoder does worst."""

    typical: tuple[Example, ...]
    hardest: tuple[Example, ...]


def find_examples(
    retrieval: Retrieval,
    trial: Trial,
    ap_at_k: Floats,
    magnitudes: NDArray[np.float32] | None = None,
) -> Examples:
    """Draw queries and search for them as a user would.

    Args:
        retrieval: queries and gallery.
        trial: which images they are.
        ap_at_k: ``(Q,) float64``.
        magnitudes: ``(Q, bits) float32`` for asymmetric ranking, the default of searches by image.
    """
    typical = _draw(retrieval.query_labels)
    hardest = np.argsort(ap_at_k, kind="stable")[:HARDEST]
    chosen = np.concatenate([typical, hardest])
    found = search(
        [retrieval.gallery_codes],
        retrieval.query_codes[chosen],
        retrieval.layout,
        k=min(ANSWERS + 1, len(retrieval.gallery_codes)),
        magnitudes=None if magnitudes is None else magnitudes[chosen],
    )
    examples = []
    for query, matches in zip(chosen.tolist(), found, strict=True):
        others = matches.rows != retrieval.own_rows[query]
        rows = matches.rows[others][:ANSWERS]
        wanted, labels = retrieval.query_labels[query], retrieval.gallery_labels[rows]
        right = (labels & wanted).any(axis=1) if retrieval.is_multilabel else labels == wanted
        answers = zip(
            trial.gallery[rows].tolist(),
            matches.distances[others][:ANSWERS].tolist(),
            right.tolist(),
            strict=True,
        )
        examples.append(
            Example(
                int(trial.queries[query]),
                float(ap_at_k[query]),
                tuple(Answer(*answer) for answer in answers),
            )
        )
    return Examples(tuple(examples[: len(typical)]), tuple(examples[len(typical) :]))


def example_rows(examples: Sequence[Example], dataset: Dataset) -> list[QueryRow]:
    """Examples as rows of a picture or page."""
    return [
        QueryRow(
            Tile(dataset.paths[example.query], label_of(dataset, example.query)),
            tuple(
                Tile(
                    dataset.paths[answer.image],
                    label_of(dataset, answer.image),
                    f"distance {answer.distance:g}",
                    answer.right,
                )
                for answer in example.answers
            ),
        )
        for example in examples
    ]


def label_of(dataset: Dataset, image: int) -> str:
    """The class of an image, or its classes, by name."""
    present = np.flatnonzero(dataset.targets[image])
    return ", ".join(dataset.class_names[number] for number in present)


def _draw(labels: NDArray[np.generic]) -> NDArray[np.int64]:
    """Random queries with labels as different as there are, always the same."""
    order = np.random.default_rng(0).permutation(len(labels))
    _, first = np.unique(labels[order], axis=0, return_index=True)
    fresh = np.sort(first)
    repeats = np.setdiff1d(np.arange(len(order)), fresh)
    return np.asarray(order[np.concatenate([fresh, repeats])[:TYPICAL]])
