"""``terrahash demo``: the whole tour in minutes."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from terrahash.errors import InputError

if TYPE_CHECKING:
    from terrahash.datasets import Dataset

K = 20
# Without pretrained weights a small network on small tiles learns most in a minute.
FROM_NOTHING = {
    "backbone": "resnet10t",
    "weights": "none",
    "size": 64,
    "mode": "finetune",
    "epochs": 48,
}
SHOWN_QUERIES = 4
SHOWN_ANSWERS = 10


def demo(
    data: Annotated[
        str, typer.Option(help="A known data set or a folder of class folders.")
    ] = "scenes",
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for all results.")] = Path(
        "demo-output"
    ),
    bits: Annotated[int, typer.Option(help="Bits of the code.")] = 64,
    seed: Annotated[int, typer.Option(help="Of the split and of training.")] = 0,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|timm|none",
            help="Pretrained weights; by default a file in $TERRAHASH_WEIGHTS, else none.",
        ),
    ] = None,
) -> None:
    """Train, index, search and evaluate, and leave a report to look at.

    By default on 'scenes', built-in synthetic tiles. With pretrained weights a head is trained on
    fixed features; without them a small network from nothing, which tells less than a pretrained
    one would on real images.
    """
    from terrahash.learning.compat import import_timm

    import_timm()
    from terrahash.archive import open_archive
    from terrahash.archive.indexing import index_images
    from terrahash.cli.evaluate import PAGE, write
    from terrahash.cli.loading import load
    from terrahash.cli.output import check_folder, console
    from terrahash.datasets import make_split
    from terrahash.evaluation import evaluate
    from terrahash.learning import train
    from terrahash.learning.backbones import DEFAULT_BACKBONE, find_weights
    from terrahash.progress import Terminal

    started = time.perf_counter()
    model, archive, grid = out / "encoder", out / "tiles.terrahash", out / "search.png"
    check_folder(out)
    if out.exists() and any(out.iterdir()) and not model.exists():
        raise InputError(f"{out} is not empty", "choose another folder with --out")
    out.mkdir(parents=True, exist_ok=True)
    weights = weights or str(find_weights(DEFAULT_BACKBONE) or "none")
    chosen: dict[str, Any] = (
        FROM_NOTHING
        if weights == "none"
        else {"backbone": DEFAULT_BACKBONE, "weights": weights, "mode": "frozen"}
    )
    with Terminal() as terminal:
        terminal.note(f"1 data: {data}")
        dataset = load(data)
        split = make_split(dataset, seed=seed)
        terminal.note(f"  {len(dataset)} images, {len(dataset.class_names)} classes, 60 % to train")
        start = "pretrained weights" if chosen["mode"] == "frozen" else "no pretrained weights"
        terminal.note(f"2 train: DHCL, {bits} bits, {start}")
        encoder = train(
            dataset, split, reporter=terminal, method="dhcl", bits=bits, seed=seed, **chosen
        )
        encoder.save(model)
        terminal.note(f"3 index: {archive}")
        with open_archive(archive, encoder) as opened:
            result = index_images(opened, [dataset.root], folder_labels=True, reporter=terminal)
        rate = result.to_json()["tiles_per_second"]
        terminal.note(f"  {result.added} tiles, {rate:.0f} a second")
        terminal.note("4 search:")
        _search(dataset, split.indices("test").tolist(), archive, grid)
        terminal.note(f"  picture: {grid}")
        terminal.note("5 evaluate: each test image queries the other test images")
        report = evaluate(
            encoder,
            dataset,
            split,
            k=K,
            progress=lambda done, total: terminal.advance("encoding", done, total),
        )
    options = [f"--{name} {shlex.quote(str(value))}" for name, value in chosen.items()]
    words = [shlex.quote(str(part)) for part in (data, model, archive)]
    query = shlex.quote(str(dataset.paths[int(split.indices("test")[0])]))
    write(
        report,
        dataset,
        split,
        out,
        [
            (
                "train",
                f"terrahash train {words[0]} --method dhcl --bits {bits} --seed {seed} "
                f"{' '.join(options)} --out {words[1]}",
            ),
            (
                "index",
                f"terrahash index {shlex.quote(str(dataset.root))} --model {words[1]} "
                f"--archive {words[2]} --folder-labels",
            ),
            ("search", f"terrahash search {query} --archive {words[2]} -k 10 --grid answers.png"),
            ("evaluate", f"terrahash evaluate {words[0]} --model {words[1]} --k {K}"),
        ],
    )
    console().print(report)
    typer.echo(f"{time.perf_counter() - started:.0f} s in all")
    typer.echo(f"report: {(out / PAGE).absolute().as_uri()}")


def _search(dataset: Dataset, test: list[int], archive: Path, grid: Path) -> None:
    """Query with a few test images of different classes and draw the answers."""
    from terrahash.archive import open_archive
    from terrahash.evaluation.pictures import QueryRow, Tile, png, query_grid

    paths = dataset.paths
    rows = []
    with open_archive(archive, mode="r") as opened:
        for row in test[:: max(1, len(test) // SHOWN_QUERIES)][:SHOWN_QUERIES]:
            query = paths[row]
            own = query.absolute()
            hits = opened.search(query, SHOWN_ANSWERS + 1)
            answers = [
                Tile(
                    Path(record.source or ""),
                    record.label or "",
                    f"{distance:g} bits",
                    record.label == query.parent.name,
                )
                for record, distance in zip(hits.records, hits.distances.tolist(), strict=True)
                if record.source != str(own)
            ]
            rows.append(QueryRow(Tile(query, query.parent.name), tuple(answers[:SHOWN_ANSWERS])))
    grid.write_bytes(png(query_grid(rows)))
