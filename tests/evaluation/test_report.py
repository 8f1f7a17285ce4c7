from __future__ import annotations

import csv
import json
import sys
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from terrahash.errors import InputError, MissingExtraError
from terrahash.evaluation import plots
from terrahash.evaluation.report import Report

# What other tools read: docs/evaluation.md.
KEYS = {
    "method",
    "variant",
    "backbone",
    "mode",
    "bits",
    "label_bits",
    "dataset",
    "split",
    "split_hash",
    "seed",
    "protocol",
    "k",
    "n_queries",
    "n_database",
    "map_at_k",
    "map",
    "precision_at_k",
    "recall_at_k",
    "hit_at_k",
    "map_at_k_hits",
    "map_at_k_asymmetric",
    "tie_rule",
    "distinct_codes",
    "seconds",
    "versions",
}


def test_json_has_every_promised_key_and_survives_json(report: Report) -> None:
    data = json.loads(json.dumps(report.to_json()))
    assert set(data) >= KEYS
    assert data["map_at_k"] == pytest.approx(report.map_at_k, abs=1e-6)
    assert (data["method"], data["seed"], data["split_seed"]) == ("dhcl", 5, 3)
    assert data["distinct_codes"] == 3
    assert "curves" not in data
    assert len(report.to_json(curves=True)["curves"]["ranks"]) == 17


def test_terminal_and_notebook_name_protocol_split_and_ties(report: Report) -> None:
    console = Console(width=160, record=True, file=StringIO())
    console.print(report)
    for text in (console.export_text(), report._repr_html_()):
        for fact in ("within-test", report.split_hash, f"{report.map_at_k:.4f}", "tied items"):
            assert fact in text
    assert "not mAP" in console.file.getvalue()  # type: ignore[attr-defined]
    assert "within-test" in repr(report)


def test_save_writes_numbers_curves_and_plots(report: Report, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    written = report.save(tmp_path / "new" / "folder")
    assert {path.name for path in written} == {
        "report.json",
        "curves.csv",
        "precision_recall.png",
        "precision_at_rank.png",
        "distances.png",
        "bit_balance.png",
    }
    assert all(path.stat().st_size > 0 for path in written)
    data = json.loads((tmp_path / "new" / "folder" / "report.json").read_text(encoding="utf-8"))
    assert data["curves"]["ranks"][0] == 1
    lines = list(csv.DictReader(StringIO(report.curves_csv())))
    ranks = [line for line in lines if line["curve"] == "rank"]
    assert float(ranks[4]["precision"]) == pytest.approx(report.metrics.precision_at_k, abs=1e-6)
    assert {line["curve"] for line in lines} == {"rank", "radius"}


def test_without_matplotlib_the_plots_are_left_out(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert {path.name for path in report.save(tmp_path)} == {"report.json", "curves.csv"}
    with pytest.raises(MissingExtraError, match="plotting needs"):
        plots.precision_recall([report])


def test_a_folder_that_cannot_be_written(report: Report, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot write the report"):
        report.save(tmp_path / "file")
