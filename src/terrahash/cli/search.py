"""``terrahash search``."""

from __future__ import annotations

import csv
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from terrahash.cli.choices import After, BBox, Before, Ids, Where
from terrahash.cli.output import check_file, part, place, print_table
from terrahash.errors import ImageError, InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from terrahash.archive import Archive, Hits, Record
    from terrahash.evaluation.trust import TrustCurve

COLUMNS: dict[str, Literal["left", "right"]] = {
    "rank": "right", "id": "right", "distance": "right", "precision": "right",
    "label": "left", "predicted": "left", "place": "left", "source": "left",
}  # fmt: skip
SPARE = ("place", "precision", "predicted")
CSV_FIELDS = (
    "query", "rank", "id", "distance", "score", "precision", "label", "predicted_label",
    "source", "window", "bbox", "datetime",
)  # fmt: skip


def search(
    archive: Annotated[Path, typer.Option("--archive", "-a", help="Folder of the archive.")],
    images: Annotated[
        list[Path] | None, typer.Argument(metavar="IMAGE…", help="Images to find the like of.")
    ] = None,
    ids: Ids = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Answers for each query.")] = 20,
    radius: Annotated[
        float | None, typer.Option(min=0, help="Only answers within this Hamming distance.")
    ] = None,
    where: Where = None,
    bbox: BBox = None,
    after: After = None,
    before: Before = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Rank by whole bits, not by the query's activations.")
    ] = False,
    ties: Annotated[
        bool, typer.Option("--ties", help="Also all that tie with the last answer.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a query.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="One line an answer.")] = False,
    as_geojson: Annotated[
        bool, typer.Option("--geojson", help="One FeatureCollection of all answers' footprints.")
    ] = False,
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
    if as_json + as_csv + as_geojson > 1:
        raise InputError("--json, --csv and --geojson exclude each other", "choose one")
    if grid is not None:
        check_file(grid, (".png",))
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
        elif as_geojson:
            typer.echo(json.dumps(_features(found, trust), ensure_ascii=False))
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
            lists = {
                name: " ".join(map(str, hit[name])) for name in ("window", "bbox") if hit[name]
            }
            writer.writerow({**hit, "query": data["query"], **lists})


def _features(found: list[Hits], trust: TrustCurve | None) -> dict[str, Any]:
    """The answers as GeoJSON; those without a footprint have no geometry (RFC 7946, 3.2)."""
    from terrahash.archive.exchange.geojson import footprint
    from terrahash.archive.thumbnails import COLUMN

    features = []
    for hits in found:
        data = described(hits, trust)
        for hit in data["hits"]:
            columns = {name: hit["columns"][name] for name in hit["columns"] if name != COLUMN}
            del hit["columns"]
            box = hit.pop("bbox")
            features.append(
                {
                    "type": "Feature",
                    "geometry": footprint(box) if box else None,
                    "properties": {**columns, "query": data["query"], **hit},
                }
            )
    return {"type": "FeatureCollection", "features": features}


def _show(hits: Hits, trust: TrustCurve | None) -> None:
    data = described(hits, trust)
    title = data["query"] or "code"
    if not data["hits"]:
        typer.echo(f"{title}: nothing found; widen the radius or the filters")
        return
    print_table([_cells(hit) for hit in data["hits"]], COLUMNS, spare=SPARE, title=title)
    if hits.ties_at_last_distance > 1 and not _holds_all_ties(hits):
        typer.echo(f"{hits.ties_at_last_distance} tiles tie with the last answer (--ties: all)")


def _cells(hit: dict[str, Any]) -> dict[str, str]:
    """What a table says of an answer, by column; what is not known is left out."""
    known = {
        "rank": str(hit["rank"]),
        "id": str(hit["id"]),
        "distance": f"{hit['distance']:g}",
        # Rounded down: certainty is never promised.
        "precision": None if hit["precision"] is None else f"{math.floor(100 * hit['precision'])}%",
        "label": hit["label"],
        "predicted": hit["predicted_label"],
        "place": hit["bbox"] and place(hit["bbox"]),
        "source": part(hit["source"], hit["window"]) or hit["user_id"],
    }
    return {name: value for name, value in known.items() if value}


def _holds_all_ties(hits: Hits) -> bool:
    """Whether all that rank as the last answer does are among the answers."""
    alike = hits.distances == hits.distances[-1]
    if hits.scores is not None:
        alike &= hits.scores == hits.scores[-1]
    return int(alike.sum()) >= hits.ties_at_last_distance


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
