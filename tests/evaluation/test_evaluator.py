from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from terrahash.codes import pack
from terrahash.datasets.dataset import Dataset
from terrahash.datasets.split import Split, make_split
from terrahash.encoder.learned import LearnedDatabase
from terrahash.errors import DatasetError, InputError
from terrahash.evaluation.evaluator import evaluate
from terrahash.evaluation.examples import find_examples, label_of
from terrahash.evaluation.metrics import measure
from terrahash.evaluation.protocols import arrange
from terrahash.evaluation.report import Report
from terrahash.evaluation.retrieval import Retrieval

from .conftest import PixelEncoder


def test_measures_what_the_encoder_says(
    report: Report, encoder: PixelEncoder, dataset: Dataset, split: Split
) -> None:
    assert dataset.labels is not None
    test = split.indices("test")
    codes = encoder.encode_files([dataset.paths[row] for row in test]).codes
    direct = measure(Retrieval.within(codes, dataset.labels[test], encoder.layout), k=5)
    assert report.map_at_k == direct.map_at_k
    assert 0.3 < report.map_at_k < 1
    assert report.metrics.n_queries == report.metrics.n_database == 18
    # All bits weigh the same, so the asymmetric ranking is the plain one.
    assert report.metrics.map_at_k_asymmetric == pytest.approx(report.map_at_k)


def test_each_image_is_encoded_once(encoder: PixelEncoder, dataset: Dataset, split: Split) -> None:
    steps: list[tuple[int, int]] = []
    evaluate(
        encoder,
        dataset,
        split,
        "test-to-all",
        progress=lambda done, all_: steps.append((done, all_)),
    )
    assert encoder.encoded == len(dataset) == 36
    assert steps[-1] == (36, 36)


def test_protocols_change_the_gallery(
    encoder: PixelEncoder, dataset: Dataset, split: Split
) -> None:
    train = evaluate(encoder, dataset, split, "test-to-train", 5).metrics
    everything = evaluate(encoder, dataset, split, "test-to-all", 5).metrics
    assert (train.n_queries, train.n_database) == (18, 18)
    assert (everything.n_queries, everything.n_database) == (18, 36)


def test_an_encoder_of_another_split_of_the_data_is_refused(
    encoder: PixelEncoder, dataset: Dataset
) -> None:
    other = make_split(dataset, 0.5, seed=4)
    with pytest.raises(InputError, match="it has seen images that would be tested") as error:
        evaluate(encoder, dataset, other)
    assert "seed 3" in error.value.message
    assert "seed 4" in error.value.message


def test_other_training_data_is_noted(
    encoder: PixelEncoder, dataset: Dataset, split: Split
) -> None:
    encoder.card |= {"dataset": "aid", "split_hash": "another"}
    assert evaluate(encoder, dataset, split, k=5).notes == (
        "trained on 'aid' (split another), not on 'tiles'",
    )
    encoder.card.clear()
    (note,) = evaluate(encoder, dataset, split, k=5).notes
    assert "may have seen the test images" in note


def test_wrong_input(encoder: PixelEncoder, dataset: Dataset, split: Split) -> None:
    unlabelled = dataclasses.replace(dataset, labels=None, class_names=())
    with pytest.raises(DatasetError, match="no labels"):
        evaluate(encoder, unlabelled, split)
    with pytest.raises(DatasetError, match="does not fit"):
        evaluate(encoder, dataset.subset(range(30)), split)
    with pytest.raises(InputError, match="ranks 17 gallery"):
        evaluate(encoder, dataset, split)
    with pytest.raises(InputError, match="no protocol"):
        evaluate(encoder, dataset, split, "train-to-test", 5)


def test_examples_are_what_a_search_answers(report: Report, dataset: Dataset) -> None:
    examples = report.examples
    assert len({label_of(dataset, example.query) for example in examples.typical[:3]}) == 3
    for example in (*examples.typical, *examples.hardest):
        assert example.query not in [answer.image for answer in example.answers]
        distances = [answer.distance for answer in example.answers]
        assert distances == sorted(distances)
        assert len(distances) == 10
        for answer in example.answers:
            same = label_of(dataset, answer.image) == label_of(dataset, example.query)
            assert answer.right is same
    assert [example.ap_at_k for example in examples.hardest] == sorted(report.metrics.ap_at_k)[:3]


def test_examples_of_label_sets(encoder: PixelEncoder, dataset: Dataset, split: Split) -> None:
    several = dataclasses.replace(dataset, labels=dataset.targets)
    trial = arrange(split, "test-to-train")
    codes = encoder.encode_files(dataset.paths).codes
    retrieval = Retrieval(
        codes[trial.queries],
        codes[trial.gallery],
        several.targets[trial.queries],
        several.targets[trial.gallery],
        encoder.layout,
        trial.self_rows,
    )
    examples = find_examples(retrieval, trial, np.linspace(1, 0, len(trial.queries)))
    assert examples.hardest[0].query == trial.queries[-1]
    rights = [answer.right for answer in examples.typical[0].answers]
    assert any(rights)
    assert evaluate(encoder, several, split, k=5).metrics.map_at_k_weighted is not None


def test_training_images_by_their_learned_codes(
    encoder: PixelEncoder, dataset: Dataset, split: Split
) -> None:
    """With perfect codes for the training images each query finds what it looks like, no more."""
    assert dataset.labels is not None
    train = np.sort(split.indices("train"))
    digests = dataset.subset(train).digests()
    perfect = np.eye(8)[dataset.labels[train]] > 0
    table = LearnedDatabase(
        digests=np.array([list(bytes.fromhex(digest)) for digest in digests], np.uint8),
        codes=pack(perfect),
        activations=np.ones((1, 8), np.float32),
        targets=np.ones((1, 3), bool),
        ratio=1.0,
    )
    network = evaluate(encoder, dataset, split, "test-to-train", 5)
    learned = evaluate(encoder, dataset, split, "test-to-train", 5, learned=table)
    assert (network.database, learned.database) == ("network", "learned")
    assert "learned codes" in learned.setting()
    test = split.indices("test")
    looks = encoder.encode_files([dataset.paths[row] for row in test]).codes
    right = (looks == pack(np.eye(8)[dataset.labels[test]] > 0)).all(axis=1)
    assert 0 < right.mean() < 1
    assert learned.map_at_k == pytest.approx(right.mean())
    with pytest.raises(InputError, match="nothing was learned"):
        evaluate(encoder, dataset, split, "within-test", 5, learned=table)
    other = dataclasses.replace(table, digests=table.digests ^ np.uint8(1))
    with pytest.raises(InputError, match="learned no code for it"):
        evaluate(encoder, dataset, split, "test-to-train", 5, learned=other)
