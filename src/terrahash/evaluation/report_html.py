"""A self-contained HTML page: tables, pictures of answers, plots, and commands to repeat it.

Everything is in the one file: styles, pictures as data URIs, no script, nothing from elsewhere.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from io import BytesIO

from terrahash.evaluation.pictures import QueryRow, Tile, thumbnail

THUMBNAIL = 120  # pixels, drawn at 90: sharp enough on dense screens, small enough to mail


@dataclass(frozen=True)
class Table:
    """Rows of name, value and meaning; the first row of a leading table is the headline figure."""

    title: str
    rows: Sequence[tuple[str, str, str]]
    note: str = ""


@dataclass(frozen=True)
class Gallery:
    """Queries with their answers."""

    title: str
    rows: Sequence[QueryRow]
    note: str = ""


@dataclass(frozen=True)
class Command:
    """What to type to repeat a step."""

    purpose: str
    line: str


def html_page(
    *,
    title: str,
    lead: str,
    figures: Sequence[tuple[str, str]] = (),
    tables: Sequence[Table] = (),
    galleries: Sequence[Gallery] = (),
    plots: Mapping[str, bytes] | None = None,
    commands: Sequence[Command] = (),
    notes: Sequence[str] = (),
    footer: str = "",
) -> str:
    """The page as text.

    Args:
        title: heading of the page.
        lead: a sentence or two below it.
        figures: value and name of the few numbers shown large.
        tables: numbers.
        galleries: query rows.
        plots: caption ► PNG or SVG bytes.
        commands: how to repeat each step.
        notes: warnings that a reader must not miss.
        footer: last line, such as versions.
    """
    parts = [
        f"<header><h1>{escape(title)}</h1><p class=lead>{escape(lead)}</p></header>",
        *(f"<p class=note><b>Note.</b> {escape(note)}</p>" for note in notes),
        _figures(figures),
        *(_gallery(gallery) for gallery in galleries),
        _tables(tables),
        _plots(plots or {}),
        _commands(commands),
        f"<footer>{escape(footer)}</footer>" if footer else "",
    ]
    body = "\n".join(part for part in parts if part)
    return (
        "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n"
        '<meta name=viewport content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; img-src data:; "
        "style-src 'unsafe-inline'\">\n"
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _figures(figures: Sequence[tuple[str, str]]) -> str:
    if not figures:
        return ""
    cells = "".join(
        f"<div><strong>{escape(value)}</strong><span>{escape(name)}</span></div>"
        for value, name in figures
    )
    return f"<section class=figures>{cells}</section>"


def _tables(tables: Sequence[Table]) -> str:
    if not tables:
        return ""
    blocks = []
    for table in tables:
        rows = "".join(
            f"<tr><th scope=row>{escape(name)}</th><td class=value>{escape(value)}</td>"
            f"<td class=meaning>{escape(meaning)}</td></tr>"
            for name, value, meaning in table.rows
        )
        note = f"<p class=small>{escape(table.note)}</p>" if table.note else ""
        blocks.append(f"<div><h2>{escape(table.title)}</h2><table>{rows}</table>{note}</div>")
    return f"<section class=tables>{''.join(blocks)}</section>"


def _gallery(gallery: Gallery) -> str:
    note = f"<p class=small>{escape(gallery.note)}</p>" if gallery.note else ""
    rows = "".join(
        f"<div class=row><div class=query>{_tile(row.query)}</div>"
        f"<div class=answers>{''.join(_tile(answer) for answer in row.answers)}</div></div>"
        for row in gallery.rows
    )
    return f"<section><h2>{escape(gallery.title)}</h2>{note}<div class=rows>{rows}</div></section>"


def _tile(tile: Tile) -> str:
    kind = {True: "right", False: "wrong", None: "open"}[tile.right]
    said = {True: "right: ", False: "wrong: ", None: ""}[tile.right]
    picture = thumbnail(tile.image, THUMBNAIL)
    if picture is None:
        shown = "<span class=missing>no image</span>"
    else:
        shown = f'<img alt="{escape(said + tile.label)}" src="{_jpeg(picture)}">'
    badge = {True: "<i>✓</i>", False: "<i>✗</i>", None: ""}[tile.right]
    caption = "".join(
        f'<span class={name} title="{escape(text)}">{escape(text)}</span>'
        for name, text in (("label", tile.label), ("detail", tile.detail))
        if text
    )
    return (
        f"<figure class={kind}><div class=frame>{shown}{badge}</div>"
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _jpeg(picture: object) -> str:
    target = BytesIO()
    picture.save(target, "JPEG", quality=82, optimize=True)  # type: ignore[attr-defined]
    return _data_uri("image/jpeg", target.getvalue())


def _plots(plots: Mapping[str, bytes]) -> str:
    if not plots:
        return ""
    images = "".join(
        f'<figure class=plot><img alt="{escape(caption)}" src="{_plot_uri(content)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        for caption, content in plots.items()
    )
    return f"<section><h2>Curves</h2><div class=plots>{images}</div></section>"


def _plot_uri(content: bytes) -> str:
    return _data_uri("image/png" if content.startswith(b"\x89PNG") else "image/svg+xml", content)


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _commands(commands: Sequence[Command]) -> str:
    if not commands:
        return ""
    steps = "".join(
        f"<li><span>{escape(command.purpose)}</span><pre><code>{escape(command.line)}</code></pre>"
        for command in commands
    )
    return f"<section><h2>Repeat it</h2><ol class=commands>{steps}</ol></section>"


STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1f2328; --faint: #656d76;
  --rule: #d8dee4; --panel: #f6f8fa; --right: #1a7f37; --wrong: #cf222e; --accent: #0a5e9c }
@media (prefers-color-scheme: dark) { :root { --paper: #0f1419; --ink: #e6edf3; --faint: #8d96a0;
  --rule: #30363d; --panel: #171d24; --right: #3fb950; --wrong: #ff6b61; --accent: #6cb6ff } }
* { box-sizing: border-box }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif }
main { max-width: 1280px; margin: 0 auto; padding: 40px 28px 64px }
h1 { font-size: 29px; line-height: 1.2; margin: 0 0 8px; letter-spacing: -.01em }
h2 { font-size: 18px; margin: 44px 0 6px }
.lead { margin: 0; color: var(--faint); max-width: 90ch }
.small { margin: 0 0 12px; color: var(--faint); font-size: 13px; max-width: 100ch }
.note { margin: 18px 0 0; padding: 10px 14px; background: var(--panel);
  border-left: 4px solid #bf8700; border-radius: 4px }
.figures { display: grid; gap: 14px; margin-top: 28px;
  grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)) }
.figures div { padding: 14px 18px; background: var(--panel); border-radius: 10px }
.figures strong { display: block; font-size: 27px; line-height: 1.15; letter-spacing: -.01em;
  font-variant-numeric: tabular-nums }
.figures div:first-child strong { color: var(--accent) }
.figures span { color: var(--faint); font-size: 13px }
.rows { border-top: 1px solid var(--rule) }
.row { display: flex; gap: 26px; padding: 14px 0 8px; border-bottom: 1px solid var(--rule);
  break-inside: avoid }
.query { flex: none; width: 90px }
.answers { flex: 1; display: grid; gap: 11px; grid-template-columns: repeat(auto-fill, 90px) }
figure { margin: 0; min-width: 0 }
.frame { position: relative; max-width: 90px; aspect-ratio: 1; border-radius: 9px;
  border: 4px solid transparent }
.frame img, .missing { display: block; width: 100%; height: 100%; border-radius: 5px;
  object-fit: cover }
.missing { display: grid; place-items: center; background: var(--panel); color: var(--faint);
  font-size: 12px; text-align: center }
.query .frame { border-color: var(--ink) }
.right .frame { border: 4px solid var(--right) }
.wrong .frame { border: 4px dashed var(--wrong) }
.answers .open .frame { border: 1px solid var(--rule); padding: 3px }
.frame i { position: absolute; top: -4px; right: -4px; width: 20px; height: 20px;
  border-radius: 50%; border: 2px solid var(--paper); color: #fff; font: bold 11px/16px sans-serif;
  text-align: center; print-color-adjust: exact; -webkit-print-color-adjust: exact }
.right i { background: #1a7f37 }
.wrong i { background: #cf222e }
figcaption span { display: block; font-size: 12px; line-height: 1.35; white-space: nowrap;
  overflow: hidden; text-overflow: ellipsis }
.detail { color: var(--faint) }
.tables { columns: 2; column-gap: 48px }
.tables div { break-inside: avoid; padding-bottom: 18px }
.tables { margin-top: 18px }
.tables h2 { margin: 0; padding: 22px 0 6px }
table { border-collapse: collapse; width: 100%; font-size: 14px; margin-bottom: 8px }
th, td { text-align: left; padding: 5px 10px 5px 0; border-bottom: 1px solid var(--rule);
  font-weight: normal; vertical-align: top }
th { white-space: nowrap }
.value { text-align: right; font-variant-numeric: tabular-nums; font-weight: 600 }
.meaning { color: var(--faint); font-size: 13px }
.plots { display: grid; gap: 18px; margin-top: 12px;
  grid-template-columns: repeat(auto-fit, minmax(460px, 1fr)) }
.plot { break-inside: avoid }
.plot img { width: 100%; background: #fff; border: 1px solid var(--rule); border-radius: 10px;
  padding: 10px }
.plot figcaption { color: var(--faint); font-size: 13px; padding: 2px 4px }
.commands { padding-left: 20px; margin: 8px 0 0 }
.commands li { margin: 0 0 10px }
.commands span { color: var(--faint) }
pre { margin: 4px 0 0; padding: 10px 14px; background: var(--panel); border-radius: 8px;
  overflow-x: auto; font-size: 13px; line-height: 1.45; white-space: pre-wrap;
  overflow-wrap: anywhere }
code { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace }
footer { margin-top: 48px; padding-top: 14px; border-top: 1px solid var(--rule);
  color: var(--faint); font-size: 13px }
@media (min-width: 900px) { .answers { grid-template-columns: repeat(10, minmax(0, 90px)) } }
@media (max-width: 640px) { main { padding: 24px 16px 40px } .row { flex-direction: column }
  .tables { columns: 1 } .plots { grid-template-columns: 1fr } }
@media print { main { max-width: none; padding: 0 } body { font-size: 12px }
  .figures div, pre { border: 1px solid var(--rule) } }
"""
