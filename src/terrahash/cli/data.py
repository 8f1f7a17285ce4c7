"""``terrahash data``: the known data sets, fetching them, splitting, and looking at them."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from terrahash.cli.loading import load
from terrahash.cli.output import check_file, console
from terrahash.datasets import KNOWN, KnownDataset, split_from_text
from terrahash.datasets.registry import (
    BUILT_IN,
    SCENE_SETS,
    SCENES,
    SCENES_MS,
    built_in_folder,
    find,
)
from terrahash.errors import InputError

app = typer.Typer(
    name="data",
    help="Known data sets: list, fetch, describe, split and look at them.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

Data = Annotated[
    str, typer.Argument(metavar="DATA", help="A known name, 'scenes', or a folder of images.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command("list")
def list_known(as_json: Json = False) -> None:
    """List the known data sets and where they are on this machine."""
    rows = [*_scenes_rows(), *(_row(known) for known in KNOWN.values())]
    if as_json:
        typer.echo(json.dumps({"datasets": rows}))
        return
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column, justify in (
        ("name", "left"),
        ("classes", "right"),
        ("images", "right"),
        ("tile", "left"),
        ("here", "left"),
    ):
        table.add_column(column, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        here = row["path"] or ("made on first use" if row["name"] in BUILT_IN else "–")
        table.add_row(row["name"], str(row["classes"]), f"{row['images']:,}", row["tile"], here)
    console().print(table)


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name from 'terrahash data list'.")],
    to: Annotated[
        Path | None,
        typer.Option(help="Data folder to put it into; TERRAHASH_DATA or the cache if not given."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Accept the terms of use.")] = False,
    as_json: Json = False,
) -> None:
    """Download a known data set from its publisher, resuming where it broke off."""
    if name in BUILT_IN:
        _tell(as_json, name, load(name).root)
        return
    known = _known(name)
    if find(known, None if to is None else [to]) is None:
        _agree(known, yes)
    from terrahash.datasets.fetch import fetch as fetch_known
    from terrahash.progress import Terminal

    with Terminal() as terminal:
        path = fetch_known(known, folder=to, reporter=terminal)
    _tell(as_json, known.name, path)


@app.command()
def prepare(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name from 'terrahash data list'.")],
    as_json: Json = False,
) -> None:
    """Make pictures of a data set that is published as bands, such as bigearthnet."""
    from terrahash.datasets.fetch import prepare as prepare_known
    from terrahash.progress import Terminal

    known = _known(name)
    with Terminal() as terminal:
        path = prepare_known(known, reporter=terminal)
    _tell(as_json, known.name, path)


@app.command()
def info(data: Data, as_json: Json = False) -> None:
    """Describe a data set: its images, classes and terms."""
    dataset = load(data)
    known = KNOWN.get(dataset.name)
    sizes = [] if dataset.labels is None else dataset.targets.sum(axis=0).tolist()
    described: dict[str, Any] = {
        "name": dataset.name,
        "root": str(dataset.root),
        "images": len(dataset),
        "label_sets": dataset.is_multilabel,
        "duplicates": len(dataset) - len(set(dataset.digests())),
        "classes": dict(zip(dataset.class_names, sizes, strict=True)),
    }
    if known is not None:
        described |= {"citation": known.citation, "terms": known.terms, "homepage": known.homepage}
    if as_json:
        typer.echo(json.dumps(described))
        return
    for key, value in described.items():
        if key != "classes":
            typer.echo(f"{key.replace('_', ' ')}: {value}")
    typer.echo(f"classes: {len(sizes)}")
    for class_name, size in described["classes"].items():
        typer.echo(f"  {class_name}: {size}")


@app.command()
def split(
    data: Data,
    out: Annotated[Path, typer.Option("--out", "-o", help="The split file to write.")],
    how: Annotated[
        str,
        typer.Option(
            "--split", metavar="SPLIT", help="Train-test percentages, or an authors' rule."
        ),
    ] = "60-40",
    seed: Annotated[int, typer.Option(help="Seed of the draw.")] = 0,
    validation: Annotated[
        float, typer.Option(help="Part of the training images for validation.")
    ] = 0.1,
    as_json: Json = False,
) -> None:
    """Divide a data set and write the split to a file that train and evaluate take."""
    check_file(out)
    made = split_from_text(how, load(data), seed=seed, validation=validation)
    made.save(out)
    counts = Counter(made.roles)
    if as_json:
        report = {"dataset": made.dataset, "rule": made.rule, "seed": made.seed, "hash": made.hash}
        typer.echo(json.dumps({**report, "roles": dict(counts), "path": str(out)}))
        return
    parts = ", ".join(f"{counts[role]} {role}" for role in ("fit", "validation", "test"))
    typer.echo(f"{out}: {made.rule}, seed {made.seed}: {parts}; hash {made.hash}")


@app.command()
def sheet(
    data: Data,
    out: Annotated[Path, typer.Option("--out", "-o", help="The picture to write, .png or .jpg.")],
    columns: Annotated[int, typer.Option(help="Images of each class.")] = 10,
    seed: Annotated[int, typer.Option(help="Seed of the draw.")] = 0,
) -> None:
    """Write a contact sheet: some images of each class."""
    from terrahash.datasets.sheet import contact_sheet

    check_file(out)
    contact_sheet(load(data), out, columns=columns, seed=seed)
    typer.echo(str(out))


def _known(name: str) -> KnownDataset:
    known = KNOWN.get(name.lower())
    if known is None:
        raise InputError(
            f"no known data set '{name}'", f"choose from {', '.join((SCENES, *KNOWN))}"
        )
    return known


def _row(known: KnownDataset) -> dict[str, Any]:
    path = find(known)
    return {
        "name": known.name,
        "title": known.title,
        "classes": len(known.classes),
        "images": known.images,
        "tile": known.tile,
        "path": None if path is None else str(path),
        "fetchable": all(item.url for item in known.downloads),
        "homepage": known.homepage,
        "terms": known.terms,
        "citation": known.citation,
    }


def _scenes_rows() -> list[dict[str, Any]]:
    from terrahash.datasets import scenes_ms
    from terrahash.datasets.scenes import SCENE_CLASSES, SCENE_CONTENTS
    from terrahash.datasets.scenes.generate import DEFAULT_PER_CLASS, DEFAULT_SIZE

    folder = built_in_folder(SCENES)
    tiles = {
        "name": SCENES,
        "title": "built-in synthetic land-use tiles",
        "classes": len(SCENE_CLASSES),
        "images": len(SCENE_CLASSES) * DEFAULT_PER_CLASS,
        "tile": f"{DEFAULT_SIZE}×{DEFAULT_SIZE} RGB, about 1 m",
        "path": str(folder) if folder.is_dir() else None,
        "fetchable": True,
        "homepage": "",
        "terms": "made by terrahash; no restriction",
        "citation": "",
    }
    sets = {"name": SCENE_SETS, "classes": len(SCENE_CONTENTS)}
    folder = built_in_folder(SCENES_MS)
    bands = {
        "name": SCENES_MS,
        "title": "built-in synthetic tiles of four bands",
        "classes": len(scenes_ms.SCENES_MS_CLASSES),
        "images": len(scenes_ms.SCENES_MS_CLASSES) * scenes_ms.DEFAULT_PER_CLASS,
        "tile": f"{scenes_ms.DEFAULT_SIZE}×{scenes_ms.DEFAULT_SIZE}, 4 bands of Sentinel-2, 10 m",
        "path": str(folder) if folder.is_dir() else None,
    }
    return [tiles, tiles | sets | {"title": f"{tiles['title']}, label sets"}, tiles | bands]


def _agree(known: KnownDataset, yes: bool) -> None:
    """Show where the data come from and their terms, and ask unless agreed beforehand."""
    lines = [
        f"{known.title}: {known.images:,} images, {len(known.classes)} classes, {known.tile}",
        f"from {', '.join(item.url or item.filename for item in known.downloads)}",
        f"described at {known.homepage}",
        f"cite: {known.citation}",
        f"terms: {known.terms}",
    ]
    typer.echo("\n".join(lines), err=True)
    if yes:
        return
    if not sys.stdin.isatty():
        raise InputError("the terms of use were not accepted", "read them, then add --yes")
    if not typer.confirm("Fetch it on these terms?", err=True):
        raise InputError("the terms of use were not accepted", "nothing was fetched")


def _tell(as_json: bool, name: str, path: Path) -> None:
    typer.echo(json.dumps({"name": name, "path": str(path)}) if as_json else str(path))
