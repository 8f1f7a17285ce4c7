"""``terrahash data`` as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from terrahash.cli.data import app
from terrahash.datasets import KNOWN, Split, load_dataset
from terrahash.errors import InputError, TerrahashError

from .conftest import MakeFolder
from .test_download import Publisher, publisher  # noqa: F401 (a fixture)
from .test_fetch import archive, served
from .test_known import fake


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def answer(*arguments: str) -> dict[str, Any]:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    loaded: dict[str, Any] = json.loads(result.stdout)
    return loaded


def test_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERRAHASH_DATA", str(tmp_path))
    fake("aid", tmp_path, 1)
    rows = {row["name"]: row for row in answer("list", "--json")["datasets"]}
    assert set(rows) == {"scenes", "scenes-sets", "scenes-ms", *KNOWN}
    assert rows["aid"]["path"] == str(tmp_path / "AID")
    assert rows["ucmerced"]["path"] is None
    assert rows["scenes"]["classes"] == 16
    assert rows["scenes-sets"]["classes"] == 13
    table = run("list").stdout
    assert all(name in table for name in rows)


def test_fetch_of_what_is_here_tells_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERRAHASH_DATA", str(tmp_path))
    fake("ucmerced", tmp_path, 1)
    found = answer("fetch", "ucmerced", "--json")
    assert found == {"name": "ucmerced", "path": str(tmp_path / "UCMerced_LandUse/Images")}


def test_fetch_shows_the_terms_and_asks() -> None:
    result = run("fetch", "ucmerced")
    assert isinstance(result.exception, InputError)
    assert "not accepted" in str(result.exception)
    assert KNOWN["ucmerced"].terms in result.stderr
    assert KNOWN["ucmerced"].downloads[0].url in result.stderr
    assert result.stdout == ""


def test_fetch(
    publisher: Publisher,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = archive([f"RSSCN7-master/{c}/1.jpg" for c in KNOWN["rsscn7"].classes])
    monkeypatch.setitem(KNOWN, "rsscn7", served(publisher, "rsscn7", content))
    found = answer("fetch", "rsscn7", "--to", str(tmp_path), "--yes", "--json")
    assert found == {"name": "rsscn7", "path": str(tmp_path / "RSSCN7-master")}


@pytest.mark.parametrize("arguments", [("fetch", "aid", "--yes"), ("fetch", "nothing")])
def test_fetch_of_what_cannot_be_fetched(arguments: tuple[str, ...]) -> None:
    assert isinstance(run(*arguments).exception, TerrahashError)


def test_split(make_folder: MakeFolder, tmp_path: Path) -> None:
    root = make_folder({"a": 10, "b": 10})
    out = tmp_path / "split.txt"
    told = answer(
        "split", str(root), "--out", str(out), "--split", "50-50", "--seed", "4", "--json"
    )
    split = Split.load(out, load_dataset(root))
    assert told["hash"] == split.hash
    assert told["rule"] == "stratified 50-50 validation 0.1"
    assert told["roles"] == {"fit": 8, "validation": 2, "test": 10}
    again = run("split", str(root), "-o", str(out)).stdout
    assert Split.load(out).hash in again


def test_info(make_folder: MakeFolder) -> None:
    root = make_folder({"a": 2, "b": 3})
    (root / "b/copy.png").write_bytes((root / "a/a00.png").read_bytes())
    told = answer("info", str(root), "--json")
    assert told["images"] == 6
    assert told["classes"] == {"a": 2, "b": 4}
    assert told["duplicates"] == 1
    assert "b: 4" in run("info", str(root)).stdout


def test_sheet(tmp_path: Path) -> None:
    for number, class_name in enumerate(("sea", "sand")):
        (tmp_path / "d" / class_name).mkdir(parents=True)
        for tile in range(3):
            pixels = np.full((20, 30, 3), 60 + 90 * number + tile, np.uint8)
            Image.fromarray(pixels).save(tmp_path / "d" / class_name / f"{tile}.png")
    (tmp_path / "d/sea/broken.png").write_bytes(b"no image")
    out = tmp_path / "sheet.png"
    assert run("sheet", str(tmp_path / "d"), "--out", str(out), "--columns", "4").exit_code == 0
    with Image.open(out) as image:
        assert image.size == (150 + 4 * 100 + 4, 2 * 100 + 4)
        assert len(image.getcolors(100_000) or []) > 6
    wrong = run("sheet", str(tmp_path / "d"), "--out", str(tmp_path / "no/sheet.png"))
    assert isinstance(wrong.exception, TerrahashError)
