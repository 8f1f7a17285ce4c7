"""``terrahash index``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def index(
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGES…", help="Images, or folders of images.")
    ],
    archive: Annotated[Path, typer.Option("--archive", "-a", help="Folder of the archive.")],
    model: Annotated[
        Path | None,
        typer.Option(
            "--model", "-m", help="Encoder folder; an archive that exists knows its encoder."
        ),
    ] = None,
    folder_labels: Annotated[
        bool, typer.Option("--folder-labels", help="Store each image's folder as its label.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Threads; by default one for each core.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write skipped files and reasons to this JSON file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Put images into an archive: encode what is new or has changed, pass over the rest.

    Safe to interrupt: what is stored stays stored, and the next run completes it. Files that
    cannot be read are skipped and named; the exit code is then 1.
    """
    from terrahash.archive import open_archive
    from terrahash.archive.indexing import index_images
    from terrahash.progress import Terminal

    with open_archive(archive, model) as opened, Terminal() as terminal:
        result = index_images(
            opened, images, folder_labels=folder_labels, workers=workers, reporter=terminal
        )
        total = len(opened)
        for source, reason in result.skipped[:SHOWN_SKIPPED]:
            terminal.note(f"skipped {source!r}: {reason}")
        if len(result.skipped) > SHOWN_SKIPPED:
            terminal.note(f"… and {len(result.skipped) - SHOWN_SKIPPED} more; see --report FILE")
    if report is not None:
        report.write_text(json.dumps(result.to_json()["skipped"], indent=1) + "\n")
    if as_json:
        typer.echo(json.dumps({**result.to_json(), "tiles": total}))
    else:
        typer.echo(
            f"{archive}: {result.added} added, {result.updated} updated, "
            f"{result.unchanged} unchanged, {len(result.skipped)} skipped; {total} tiles in all"
        )
    if result.skipped:
        raise typer.Exit(1)


SHOWN_SKIPPED = 20
