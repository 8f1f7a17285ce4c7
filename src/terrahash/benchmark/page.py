"""A benchmark's report as one self-contained HTML page."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from html import escape

from terrahash.benchmark.document import LEAD, Grid, Part
from terrahash.evaluation.report_html import STYLE

TABLES = """
.wide { overflow-x: auto; margin-top: 12px }
.wide table { width: auto }
.wide th, .wide td { white-space: nowrap; text-align: right; padding-right: 18px;
  font-variant-numeric: tabular-nums }
.wide th.text, .wide td.text { text-align: left }
.wide thead th { color: var(--faint); font-size: 13px; vertical-align: bottom }
.wide td.best { font-weight: 700; color: var(--accent) }
h3 { font-size: 15px; margin: 30px 0 4px }
ul { margin: 6px 0; padding-left: 18px; color: var(--faint); font-size: 13px }
"""


def page(
    parts: Sequence[Part], *, title: str, notes: Sequence[str], plots: Mapping[str, bytes]
) -> str:
    """The page as text.

    Args:
        parts: of the report.
        title: heading.
        notes: paragraphs before the parts.
        plots: file stem ► SVG, of what the parts show; what is missing is left out.
    """
    body = [f"<header><h1>{escape(title)}</h1><p class=lead>{_inline(LEAD)}</p></header>"]
    body += [f"<p>{_inline(note)}</p>" for note in notes]
    for part in parts:
        body.append(f"<section><h{part.level}>{escape(part.title)}</h{part.level}>")
        if part.lines:
            body.append(f"<ul>{''.join(f'<li>{_inline(line)}' for line in part.lines)}</ul>")
        if part.command:
            body.append(f"<pre><code>{escape(part.command)}</code></pre>")
        if part.grid is not None:
            body.append(_table(part.grid))
        body += [f"<p class=small>{_inline(note)}</p>" for note in part.notes]
        shown = [(stem, caption) for stem, caption in part.plots if stem in plots]
        if shown:
            figures = "".join(_figure(plots[stem], caption) for stem, caption in shown)
            body.append(f"<div class=plots>{figures}</div>")
        body.append("</section>")
    return (
        "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n"
        '<meta name=viewport content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; img-src data:; "
        "style-src 'unsafe-inline'\">\n"
        f"<title>{escape(title)}</title>\n<style>{STYLE}{TABLES}</style>\n</head>\n"
        "<body>\n<main>\n" + "\n".join(body) + "\n</main>\n</body>\n</html>\n"
    )


def _inline(text: str) -> str:
    """Escaped, with what stands between backquotes as code and between asterisks bold."""
    coded = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
    return re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", coded)


def _table(grid: Grid) -> str:
    head = "".join(
        f"<th scope=col{_kind(grid, place)}>{escape(heading)}</th>"
        for place, heading in enumerate(grid.headings)
    )
    rows = "".join(
        "<tr>"
        + "".join(
            f"<td{_kind(grid, place, marked)}>{escape(text)}</td>"
            for place, (text, marked) in enumerate(row)
        )
        for row in grid.rows
    )
    return f"<div class=wide><table><thead><tr>{head}</thead><tbody>{rows}</tbody></table></div>"


def _kind(grid: Grid, place: int, marked: bool = False) -> str:
    """The class of a cell as an attribute."""
    if place < grid.texts:
        return " class=text"
    return " class=best" if marked else ""


def _figure(image: bytes, caption: str) -> str:
    uri = f"data:image/svg+xml;base64,{base64.b64encode(image).decode('ascii')}"
    return (
        f'<figure class=plot><img alt="{escape(caption)}" src="{uri}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
