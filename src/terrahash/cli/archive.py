"""``terrahash archive``: look into an archive, change it, check it, and carry it elsewhere."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from terrahash.cli.choices import After, BBox, Before, Ids, Where
from terrahash.cli.output import check_file, part, place, print_table
from terrahash.errors import InputError

if TYPE_CHECKING:
    from terrahash.archive import Archive, Record
    from terrahash.archive.exchange import ExchangeReport

app = typer.Typer(
    name="archive",
    help="Archives: show, list, delete, update, verify, repair, compact, export and import.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

# The archive holds problems, or some rows of a file were passed over; the rest was done.
PARTLY = 1
SHOWN_SKIPPED = 20
LIST_FIELDS = (
    "id", "user_id", "label", "predicted_label", "confidence", "datetime", "bbox", "window",
    "source",
)  # fmt: skip

LIST_COLUMNS: dict[str, Literal["left", "right"]] = {
    "id": "right", "user id": "left", "label": "left", "predicted": "left", "confidence": "right",
    "date": "left", "place": "left", "source": "left",
}  # fmt: skip
LIST_SPARE = ("confidence", "date", "place", "predicted")

Place = Annotated[Path, typer.Argument(metavar="ARCHIVE", help="Folder of the archive.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Kind = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="geoparquet, stac, csv or numpy, if the name does not say.",
    ),
]


@app.command()
def info(archive: Place, as_json: Json = False) -> None:
    """Say what an archive is and holds."""
    with _open(archive, "r") as opened:
        described = opened.info().to_json()
    if as_json:
        typer.echo(json.dumps(described))
        return
    for key, value in described.items():
        shown = ", ".join(f"{n} ({k})" for n, k in value.items()) if key == "columns" else value
        typer.echo(f"{key.replace('_', ' ')}: {shown if shown != '' else '–'}")


@app.command("list")
def list_tiles(
    archive: Place,
    where: Where = None,
    bbox: BBox = None,
    after: After = None,
    before: Before = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many tiles.")] = 50,
    offset: Annotated[int, typer.Option(min=0, help="Pass over so many first.")] = 0,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="One line a tile.")] = False,
) -> None:
    """List tiles in the order of their ids."""
    with _open(archive, "r") as opened:
        ids = opened.ids(where=where, bbox=bbox, after=after, before=before)
        records = opened.records(ids[offset : offset + limit])
    if as_json:
        tiles = [record.to_json() for record in records]
        typer.echo(json.dumps({"total": len(ids), "offset": offset, "tiles": tiles}))
    elif as_csv:
        names = list(records[0].columns) if records else []
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow([*LIST_FIELDS, *names])
        for record in records:
            writer.writerow([*_row(record), *(record.columns[name] for name in names)])
    else:
        print_table([_shown(record) for record in records], LIST_COLUMNS, spare=LIST_SPARE)
        if not records:
            typer.echo("no tiles", err=True)
        elif len(ids) > len(records):
            typer.echo(
                f"{len(records)} of {len(ids)} tiles; --limit and --offset show more", err=True
            )


@app.command()
def delete(
    archive: Place,
    ids: Ids = None,
    where: Where = None,
    bbox: BBox = None,
    after: After = None,
    before: Before = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    as_json: Json = False,
) -> None:
    """Delete tiles for good. Give ids, or filters."""
    with _open(archive, "r" if dry_run else "a") as opened:
        if dry_run:
            count = len(_chosen(opened, ids, where, bbox, after, before))
        else:
            count = opened.delete(ids=ids, where=where, bbox=bbox, after=after, before=before)
    _tell(as_json, {"deleted": 0 if dry_run else count, "matching": count})


@app.command()
def update(
    archive: Place,
    values: Annotated[
        list[str],
        typer.Option("--set", metavar="NAME=VALUE", help="A column's new value; empty removes it."),
    ],
    ids: Ids = None,
    where: Where = None,
    bbox: BBox = None,
    after: After = None,
    before: Before = None,
    as_json: Json = False,
) -> None:
    """Give tiles other values. Say which by ids or filters; a new name makes a new column."""
    from terrahash.archive.assigning import assignments

    with _open(archive, "a") as opened:
        chosen = _chosen(opened, ids, where, bbox, after, before)
        count = opened.update(chosen, **assignments(opened, values, len(chosen)))
    _tell(as_json, {"updated": count})


@app.command()
def verify(archive: Place, as_json: Json = False) -> None:
    """Check every checksum and count; changes nothing. Exit code 1 if something is damaged."""
    from terrahash.archive import verify as check

    report = check(archive)
    if as_json:
        typer.echo(json.dumps(report.to_json()))
    else:
        for problem in report.problems:
            typer.echo(f"{problem.where}: {problem.what}")
        state = "sound" if report.ok else f"{len(report.problems)} problems (archive repair)"
        typer.echo(f"{report.tiles} tiles in {report.segments} segments: {state}")
        if report.orphans:
            typer.echo(f"{len(report.orphans)} leftovers, which the next writer removes")
    if not report.ok:
        raise typer.Exit(PARTLY)


@app.command()
def repair(archive: Place, as_json: Json = False) -> None:
    """Keep what is sound of a damaged archive and say what is lost. Exit code 1 on losses."""
    from terrahash.archive import repair as mend

    report = mend(archive)
    if as_json:
        typer.echo(json.dumps(report.to_json()))
    else:
        for line in report.done:
            typer.echo(f"done: {line}")
        for line in report.lost:
            typer.echo(f"lost: {line}")
        if not report.done:
            typer.echo("nothing to repair")
    if report.lost:
        raise typer.Exit(PARTLY)


@app.command()
def compact(archive: Place, as_json: Json = False) -> None:
    """Free the space of deleted tiles and rewrite the archive as few large segments."""
    with _open(archive, "a") as opened:
        before = opened.info()
        opened.compact()
        after = opened.info()
    _tell(
        as_json,
        {
            "tiles": after.tiles,
            "segments_before": before.segments,
            "segments": after.segments,
            "bytes_before": before.bytes,
            "bytes": after.bytes,
        },
    )


@app.command()
def duplicates(
    archive: Place,
    tolerance: Annotated[
        float | None,
        typer.Option(min=0, help="Mean difference of 8-bit values that still is the same."),
    ] = None,
    where: Where = None,
    as_json: Json = False,
) -> None:
    """Find tiles that show the same: equal codes, checked by pixels. Divide data only after it."""
    from terrahash.archive.duplicates import TOLERANCE, find_duplicates
    from terrahash.progress import Terminal

    with _open(archive, "r") as opened, Terminal() as terminal:
        report = find_duplicates(
            opened,
            tolerance=TOLERANCE if tolerance is None else tolerance,
            where=where,
            reporter=terminal,
        )
    if as_json:
        typer.echo(json.dumps(report.to_json()))
        return
    for group in report.groups:
        how = "identical" if group.identical else f"differ by {group.difference:.2f}"
        typer.echo(f"{how}: " + ", ".join(map(repr, group.sources)))
    surplus = sum(len(group.ids) - 1 for group in report.groups)
    typer.echo(f"{surplus} duplicates in {len(report.groups)} groups", err=True)
    if report.unreadable:
        typer.echo(f"{len(report.unreadable)} tiles could not be read, so not compared", err=True)


@app.command("assign-codes")
def assign(archive: Place, as_json: Json = False) -> None:
    """Give labelled tiles the codes that training learned for them, or assigns to their labels.

    For encoders of AHCL and ADSH; tiles without a label keep the network's codes.
    """
    from terrahash.archive.learned import assign_codes
    from terrahash.progress import Terminal

    with _open(archive, "a") as opened, Terminal() as terminal:
        report = assign_codes(opened, reporter=terminal)
    _tell(as_json, report.to_json())


@app.command("thumbnails")
def keep_thumbnails(
    archive: Place,
    size: Annotated[
        int | None,
        typer.Option(metavar="PIXELS", help="Longest side; default: as so far, or 192."),
    ] = None,
    where: Where = None,
    as_json: Json = False,
) -> None:
    """Keep a picture of each tile that was indexed without. Exit code 1 if some cannot be read.

    They are read from the files and addresses that the tiles came from. Safe to interrupt: the next
    run goes on.
    """
    from terrahash.archive.picturing import add_thumbnails
    from terrahash.progress import Terminal

    with _open(archive, "a") as opened, Terminal() as terminal:
        report = add_thumbnails(opened, side=size, where=where, reporter=terminal)
        for source, reason in report.skipped[:SHOWN_SKIPPED]:
            terminal.note(f"skipped {source!r}: {reason}")
        if len(report.skipped) > SHOWN_SKIPPED:
            terminal.note(f"… and {len(report.skipped) - SHOWN_SKIPPED} more; see --json")
    result = report.to_json()
    _tell(as_json, result if as_json else {**result, "skipped": len(report.skipped)})
    if report.unread:
        raise typer.Exit(PARTLY)


@app.command("map")
def draw_map(
    archive: Place,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="MAP.html", help="The page.")],
    where: Where = None,
    bbox: BBox = None,
    after: After = None,
    before: Before = None,
    as_json: Json = False,
) -> None:
    """Draw the footprints of tiles on a page that needs no other page and no network."""
    from terrahash.archive.map import write_map

    check_file(out)
    with _open(archive, "r") as opened:
        count = write_map(opened, out, where=where, bbox=bbox, after=after, before=before)
    _tell(as_json, {"footprints": count, "page": str(out)})


@app.command("export")
def export_archive(
    archive: Place,
    target: Annotated[
        Path, typer.Argument(metavar="FILE", help="Ends in .parquet, .json, .csv, .npz or .npy.")
    ],
    kind: Kind = None,
    where: Where = None,
    bbox: BBox = None,
    after: After = None,
    before: Before = None,
    as_json: Json = False,
) -> None:
    """Write tiles with their codes as GeoParquet, STAC items, CSV or NumPy arrays."""
    from terrahash.archive.exchange import export_tiles

    check_file(target)
    with _open(archive, "r") as opened:
        report = export_tiles(
            opened, target, kind=kind, where=where, bbox=bbox, after=after, before=before
        )
    _tell_exchange(report, as_json)


@app.command("import")
def import_file(
    archive: Place,
    source: Annotated[
        Path, typer.Argument(metavar="FILE", help="GeoParquet, STAC items, CSV or NumPy arrays.")
    ],
    kind: Kind = None,
    bits: Annotated[
        int | None,
        typer.Option(help="Bits of a code in all, for a new archive where the file says nothing."),
    ] = None,
    label_bits: Annotated[int, typer.Option(help="How many of them are label bits.")] = 0,
    label_weight: Annotated[float, typer.Option(help="What a label bit counts.")] = 1.0,
    on_conflict: Annotated[
        str,
        typer.Option(
            metavar="HOW", help="For tiles that are known already: error, skip or update."
        ),
    ] = "error",
    as_json: Json = False,
) -> None:
    """Add tiles with their codes from a file; makes the archive where there is none."""
    from terrahash.archive.exchange import import_tiles
    from terrahash.codes import CodeLayout

    layout = None if bits is None else CodeLayout(bits - label_bits, label_bits, label_weight)
    report = import_tiles(archive, source, kind=kind, layout=layout, on_conflict=on_conflict)
    _tell_exchange(report, as_json)


def _tell_exchange(report: ExchangeReport, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(report.to_json()))
    else:
        typer.echo(f"rows: {report.rows}, skipped: {report.skipped}")
    for reason in report.reasons:
        typer.echo(f"skipped {reason}", err=True)
    if report.skipped:
        raise typer.Exit(PARTLY)


def _open(path: Path, mode: Any) -> Archive:
    from terrahash.archive import open_archive

    return open_archive(path, mode=mode)


def _chosen(opened: Archive, ids: Any, where: Any, bbox: Any, after: Any, before: Any) -> list[int]:
    filtered = any(option is not None for option in (where, bbox, after, before))
    if bool(ids) == filtered:
        raise InputError("say which tiles, in one way", "give --id, or filters such as --where")
    if ids:
        return list(ids)
    found: list[int] = opened.ids(where=where, bbox=bbox, after=after, before=before).tolist()
    return found


def _row(record: Record) -> list[Any]:
    data = record.to_json()
    return [
        " ".join(map(str, data[name])) if isinstance(data[name], list) else data[name]
        for name in LIST_FIELDS
    ]


def _shown(record: Record) -> dict[str, str]:
    """What is known of a tile, as short as a table needs it."""
    known = {
        "id": str(record.id),
        "user id": record.user_id,
        "label": record.label,
        "predicted": record.predicted_label,
        "confidence": None if record.confidence is None else f"{record.confidence:.3f}",
        "date": record.datetime and record.datetime[:10],
        "place": record.bbox and place(record.bbox),
        "source": part(record.source, record.window),
    }
    return {name: value for name, value in known.items() if value}


def _tell(as_json: bool, result: dict[str, Any]) -> None:
    if as_json:
        typer.echo(json.dumps(result))
    else:
        typer.echo(", ".join(f"{key.replace('_', ' ')}: {value}" for key, value in result.items()))
