"""Writing a benchmark's reports and plots, and its summary in JSON."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

from terrahash.benchmark.document import document
from terrahash.benchmark.markdown import markdown
from terrahash.benchmark.page import page
from terrahash.benchmark.results import Record
from terrahash.benchmark.summary import COLUMNS, Section, failures, sections
from terrahash.errors import InputError, MissingExtraError

TITLE = "Benchmarks"
PAGE = "report.html"
MARKDOWN = "report.md"
PLOTS = "plots"
# What people have to say of the figures, put before them.
NOTES = "notes.md"


def write_reports(
    records: Sequence[Record], folder: Path, *, to_markdown: Path | None = None, plots: bool = True
) -> list[Path]:
    """Write ``report.html``, the Markdown and the plots of a benchmark.

    Paragraphs of a ``notes.md`` in the folder are put before the tables.

    Args:
        records: of the benchmark.
        folder: of the benchmark.
        to_markdown: file for the Markdown; by default ``report.md`` in the folder.
        plots: also draw them; without matplotlib they are left out.

    Returns:
        The reports written.

    Raises:
        InputError: if a file cannot be written.
    """
    parts = document(records)
    text = to_markdown or folder / MARKDOWN
    drawn = _drawn(records, folder) if plots else {}
    notes = _notes(folder)
    relative = PurePath(os.path.relpath(folder / PLOTS, text.parent)).as_posix()
    try:
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text(markdown(parts, title=TITLE, notes=notes, plots=relative), encoding="utf-8")
        html = page(parts, title=TITLE, notes=notes, plots=drawn)
        (folder / PAGE).write_text(html, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"cannot write the report to {error.filename}: {error.strerror}",
            "choose a writable place with some space",
        ) from None
    return [text, folder / PAGE]


def _notes(folder: Path) -> list[str]:
    """The paragraphs of the notes."""
    path = folder / NOTES
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return [paragraph.strip() for paragraph in text.split("\n\n") if paragraph.strip()]


def summary_json(records: Sequence[Record]) -> dict[str, Any]:
    """The tables and failures, JSON-ready."""
    return {
        "tables": [_table(section) for section in sections(records)],
        "failures": [
            {key: record[key] for key in ("title", "error", "message", "remedy")}
            for record in failures(records)
        ],
    }


def _drawn(records: Sequence[Record], folder: Path) -> dict[str, bytes]:
    """Draw all plots into the folder; file stem ► SVG."""
    from terrahash.benchmark.figures import figures

    drawn: dict[str, bytes] = {}
    try:
        for section in sections(records):
            drawn |= figures(section, "svg")
            (folder / PLOTS).mkdir(exist_ok=True)
            for stem, image in figures(section, "png").items():
                (folder / PLOTS / f"{stem}.png").write_bytes(image)
    except MissingExtraError:
        return {}
    return drawn


def _table(section: Section) -> dict[str, Any]:
    return {
        "protocol": section.protocol,
        "database": section.database,
        **section.setting,
        "command": section.command,
        "rows": [
            {
                "method": row.method,
                "variant": row.variant,
                "bits": row.bits,
                "label_bits": row.label_bits,
                "seeds": list(row.seeds),
                **{
                    column.heading.format(k=section.k): {
                        "mean": cell.mean,
                        "deviation": cell.deviation,
                        "best": cell.is_best,
                    }
                    for column, cell in zip(COLUMNS, row.cells, strict=True)
                },
            }
            for row in section.rows
        ],
    }
