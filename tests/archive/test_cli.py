"""``terrahash archive …``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from terrahash.archive import Archive
from terrahash.cli.archive import app
from terrahash.errors import TerrahashError

from .conftest import LAYOUT, random_codes


@pytest.fixture
def stored(folder: Path) -> str:
    with Archive.create(folder, LAYOUT) as archive:
        archive.add_codes(
            random_codes(6),
            sources=[f"{n}.tif" for n in range(6)],
            labels=["harbor", "river"] * 3,
            bboxes=[(n, 0, n + 0.5, 1) for n in range(6)],
            columns={"cloud": [0, 10, 20, 30, 40, 50]},
        )
    return str(folder)


def call(*args: str, code: int = 0) -> Any:
    result = CliRunner().invoke(app, args)
    if result.exception and isinstance(result.exception, TerrahashError):
        raise result.exception
    assert result.exit_code == code, result.output
    return json.loads(result.stdout) if "--json" in args else result.stdout


def test_info(stored: str) -> None:
    found = call("info", stored, "--json")
    assert {"tiles": 6, "bits": 64, "encoder": ""}.items() <= found.items()
    assert "tiles: 6" in call("info", stored)


def test_list(stored: str) -> None:
    found = call("list", stored, "--where", "label = 'river'", "--limit", "2", "--json")
    assert found["total"] == 3
    assert [tile["id"] for tile in found["tiles"]] == [2, 4]
    assert found["tiles"][0]["columns"] == {"cloud": 10}
    assert "2.tif" in call("list", stored, "--bbox", "2", "0", "2.1", "1")
    lines = call("list", stored, "--csv").splitlines()
    assert lines[0].endswith(",source,cloud")
    assert len(lines) == 7


def test_delete(stored: str) -> None:
    assert call("delete", stored, "--id", "1", "--dry-run", "--json")["matching"] == 1
    assert call("delete", stored, "--id", "1", "--id", "99", "--json")["deleted"] == 1
    assert call("delete", stored, "--where", "cloud > 30", "--json")["deleted"] == 2
    assert call("info", stored, "--json")["tiles"] == 3
    with pytest.raises(TerrahashError, match="ids or a filter"):
        call("delete", stored)


def test_update(stored: str) -> None:
    found = call(
        "update", stored, "--id", "2", "--set", "label=sea", "--set", "cloud=",
        "--set", "seen=true", "--set", "bbox=1 2 3 4", "--json",
    )  # fmt: skip
    assert found == {"updated": 1}
    (tile,) = call("list", stored, "--where", "label = 'sea'", "--json")["tiles"]
    assert tile["columns"] == {"cloud": None, "seen": True}
    assert tile["bbox"] == [1, 2, 3, 4]
    with pytest.raises(TerrahashError, match="no number"):
        call("update", stored, "--id", "2", "--set", "cloud=many")
    with pytest.raises(TerrahashError, match="no assignment"):
        call("update", stored, "--id", "2", "--set", "cloud")


def test_verify_repair_and_compact(stored: str) -> None:
    assert call("verify", stored, "--json")["ok"]
    call("delete", stored, "--id", "1")
    assert call("compact", stored, "--json")["segments"] == 1
    (path,) = (Path(stored) / "segments").iterdir()
    raw = bytearray(path.read_bytes())
    raw[70] ^= 1
    path.write_bytes(raw)
    assert not call("verify", stored, "--json", code=1)["ok"]
    assert call("repair", stored, "--json", code=1)["lost_rows"] == 5
    assert call("repair", stored) == "nothing to repair\n"
    call("verify", stored)


def test_export_and_import(stored: str, tmp_path: Path) -> None:
    target = str(tmp_path / "tiles.csv")
    assert call("export", stored, target, "--where", "cloud > 10", "--json")["rows"] == 4
    other = str(tmp_path / "other")
    assert call("import", other, target, "--bits", "64", "--json")["rows"] == 4
    with pytest.raises(TerrahashError, match="already"):
        call("import", other, target)
    assert call("import", other, target, "--on-conflict", "skip", "--json")["rows"] == 4
    assert call("info", other, "--json")["tiles"] == 4
    call("export", stored, str(tmp_path / "tiles.json"), code=1)
