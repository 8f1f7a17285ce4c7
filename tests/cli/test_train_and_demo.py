"""Training, evaluating and the demo from the shell."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from terrahash.encoder import Encoder
from tests.conftest import pattern

from .conftest import Run

TINY = ("--backbone", "resnet10t", "--weights", "none", "--size", "32", "--bits", "16")


def test_train_then_evaluate(run: Run, tiles: Path, tmp_path: Path) -> None:
    model, report = tmp_path / "model", tmp_path / "report"
    trained = run("train", tiles, *TINY, "--epochs", 5, "--seed", 3, "--out", model, "--json")
    assert trained.code == 0, trained.err
    assert json.loads(trained.out)["fingerprint"] == Encoder.load(model).fingerprint
    measured = run("evaluate", tiles, "--model", model, "--k", 5, "--json", "--out", report)
    assert measured.code == 0, measured.err
    numbers = json.loads(measured.out)
    keys = """method variant backbone mode bits label_bits dataset split split_hash seed protocol k
        n_queries n_database map_at_k map precision_at_k recall_at_k hit_at_k map_at_k_hits
        map_at_k_asymmetric tie_rule distinct_codes seconds versions"""
    assert set(keys.split()) <= set(numbers)
    assert (numbers["bits"], numbers["label_bits"], numbers["seed"]) == (16, 2, 3)
    assert numbers["split_hash"] == Encoder.load(model).card["split_hash"]
    assert 0 < numbers["map_at_k"] <= 1
    assert (report / "report.html").exists()
    smaller = run("quantize", tiles, "--model", model, "--out", tmp_path / "int8")
    assert smaller.code == 0, smaller.err
    assert "of bits equal on 4 images" in smaller.out
    again = run("evaluate", tiles, "--model", tmp_path / "int8", "--k", 5, "--json")
    assert json.loads(again.out)["split_hash"] == numbers["split_hash"]
    wrong = run("evaluate", tiles, "--model", model, "--k", 5, "--seed", 4)
    assert wrong.code == 2
    assert "split" in wrong.err


def test_demo_leaves_a_page_that_needs_nothing_else(
    run: Run, tiles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from terrahash.cli import demo

    monkeypatch.setitem(demo.FROM_NOTHING, "epochs", 2)
    out = tmp_path / "demo"
    done = run("demo", "--data", tiles, "--out", out, "--bits", 16, "--weights", "none")
    assert done.code == 0, done.err
    assert "mAP@20" in done.out
    assert (out / "report.html").absolute().as_uri() in done.out
    page = (out / "report.html").read_text()
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", page)
    assert "@import" not in page
    for command in ("train", "index", "search", "evaluate"):
        assert f"terrahash {command}" in page
    with Image.open(out / "search.png") as picture:
        assert picture.width > 1000
    again = run("demo", "--data", tiles, "--out", out, "--bits", 16, "--weights", "none")
    assert again.code == 0, again.err


def test_demo_does_not_fill_a_folder_of_somebody_elses(run: Run, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    outcome = run("demo", "--out", tmp_path)
    assert outcome.code == 2
    assert "not empty" in outcome.err


def test_one_class_is_nothing_to_learn(run: Run, tiles: Path, tmp_path: Path) -> None:
    shutil.copytree(tiles / "rows", tmp_path / "one" / "rows")
    outcome = run("train", tmp_path / "one", *TINY, "--out", tmp_path / "m")
    assert outcome.code == 2
    assert "class" in outcome.err


def test_a_class_too_small_for_the_split(run: Run, tiles: Path, tmp_path: Path) -> None:
    shutil.copytree(tiles / "rows", tmp_path / "two" / "rows")
    (tmp_path / "two" / "rare").mkdir()
    Image.fromarray(pattern(1, 0)).save(tmp_path / "two" / "rare" / "only.png")
    outcome = run("train", tmp_path / "two", *TINY, "--out", tmp_path / "m")
    assert outcome.code == 2
    assert "rare" in outcome.err


def test_an_unreadable_training_image_is_named(run: Run, tiles: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(tiles, tmp_path / "tiles"))
    for number in range(10):  # more than the eight that go to the test part
        broken = root / "rows" / f"rows{number:02d}.png"
        broken.write_bytes(broken.read_bytes()[:100])
    outcome = run("train", root, *TINY, "--out", tmp_path / "m", "--epochs", 1)
    assert outcome.code == 2
    assert "rows0" in outcome.err


def test_too_few_bits_beside_the_label_bits(run: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for kind in range(20):
        folder = tmp_path / "many" / f"class{kind:02d}"
        folder.mkdir(parents=True)
        for number in range(5):
            pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    outcome = run("train", tmp_path / "many", "--weights", "none", "--bits", 5, "--out", "m")
    assert outcome.code == 2
    assert "5 label bits" in outcome.err
