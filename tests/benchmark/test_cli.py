from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from terrahash.benchmark.results import RESULTS
from terrahash.cli.main import app
from terrahash.errors import InputError

NETWORK = ["--backbone", "test_resnet", "--weights", "none", "--size", "48"]


def call(*words: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["benchmark", *map(str, words)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


def test_a_dry_run_lists_the_runs_and_writes_nothing(tiles: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words: list[str | Path] = [
        tiles,
        "--out",
        out,
        "--methods",
        "dhcl,lsh",
        "--bits",
        "2,16",
        *NETWORK,
        "--dry-run",
    ]
    code, text = call(*words, "--json")
    plan = json.loads(text)
    assert code == 0
    assert [run["state"] for run in plan["runs"]] == ["impossible", "impossible", "to do", "to do"]
    assert "label bits" in plan["runs"][0]["message"]
    assert plan["seconds"] is None
    assert "to do" in call(*words)[1]
    assert not out.exists()


def test_runs_that_fail_make_the_exit_code_1(tiles: Path, tmp_path: Path) -> None:
    words: list[str | Path] = [
        tiles,
        "--out",
        tmp_path,
        "--methods",
        "dhcl",
        "--bits",
        "2",
        *NETWORK,
        "--json",
    ]
    code, text = call(*words)
    summary = json.loads(text)
    assert code == 1
    assert summary["runs"] == {"finished_before": 0, "done": 0, "failed": 1}
    assert "label bits" in summary["failures"][0]["message"]
    assert "label bits" in (tmp_path / "report.md").read_text()


def test_what_is_no_number_is_refused(tiles: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--bits 16;32: not whole numbers"):
        call(tiles, "--out", tmp_path, "--bits", "16;32")


def test_a_folder_of_another_version_is_refused(tiles: Path, tmp_path: Path) -> None:
    (tmp_path / RESULTS).write_text('{"format": 99}\n')
    with pytest.raises(InputError, match="benchmark format 99"):
        call(tiles, "--out", tmp_path, "--methods", "lsh", "--bits", "16", *NETWORK)
    assert [path.name for path in tmp_path.iterdir()] == [RESULTS]
