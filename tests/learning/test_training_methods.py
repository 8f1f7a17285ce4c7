"""Every method from tiles to an encoder: better than chance projections, and its bad input."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from terrahash.codes import pack, unpack
from terrahash.datasets import Dataset, Split, load_dataset, make_split
from terrahash.datasets.scenes import generate_scenes
from terrahash.encoder import Encoded, Encoder
from terrahash.encoder.learned import LEARNED, LearnedDatabase
from terrahash.errors import DatasetError, InputError
from terrahash.evaluation import Retrieval, evaluate, measure
from terrahash.learning import train
from terrahash.learning.backbones import Backbone
from terrahash.learning.features import extract_features
from terrahash.learning.inputs import FeatureInputs
from terrahash.learning.loop import Run, fit
from terrahash.learning.methods import METHODS, make_method
from terrahash.learning.methods.base import Method, Problem
from terrahash.learning.model import HashNetwork
from terrahash.learning.planning import TrainingOptions, plan_training
from terrahash.learning.training import fit_network
from terrahash.learning.validation import collapse

from .conftest import BACKBONE, SIZE

TINY: dict[str, Any] = {"backbone": BACKBONE, "weights": "none", "size": SIZE, "bits": 16}
CPU = torch.device("cpu")


pytestmark = pytest.mark.usefixtures("one_thread")


CLASSES, EACH, TOLD, MUTE = 8, 24, 16, 64


@pytest.fixture(scope="module")
def features() -> NDArray[np.float32]:
    """Eight classes after each other: 16 features tell them apart, 64 tell nothing."""
    random = np.random.default_rng(0)
    centres = random.standard_normal((CLASSES, TOLD)).repeat(EACH, axis=0)
    telling = centres + random.normal(0, 0.7, centres.shape)
    mute = random.normal(0, 0.7, (CLASSES * EACH, MUTE))
    return np.concatenate([telling, mute], axis=1).astype(np.float32)


def quality(features: NDArray[np.float32], method: Method, epochs: int) -> float:
    """mAP@5 within the images that are not trained on, every third."""
    labels = np.repeat(np.arange(CLASSES), EACH)
    test = np.arange(len(labels)) % 3 == 0
    layout = method.layout(24, CLASSES)
    targets = np.asarray(labels[~test, None] == np.arange(CLASSES))
    problem = Problem(features.shape[1], layout, targets)
    torch.manual_seed(0)
    run = Run(
        network=HashNetwork(nn.Identity(), method.head(problem), frozen=True),
        objective=method.objective(problem),
        method=method,
        recipe=dataclasses.replace(method.recipe("frozen"), epochs=epochs, batch_size=32),
        problem=problem,
        inputs=FeatureInputs(np.concatenate([features[~test], features[test]]), CPU),
        generator=torch.Generator().manual_seed(0),
    )
    fit(run)
    rows = torch.arange(len(targets), len(labels))
    codes = run.encode(rows, method.label_codes(layout, CLASSES)).codes
    return measure(Retrieval.within(codes, labels[test], layout), k=5).map_at_k


@pytest.fixture(scope="module")
def floor(features: NDArray[np.float32]) -> float:
    """What random projections reach."""
    return quality(features, make_method("lsh"), 1)


@pytest.mark.parametrize("name", [name for name in METHODS if name != "lsh"])
def test_every_method_beats_random_projections(
    name: str, features: NDArray[np.float32], floor: float
) -> None:
    assert quality(features, make_method(name), 20) > floor + 0.1


@pytest.mark.parametrize("name", [name for name in METHODS if METHODS[name].published_switches])
def test_every_published_variant_trains(name: str, features: NDArray[np.float32]) -> None:
    assert quality(features, make_method(name, "published"), 2) > 0


def test_scenes_from_tiles_to_codes(tmp_path: Path) -> None:
    """The built-in data set, a small network from nothing: better than random projections."""
    data = generate_scenes(tmp_path / "tiles", size=48, per_class=10, seed=0)
    split = make_split(data, train=0.6, seed=0, validation=0.2)
    found = {}
    for name in ("lsh", "csq"):
        encoder = train(data, split, method=name, epochs=40, **{**TINY, "size": 48})
        found[name] = evaluate(encoder, data, split, k=3).metrics.map_at_k
    assert found["csq"] > found["lsh"]


def test_ahcl_leaves_its_learned_codes_beside_the_network(
    small: Dataset, small_split: Split, tmp_path: Path
) -> None:
    folder = train(small, small_split, method="ahcl", epochs=6, **TINY).save(tmp_path / "model")
    encoder = Encoder.load(folder)
    table = LearnedDatabase.from_bytes(folder / LEARNED)
    rows = np.sort(small_split.indices("train"))
    digests = small.digests()
    places = table.rows([digests[row] for row in rows])
    assert (places >= 0).all()
    assert (table.rows([digests[row] for row in small_split.indices("test")]) == -1).all()
    assert len(table.codes) == len(rows)
    assert small.labels is not None
    learned = Retrieval.within(table.codes[places], small.labels[rows], encoder.layout)
    assert measure(learned, k=5).map_at_k > 0.9
    # Validation images were not fitted; they have the code of their class.
    held_out = small_split.indices("validation")
    codes = table.codes[table.rows([digests[row] for row in held_out])]
    assert (codes == table.assign(small.targets[held_out])).all()


@pytest.mark.parametrize("method", ["lsh", "itq"])
def test_a_folder_without_classes_is_enough_without_labels(method: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for number in range(50):
        pixels = random.integers(0, 255, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    data = load_dataset(tmp_path)
    encoder = train(data, make_split(data, rule="random"), method=method, **TINY)
    assert encoder.classes == ()
    assert encoder.card["validation"] is None
    encoded = encoder.encode_files(data.paths)
    assert len(np.unique(encoded.codes, axis=0)) > 20
    encoder.save(tmp_path / "model")
    assert Encoder.load(tmp_path / "model").bits == 16


def test_methods_that_learn_from_classes_name_those_that_do_not(tmp_path: Path) -> None:
    for number in range(10):
        Image.new("RGB", (32, 32), (number * 20, 0, 0)).save(tmp_path / f"{number}.png")
    data = load_dataset(tmp_path)
    with pytest.raises(DatasetError, match="AHCL learns from classes") as error:
        train(data, make_split(data, rule="random"), method="ahcl", **TINY)
    assert "itq, lsh" in error.value.remedy


def sets(small: Dataset) -> Dataset:
    """The same tiles with label sets: every third has a second label."""
    targets = small.targets.copy()
    targets[::3] |= np.roll(targets[::3], 1, axis=1)
    return Dataset(small.name, small.root, small.files, targets, small.class_names)


@pytest.mark.parametrize("name", [name for name in METHODS if name not in ("dhcl", "orthohash")])
def test_label_sets_train(name: str, small: Dataset, backbone: Backbone) -> None:
    data = sets(small)
    split = make_split(data, train=0.6, seed=0, validation=0.17)
    options = TrainingOptions(method=name, bits=16, size=SIZE, epochs=2, device="cpu")
    plan = plan_training(data, split, options, backbone=backbone)
    images = plan.images
    features = extract_features(backbone, images.paths, images.digests())
    fitted = fit_network(plan, FeatureInputs(features, CPU))
    assert all(epoch.score is not None for epoch in fitted.history.epochs)


@pytest.mark.parametrize("name", ["dhcl", "orthohash"])
def test_methods_for_one_class_an_image_refuse_label_sets(name: str, small: Dataset) -> None:
    data = sets(small)
    with pytest.raises(DatasetError, match="needs exactly one class an image") as refused:
        train(data, make_split(data, train=0.6, seed=0), method=name, **TINY)
    assert "mhcln" in refused.value.remedy
    assert name not in refused.value.remedy


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "dhlc"}, "unknown method 'dhlc'"),
        ({"method": "csq", "variant": "published"}, "CSQ has no published variant"),
        ({"method": "itq", "mode": "finetune"}, "nothing to fine-tune"),
        ({"method": "ahcl", "bits": 4}, "4 bits are not supported"),
        ({"method": "dhcl", "bits": 2}, "leave nothing to learn"),
        ({"device": "gpu"}, "unknown device 'gpu'"),
    ],
)
def test_wrong_options_are_refused(
    options: dict[str, Any], message: str, small: Dataset, small_split: Split
) -> None:
    with pytest.raises(InputError, match=message):
        train(small, small_split, **{**TINY, **options})


def problem_of(classes: int) -> Problem:
    """Forty images of so many classes."""
    layout = make_method("ahcl").layout(16, classes)
    return Problem(4, layout, np.asarray((np.arange(40) % classes)[:, None] == np.arange(classes)))


def encoded(bits: NDArray[np.bool_]) -> Encoded:
    """As if a network had said these bits."""
    return Encoded(pack(bits), np.zeros(bits.shape, np.float32), np.zeros(bits.shape, np.float32))


def test_collapsed_codes_are_told_with_numbers() -> None:
    bits = np.zeros((40, 16), bool)
    bits[:8, 0] = True
    (warning,) = collapse(encoded(bits), problem_of(4))
    assert "40 training images of 4 classes have 2 distinct codes" in warning
    assert "that of 32 images, and 15 bits never change" in warning


def test_a_code_a_class_is_no_collapse() -> None:
    layouts = unpack(np.arange(4, dtype=np.uint8)[:, None] * 17, 8).astype(bool)
    bits = np.concatenate([layouts, ~layouts], axis=1)[np.arange(40) % 4]
    assert collapse(encoded(bits), problem_of(4)) == []
