"""A benchmark's report in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from terrahash.benchmark.document import LEAD, Grid, Part


def markdown(
    parts: Sequence[Part], *, title: str, notes: Sequence[str], plots: str | PurePosixPath
) -> str:
    """The report as text.

    Args:
        parts: of the report.
        title: heading.
        notes: paragraphs before the parts.
        plots: folder of the figures, relative to the file that this is written to.
    """
    blocks = [f"# {title}", LEAD, *notes]
    for part in parts:
        blocks.append(f"{'#' * part.level} {part.title}")
        if part.lines:
            blocks.append("\n".join(f"- {line}" for line in part.lines))
        if part.command:
            blocks.append(f"```\n{part.command}\n```")
        if part.grid is not None:
            blocks.append(_table(part.grid))
        if part.notes:
            blocks.append("  \n".join(part.notes))
        if part.plots:
            blocks.append("\n".join(f"![{text}]({plots}/{stem}.png)" for stem, text in part.plots))
    return "\n\n".join(blocks) + "\n"


def _table(grid: Grid) -> str:
    lines = [
        _line(grid.headings),
        _line(["---"] * grid.texts + ["---:"] * (len(grid.headings) - grid.texts)),
        *(_line([f"**{text}**" if marked else text for text, marked in row]) for row in grid.rows),
    ]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
