from __future__ import annotations

import re
from pathlib import Path

from terrahash.benchmark.document import document
from terrahash.benchmark.reporting import summary_json, write_reports
from terrahash.benchmark.results import Record
from tests.benchmark.conftest import MakeRecord


def records(make_record: MakeRecord) -> list[Record]:
    return [
        make_record(method="hpsh", value=0.92),
        make_record(method="hpsh", variant="published", value=0.81),
        make_record(method="hpsh", bits_asked=32, value=0.94),
        make_record(method="lsh", value=0.6, protocol="test-to-train"),
        {
            "kind": "failure",
            "request": "other",
            "title": "scenes csq 7 bits",
            "error": "InputError",
            "message": "codes of <7> bits | no",
            "remedy": "more",
        },
        {
            "kind": "session",
            "command": "terrahash benchmark ucmerced --out DIR",
            "runs": 4,
            "jobs": 2,
            "seconds": 120.0,
            "cpu_seconds": 200.0,
        },
    ]


def test_reports_hold_everything_and_point_nowhere(tmp_path: Path, make_record: MakeRecord) -> None:
    folder, text = tmp_path / "docs" / "benchmarks", tmp_path / "docs" / "benchmarks.md"
    folder.mkdir(parents=True)
    assert write_reports(records(make_record), folder, to_markdown=text) == [
        text,
        folder / "report.html",
    ]
    markdown = text.read_text()
    for line in (
        "| HPSH | **0.9200** | 0.9400 |",
        "| HPSH as published | 0.8100 |  |",
        "terrahash benchmark ucmerced --methods hpsh --bits 16,32 --variants corrected,published",
        "| HPSH | 16 | 0 | **0.9200** | 0.8100 | +0.1100 |",
        "ties: expectation over all orders of tied items",
        "InputError: codes of <7> bits \\| no",
        "4 runs, 2 at a time, in 2.0 minutes",
    ):
        assert line in markdown, line
    images = re.findall(r"\]\((\S+\.png)\)", markdown)
    assert len(images) == 6
    for image in images:
        assert (text.parent / image).read_bytes().startswith(b"\x89PNG")
    html = (folder / "report.html").read_text()
    assert "codes of &lt;7&gt; bits" in html
    assert html.count("data:image/svg+xml;base64,") == 6
    assert not re.search(r"(?:src|href)=\"?http", html)


def test_notes_stand_before_the_tables(tmp_path: Path, make_record: MakeRecord) -> None:
    (tmp_path / "notes.md").write_text("First <word>.\n\nSecond `word`.\n")
    write_reports(records(make_record), tmp_path, plots=False)
    markdown, html = (tmp_path / "report.md").read_text(), (tmp_path / "report.html").read_text()
    assert markdown.index("Second `word`.") < markdown.index("## How to read")
    assert "<p>First &lt;word&gt;.</p>\n<p>Second <code>word</code>.</p>" in html


def test_each_table_is_of_one_protocol(make_record: MakeRecord) -> None:
    parts = document(records(make_record))
    tables = [part for part in parts if part.grid is not None and part.command]
    assert [part.title for part in tables] == [
        "UC Merced Land Use, frozen, within-test",
        "UC Merced Land Use, frozen, test-to-train",
    ]


def test_warnings_of_training_are_passed_on(make_record: MakeRecord) -> None:
    record = make_record()
    record["training"]["warnings"] = ["the codes have collapsed"]
    (part,) = (part for part in document([record]) if part.title == "Warnings")
    assert part.lines == (
        "UC Merced Land Use, DHCL corrected, 16 bits, seed 0: the codes have collapsed",
    )


def test_the_summary_has_means_and_failures(make_record: MakeRecord) -> None:
    summary = summary_json(records(make_record))
    first = summary["tables"][0]
    assert first["protocol"] == "within-test"
    assert first["rows"][0]["mAP@20"] == {"mean": 0.92, "deviation": None, "best": True}
    assert summary["failures"][0]["error"] == "InputError"
