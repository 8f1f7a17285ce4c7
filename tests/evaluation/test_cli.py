from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from terrahash.cli.evaluate import Protocol, choose_split, evaluate
from terrahash.datasets.dataset import Dataset
from terrahash.datasets.split import Split, make_split
from terrahash.encoder import Encoder
from terrahash.errors import InputError
from terrahash.evaluation.protocols import PROTOCOLS

from .conftest import PixelEncoder

app = typer.Typer()
app.command()(evaluate)


@pytest.fixture(autouse=True)
def _model(monkeypatch: pytest.MonkeyPatch, encoder: PixelEncoder) -> None:
    monkeypatch.setattr(Encoder, "load", lambda folder: encoder)


def test_json_alone_on_standard_output(dataset: Dataset, split: Split) -> None:
    result = CliRunner().invoke(
        app, [str(dataset.root), "--model", "m", "--k", "5", "--json"], catch_exceptions=False
    )
    data = json.loads(result.stdout)
    assert result.exit_code == 0
    assert data["split_hash"] == split.hash  # made again from the encoder's card
    assert data["protocol"] == "within-test"
    assert result.stderr.startswith("encoding")  # progress alone


def test_out_leaves_a_whole_report(dataset: Dataset, split: Split, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = [str(dataset.root), "--model", "m", "-k", "5", "--protocol", "test-to-all"]
    result = CliRunner().invoke(app, [*arguments, "--out", str(out)], catch_exceptions=False)
    assert "mAP@5" in result.stdout
    names = {path.name for path in out.iterdir()}
    assert {"report.html", "report.json", "curves.csv", "examples.png", "split.txt"} <= names
    assert Split.load(out / "split.txt", dataset) == split
    assert "--protocol test-to-all --k 5" in (out / "report.html").read_text(encoding="utf-8")


def test_another_split_of_the_training_data_is_an_error(dataset: Dataset) -> None:
    result = CliRunner().invoke(
        app, [str(dataset.root), "--model", "m", "--split", "50-50", "--seed", "9"]
    )
    assert isinstance(result.exception, InputError)
    assert "seen images" in result.exception.message


def test_the_split_is_the_one_on_the_card(dataset: Dataset, tmp_path: Path) -> None:
    for made in (
        make_split(dataset, 0.75, seed=2, validation=0.25),
        make_split(dataset, 0.6, seed=1, validation=0),
        make_split(dataset, 0.5, seed=1, rule="random"),
        make_split(dataset, seed=0, rule="dhcl"),
    ):
        card = {"split_rule": made.rule, "split_seed": made.seed}
        assert choose_split(card, dataset, None, None) == made
    made.save(tmp_path / "split.txt")
    assert choose_split({}, dataset, str(tmp_path / "split.txt"), None) == made
    assert choose_split({"split_seed": 4}, dataset, "60-40", None).seed == 4
    with pytest.raises(InputError, match="does not say which split"):
        choose_split({}, dataset, None, None)


def test_what_cannot_be_is_said_before_any_image_is_encoded(
    dataset: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    for wrong in (("--k", "500"), ("--out", str(tmp_path / "file"))):
        result = CliRunner().invoke(app, [str(dataset.root), "--model", "m", *wrong])
        assert isinstance(result.exception, InputError)
        assert "encoding" not in result.stderr


def test_the_choices_are_the_protocols() -> None:
    assert [protocol.value for protocol in Protocol] == list(PROTOCOLS)
