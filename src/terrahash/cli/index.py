"""``terrahash index``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from terrahash.archive.indexing import IndexReport
    from terrahash.imagery import Tiling
    from terrahash.imagery.veils import Mask

# As in terrahash.imagery.veils, which loads numpy.
SENTINEL_2_CLOUDS, DEFAULT_MOST = "3,8,9,10", 0.1
SHOWN_SKIPPED = 20


def index(
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGES…",
            help="Images, scenes, folders of them, http, https or s3 addresses, STAC documents.",
        ),
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
    tile: Annotated[
        str | None,
        typer.Option(
            metavar="LENGTH",
            help="Cut what is larger into square tiles: pixels such as 256, or metres such as "
            "500m. Without it, only georeferenced files over 1024 pixels a side are cut (256).",
        ),
    ] = None,
    stride: Annotated[
        str | None, typer.Option(metavar="LENGTH", help="From tile to tile; default: the tile.")
    ] = None,
    gsd: Annotated[
        float | None,
        typer.Option(
            min=0, metavar="METRES", help="Bring all scenes to this ground sampling distance."
        ),
    ] = None,
    bands: Annotated[
        str | None,
        typer.Option(
            metavar="R,G,B",
            help="Bands by number or name, in the encoder's order; default: found by name.",
        ),
    ] = None,
    seen: Annotated[
        str | None,
        typer.Option(
            metavar="R,G,B",
            help="Bands in which people see the tiles of an encoder of other bands than RGB; "
            "default: red, green and blue where they are known, else the first three.",
        ),
    ] = None,
    scale: Annotated[
        str,
        typer.Option(
            metavar="SCALING",
            help="Values to 8 bits: auto, dtype, percentiles[:LOW:HIGH] of each scene, LOW:HIGH "
            "such as 0:3000, or units:LOW:HIGH such as units:0:0.3 where scale and offset are "
            "known.",
        ),
    ] = "auto",
    min_valid: Annotated[
        float, typer.Option(min=0, max=1, help="Least share of valid pixels of a tile.")
    ] = 0.5,
    asset: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Asset of STAC items, or several with a comma between, each with some of the "
            "bands; default: those that hold the bands wanted, or the visual one.",
        ),
    ] = None,
    mask: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="What hides the ground, such as clouds: an asset of STAC items, or a raster.",
        ),
    ] = None,
    mask_values: Annotated[
        str,
        typer.Option(
            metavar="VALUES",
            help="Its values that mean hidden: 3,8,9,10 (clouds in Sentinel-2's SCL), >=40, or "
            "bits:3,4 (clouds and their shadows in Landsat's QA_PIXEL).",
        ),
    ] = SENTINEL_2_CLOUDS,
    max_hidden: Annotated[
        float, typer.Option(min=0, max=1, help="Share of a tile that may be hidden.")
    ] = DEFAULT_MOST,
    max_cloud_cover: Annotated[
        float | None,
        typer.Option(
            min=0, max=100, metavar="PERCENT", help="Pass over STAC items with more eo:cloud_cover."
        ),
    ] = None,
    thumbnails: Annotated[
        int | None,
        typer.Option(
            metavar="PIXELS",
            help="Keep a WebP picture of each tile in the archive, such as 192 pixels a side, for "
            "when the files are far or gone; 0 for none. Default: as the archive has done so far.",
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Threads; by default one for each core.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write skipped files and reasons to this JSON file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Put images into an archive: encode what is new or has changed, pass over the rest.

    Safe to interrupt: what is stored stays stored, and the next run completes it, in the middle of
    a scene too. Files that cannot be read are skipped and named; the exit code is then 1.
    """
    from terrahash.archive import open_archive
    from terrahash.archive.indexing import index_images
    from terrahash.cli.output import check_file
    from terrahash.imagery.veils import Mask
    from terrahash.progress import Terminal

    if report is not None:
        check_file(report)
    hiding = Mask(mask, mask_values, max_hidden) if mask else None
    tiling = _tiling(tile, stride, gsd, _split(bands), scale, min_valid, hiding, _split(seen))
    with open_archive(archive, model) as opened, Terminal() as terminal:
        result = index_images(
            opened,
            images,
            tiling=tiling,
            cut_all=tile is not None or gsd is not None,
            asset=asset,
            max_cloud_cover=max_cloud_cover,
            folder_labels=folder_labels,
            thumbnails=thumbnails,
            workers=workers,
            reporter=terminal,
        )
        total = len(opened)
        for source, reason in result.skipped[:SHOWN_SKIPPED]:
            terminal.note(f"skipped {source!r}: {reason}")
        if len(result.skipped) > SHOWN_SKIPPED:
            terminal.note(f"… and {len(result.skipped) - SHOWN_SKIPPED} more; see --report FILE")
        counts = (count for count in result.to_json().values() if isinstance(count, int))
        if not any(counts) and not result.skipped:
            terminal.note("no images found")
        if result.guessed:
            terminal.note(
                "sources of more than three bands that do not say which are red, green and blue: "
                f"{len(result.guessed)}, such as {result.guessed[0]!r}; the first three are taken, "
                "--bands chooses others"
            )
    if report is not None:
        report.write_text(json.dumps(result.to_json()["skipped"], indent=1) + "\n")
    if as_json:
        typer.echo(json.dumps({**result.to_json(), "tiles": total}))
    else:
        typer.echo(f"{archive}: {_summary(result)}; {total} tiles in all")
    if result.skipped:
        raise typer.Exit(1)


def _tiling(
    tile: str | None,
    stride: str | None,
    gsd: float | None,
    bands: tuple[str, ...],
    scale: str,
    min_valid: float,
    mask: Mask | None,
    seen: tuple[str, ...],
) -> Tiling:
    from terrahash.imagery import Length, Tiling
    from terrahash.imagery.scaling import Scaling

    defaults = Tiling()
    return Tiling(
        tile=Length.parse(tile) if tile else defaults.tile,
        stride=Length.parse(stride) if stride else None,
        gsd=gsd,
        bands=bands,
        scaling=Scaling.parse(scale),
        min_valid=min_valid,
        mask=mask,
        seen=seen,
    )


def _split(names: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in names.split(",")) if names else ()


def _summary(result: IndexReport) -> str:
    parts = [f"{result.added} added", f"{result.updated} updated"]
    if result.removed:
        parts.append(f"{result.removed} removed")
    parts.append(f"{result.unchanged} unchanged")
    if result.blank:
        parts.append(f"{result.blank} blank left out")
    if result.hidden:
        parts.append(f"{result.hidden} hidden left out")
    if result.cloudy:
        parts.append(f"{result.cloudy} cloudy items passed over")
    return ", ".join([*parts, f"{len(result.skipped)} skipped"])
