"""Tables, and places that are checked beforehand."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import pytest

from terrahash.cli.output import check_file, check_folder, part, place, print_table
from terrahash.errors import InputError

COLUMNS: dict[str, Literal["left", "right"]] = {"id": "right", "place": "left", "source": "left"}
ROWS = [
    {"id": "1", "place": "48.1000 9.1000", "source": "a/rather/long/name/of/a/file.tif"},
    {"id": "2", "source": "b.tif"},
]


def test_a_pipe_folds_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    rows = [{"id": "1", "source": "x" * 500}]
    print_table(rows, COLUMNS, title="[all]")
    lines = capsys.readouterr().out.splitlines()
    assert [line.rstrip() for line in lines] == ["[all]", "id  source", " 1  " + "x" * 500]


def test_a_narrow_terminal_loses_spare_columns_and_no_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    print_table(ROWS, COLUMNS, spare=("place",))
    wide = capsys.readouterr().out
    assert "48.1000 9.1000" in wide
    assert "–" in wide
    monkeypatch.setenv("COLUMNS", "40")
    print_table(ROWS, COLUMNS, spare=("place",))
    narrow = capsys.readouterr().out
    assert "48.1000" not in narrow
    assert "a/rather/long/name/of/a/file.tif" in narrow


def test_no_rows_are_no_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([], COLUMNS)
    assert capsys.readouterr().out == ""


def test_places() -> None:
    assert place((9, 48, 9.5, 48.5)) == "48.2500 9.2500"
    assert place((179, -1, -179, 1)) == "0.0000 180.0000"
    assert place((179.5, 0, -178.5, 0)) == "0.0000 -179.5000"


def test_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    below = str(Path.cwd() / "a" / "b.tif")
    assert part(below, None) == str(Path("a") / "b.tif")
    assert part("/elsewhere/b.tif", (0, 256, 128, 64)) == "/elsewhere/b.tif 128×64+0+256"
    assert part(None, None) == ""


@pytest.mark.parametrize(
    ("name", "message"),
    [("a.gif", "is no .png"), ("no/a.png", "no folder"), ("folder.png", "is a folder")],
)
def test_a_file_that_cannot_be_written(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(InputError, match=message):
        check_file(tmp_path / name, (".png",))
    check_file(tmp_path / "a.PNG", (".png",))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="no permission"):
        check_folder(tmp_path / "a" / "b")
    with pytest.raises(InputError, match="no permission"):
        check_file(tmp_path / "a.png")
