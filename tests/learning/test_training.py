"""From labelled tiles to an encoder."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from terrahash.datasets import Dataset, Split, load_dataset, make_split
from terrahash.encoder import Encoder
from terrahash.errors import DatasetError, InputError
from terrahash.evaluation import evaluate
from terrahash.evaluation.trust import TrustCurve
from terrahash.learning import train
from terrahash.learning.backbones import Backbone
from terrahash.learning.inputs import FeatureInputs, ImageInputs
from terrahash.learning.loop import Epoch, History
from terrahash.learning.methods import METHODS
from terrahash.learning.planning import TrainingOptions, plan_training
from terrahash.learning.training import fit_network

from .conftest import BACKBONE, SIZE

TINY: dict[str, Any] = {"backbone": BACKBONE, "weights": "none", "size": SIZE, "bits": 16}


@pytest.fixture(scope="module")
def frozen(small: Dataset, small_split: Split) -> Encoder:
    """An encoder with a head trained on random features."""
    return train(small, small_split, epochs=30, **TINY)


def test_the_encoder_says_what_it_is(frozen: Encoder, small: Dataset, small_split: Split) -> None:
    assert frozen.bits == 16
    assert frozen.layout.label_bits == 2
    assert frozen.classes == small.class_names
    card = frozen.card
    assert card["split_hash"] == small_split.hash
    assert card["dataset"] == small.name
    assert card["export_difference"] <= 1e-4
    assert card["validation"]["n_queries"] == len(small_split.indices("validation"))
    TrustCurve.from_json(card["precision_by_distance"])
    assert {"weights.safetensors", "split.txt", "README.md", "answers.png"} <= set(frozen.files)
    text = frozen.files["README.md"]
    assert isinstance(text, bytes)
    assert small_split.hash in text.decode()


def test_it_learns(frozen: Encoder, small: Dataset, small_split: Split) -> None:
    report = evaluate(frozen, small, small_split, k=5)
    assert report.metrics.map_at_k > 0.6


def test_same_seed_same_codes(frozen: Encoder, small: Dataset, small_split: Split) -> None:
    again = train(small, small_split, epochs=30, **TINY)
    paths = small.paths
    np.testing.assert_array_equal(again.encode_files(paths).codes, frozen.encode_files(paths).codes)


def test_finetune_interrupted_goes_on_to_the_same_codes(
    small: Dataset, small_split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    from terrahash.learning import checkpoint

    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN_SAVES", 0.0)
    options = {**TINY, "mode": "finetune", "epochs": 3}
    whole = train(small, small_split, **options)

    class PowerCutError(Exception):
        """Stops training."""

    class Cutting:
        """Breaks off after the second epoch."""

        def note(self, text: str) -> None:
            """Ignored."""

        def advance(self, stage: str, done: int, total: int, detail: str = "") -> None:
            if stage.startswith("training") and done == 2:
                raise PowerCutError

    class Listening(Cutting):
        """Notes which epochs are run."""

        def __init__(self) -> None:
            self.epochs: list[int] = []
            self.notes: list[str] = []

        def note(self, text: str) -> None:
            self.notes.append(text)

        def advance(self, stage: str, done: int, total: int, detail: str = "") -> None:
            if stage.startswith("training") and detail:
                self.epochs.append(done)

    with pytest.raises(PowerCutError):
        train(small, small_split, reporter=Cutting(), **options)
    listening = Listening()
    resumed = train(small, small_split, reporter=listening, **options)
    assert listening.epochs == [3]
    assert listening.notes[0] == "going on where this training was interrupted"
    assert resumed.fingerprint == whole.fingerprint


def test_finetuning_leaves_a_given_backbone_as_it_is(
    small: Dataset, small_split: Split, backbone: Backbone
) -> None:
    before = {name: value.clone() for name, value in backbone.module.state_dict().items()}
    options = TrainingOptions(**TINY, mode="finetune", epochs=1, device="cpu")
    plan = plan_training(small, small_split, options, backbone=backbone)
    inputs = ImageInputs(plan.images.paths, backbone.preprocessing, plan.device)
    fitted = fit_network(plan, inputs)
    trained = dict(fitted.network.backbone.state_dict())
    assert any(not torch.equal(trained[name], value) for name, value in before.items())
    after = backbone.module.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


@pytest.mark.parametrize("method", ["mhcln", "dhcl"])
@pytest.mark.parametrize("pretrained", [True, False])
def test_rates_of_fine_tuning(
    small: Dataset, small_split: Split, backbone: Backbone, method: str, pretrained: bool
) -> None:
    options = TrainingOptions(**TINY, method=method, mode="finetune", device="cpu")
    given = dataclasses.replace(backbone, pretrained=pretrained)
    recipe = plan_training(small, small_split, options, backbone=given).recipe
    rates = recipe.learning_rate, recipe.backbone_learning_rate
    expected = {("mhcln", True): (3e-5, 3e-5), ("dhcl", True): (1e-3, 3e-4)}
    # Without pretraining there is nothing to be careful with, whatever the method.
    assert rates == expected.get((method, pretrained), (1e-3, 1e-3))


@pytest.mark.parametrize("method", ["hpsh", "dhcl"])
def test_where_fine_tuning_starts(
    small: Dataset, small_split: Split, backbone: Backbone, method: str
) -> None:
    pretrained = dataclasses.replace(backbone, pretrained=True)
    options = TrainingOptions(**TINY, method=method, mode="finetune", epochs=1, device="cpu")
    plan = plan_training(small, small_split, options, backbone=pretrained)
    still = dataclasses.replace(
        plan.recipe, learning_rate=0.0, backbone_learning_rate=0.0, proxy_learning_rate=0.0
    )
    inputs = ImageInputs(plan.images.paths, backbone.preprocessing, plan.device)
    begun = fit_network(dataclasses.replace(plan, recipe=still), inputs)
    frozen = plan_training(
        small,
        small_split,
        dataclasses.replace(options, mode="frozen", epochs=None),
        backbone=pretrained,
    )
    trained = fit_network(frozen, FeatureInputs(begun.run.all_features(), plan.device))
    own, alone = begun.network.head.state_dict(), trained.network.head.state_dict()
    same = all(torch.equal(own[name], value) for name, value in alone.items())
    assert same == (plan.head_recipe is not None) == (METHODS[method].finetune_rate is not None)


@pytest.mark.parametrize(
    ("scores", "kept"),
    [
        ([0.5, 0.7, 0.6, 0.7], 3),  # of equals the latest
        ([0.5, 0.70, 0.69, 0.67], 2),  # the latest within one standard error of the highest
        ([0.70, 0.69, 0.75, 0.60], 2),
        ([None, None], 1),
    ],
)
def test_which_epoch_is_kept(scores: list[float | None], kept: int) -> None:
    history = History()
    for number, score in enumerate(scores):
        history.add(Epoch(number, {"a": 1.0}, score, 1.0, standard_error=0.02))
    assert history.best == kept


def test_unlabelled_folders_have_nothing_to_teach(tmp_path: Path) -> None:
    for number in range(8):
        Image.new("RGB", (32, 32), (number * 20, 0, 0)).save(tmp_path / f"{number}.png")
    data = load_dataset(tmp_path)
    with pytest.raises((DatasetError, InputError), match=r"label|class"):
        train(data, make_split(data), **TINY)


def test_splits_of_other_data_are_refused(small: Dataset, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        for number in range(8):
            pixels = np.random.default_rng(number).integers(0, 255, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels + ord(name)).save(tmp_path / name / f"{number}.png")
    other = load_dataset(tmp_path)
    with pytest.raises(DatasetError, match="does not fit"):
        train(small, make_split(other), **TINY)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "magic"}, "magic"),
        ({"mode": "thawed"}, "thawed"),
        ({"epochs": 0}, "0 epochs"),
        ({"bits": 4}, "4 bits"),
        ({"bits": 2}, "2 bits"),
        ({"device": "cuda"}, "CUDA"),
        ({"variant": "improved"}, "improved"),
    ],
)
def test_wrong_options(
    small: Dataset, small_split: Split, options: dict[str, Any], message: str
) -> None:
    import torch

    if options.get("device") == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(InputError, match=message):
        train(small, small_split, **{**TINY, **options})


def test_real_images_reach_the_published_range(ucmerced_root: Path, weights: Path) -> None:
    """Frozen UC Merced, seed 0; the figure in the docs is a mean of three seeds at 64 bits."""
    data = load_dataset("ucmerced")
    split = make_split(data, train=0.6, seed=0)
    encoder = train(data, split, bits=64, epochs=60, weights=str(weights), seed=0)
    report = evaluate(encoder, data, split, k=20)
    assert report.metrics.map_at_k > 0.92
