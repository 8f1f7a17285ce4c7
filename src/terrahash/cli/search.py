"""``terrahash search``."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from terrahash.errors import ImageError, InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from terrahash.archive import Archive, Hits, Record
    from terrahash.evaluation.trust import TrustCurve

CSV_FIELDS = (
    "query", "rank", "id", "distance", "score", "precision", "label", "predicted_label",
    "source", "bbox", "datetime",
)  # fmt: skip


def search(
    archive: Annotated[Path, typer.Option("--archive", "-a", help="Folder of the archive.")],
    images: Annotated[
        list[Path] | None, typer.Argument(metavar="IMAGE…", help="Images to find the like of.")
    ] = None,
    ids: Annotated[
        list[int] | None, typer.Option("--id", help="Query with a stored tile; may be repeated.")
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Answers for each query.")] = 20,
    radius: Annotated[
        float | None, typer.Option(min=0, help="Only answers within this Hamming distance.")
    ] = None,
    where: Annotated[
        str | None, typer.Option(help="A condition, such as \"label = 'harbor'\".")
    ] = None,
    bbox: Annotated[
        tuple[float, float, float, float] | None,
        typer.Option(metavar="W S E N", help="Footprints that meet this box, degrees."),
    ] = None,
    after: Annotated[str | None, typer.Option(metavar="DATE", help="Taken then or later.")] = None,
    before: Annotated[str | None, typer.Option(metavar="DATE", help="Taken before.")] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Rank by whole bits, not by the query's activations.")
    ] = False,
    ties: Annotated[
        bool, typer.Option("--ties", help="Also all that tie with the last answer.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a query.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="One line an answer.")] = False,
    grid: Annotated[
        Path | None, typer.Option(metavar="OUT.png", help="Also draw the answers as a picture.")
    ] = None,
) -> None:
    """Find the tiles of an archive that look most like an image.

    Filters apply before distances. The order is always the same: by score (the query's activations
    against the stored bits), distance, then id.
    """
    if not images and not ids:
        raise InputError("nothing to search for", "give an image, or --id of a stored tile")
    if as_json and as_csv:
        raise InputError("--json and --csv exclude each other", "choose one")
    from terrahash.archive import open_archive

    with open_archive(archive, mode="r") as opened:
        trust = trust_curve(opened)
        found: list[Hits] = []
        skipped = 0
        queries: list[Path | int] = [*(images or []), *(ids or [])]
        for query in queries:
            try:
                found.append(
                    opened.search(
                        query,
                        k,
                        radius=radius,
                        where=where,
                        bbox=bbox,
                        after=after,
                        before=before,
                        ties=ties,
                        asymmetric=not plain,
                    )
                )
            except ImageError as error:
                skipped += 1
                print(f"skipped {error.message}", file=sys.stderr)  # noqa: T201
        if as_json:
            for hits in found:
                typer.echo(json.dumps(described(hits, trust)))
        elif as_csv:
            _write_csv(found, trust)
        else:
            for hits in found:
                _show(hits, trust)
        if grid is not None and found:
            _draw(opened, found, grid)
    if skipped:
        raise typer.Exit(1 if found else 2)


def trust_curve(archive: Archive) -> TrustCurve | None:
    """How precise answers at each distance were on the encoder's validation images, if known."""
    from terrahash.errors import TerrahashError
    from terrahash.evaluation.trust import TrustCurve

    try:
        curve = archive.encoder.card.get("precision_by_distance")
    except TerrahashError:
        return None
    return TrustCurve.from_json(curve) if curve else None


def described(hits: Hits, trust: TrustCurve | None) -> dict[str, Any]:
    """The hits as JSON, with the expected precision at each distance."""
    data = hits.to_json()
    for hit in data["hits"]:
        hit["precision"] = trust.at(hit["distance"]) if trust else None
    return data


def _write_csv(found: list[Hits], trust: TrustCurve | None) -> None:
    writer = csv.DictWriter(sys.stdout, CSV_FIELDS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for hits in found:
        data = described(hits, trust)
        for hit in data["hits"]:
            bbox = " ".join(str(value) for value in hit["bbox"]) if hit["bbox"] else None
            writer.writerow({**hit, "query": data["query"], "bbox": bbox})


def _show(hits: Hits, trust: TrustCurve | None) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    data = described(hits, trust)
    console = Console()
    table = Table(title=escape(data["query"] or "code"), title_justify="left", box=None)
    labelled = any(hit["label"] for hit in data["hits"])
    table.add_column("rank", justify="right")
    table.add_column("id", justify="right")
    table.add_column("distance", justify="right")
    if trust:
        table.add_column("precision", justify="right")
    if labelled:
        table.add_column("label")
    table.add_column("predicted")
    table.add_column("source", overflow="fold")
    for hit in data["hits"]:
        precision = "–" if hit["precision"] is None else f"{hit['precision']:.0%}"
        table.add_row(
            str(hit["rank"]),
            str(hit["id"]),
            f"{hit['distance']:g}",
            *([precision] if trust else []),
            *([escape(hit["label"] or "–")] if labelled else []),
            escape(hit["predicted_label"] or "–"),
            escape(hit["source"] or "–"),
        )
    console.print(table)
    shown = len(data["hits"])
    if not shown:
        console.print("nothing found: widen the radius or the filters")
    elif hits.ties_at_last_distance > 1:
        console.print(
            f"{hits.ties_at_last_distance} tiles tie with the last answer (--ties shows all)",
            style="dim",
        )


def _pixels(record: Record) -> NDArray[np.uint8] | bytes:
    """What a tile shows; nothing where that cannot be read."""
    from terrahash.archive.pixels import tile_image
    from terrahash.archive.thumbnails import DEFAULT_SIDE
    from terrahash.errors import TerrahashError

    try:
        return tile_image(record, DEFAULT_SIDE)
    except TerrahashError:
        return b""


def _asked(archive: Archive, query: str) -> NDArray[np.uint8] | bytes:
    """What a query shows: a stored tile by its id, or a file."""
    from terrahash.archive.inputs import query_image
    from terrahash.errors import TerrahashError

    if query.startswith("id "):
        return _pixels(archive.records([int(query.removeprefix("id "))])[0])
    try:
        return query_image(query)
    except TerrahashError:
        return b""


def _draw(archive: Archive, found: list[Hits], path: Path) -> None:
    from terrahash.evaluation.pictures import QueryRow, Tile, png, query_grid

    rows = []
    for hits in found:
        query = _asked(archive, hits.query or "")
        answers = tuple(
            Tile(
                _pixels(record),
                record.label or record.predicted_label or "",
                f"{distance:g} bits",
            )
            for record, distance in zip(hits.records, hits.distances.tolist(), strict=True)
        )
        rows.append(QueryRow(Tile(query, Path(hits.query or "").name), answers))
    path.write_bytes(png(query_grid(rows)))
    print(f"picture: {path}", file=sys.stderr)  # noqa: T201
