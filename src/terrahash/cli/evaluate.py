"""``terrahash evaluate``: measure an encoder on the test images of a split."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from terrahash.encoder.encoder import SPLIT
from terrahash.errors import InputError
from terrahash.progress import Terminal

if TYPE_CHECKING:
    from terrahash.datasets import Dataset, Split
    from terrahash.evaluation.report import Report

# What training writes into the card as `split_rule`, such as "stratified 60-40 validation 0.1".
RULE = re.compile(r"(?P<rule>\w+)(?: (?P<train>[\d.]+)-[\d.]+)?(?: validation (?P<part>[\d.]+))?")
GRID = "examples.png"
PAGE = "report.html"


class Protocol(StrEnum):
    """Who asks and who can be found."""

    WITHIN_TEST = "within-test"
    TEST_TO_TRAIN = "test-to-train"
    TEST_TO_ALL = "test-to-all"


class Database(StrEnum):
    """By which codes the training images are found."""

    NETWORK = "network"
    LEARNED = "learned"


def evaluate(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="A known name, 'scenes', or a folder of classes.")
    ],
    model: Annotated[Path, typer.Option("--model", "-m", help="Folder of the encoder.")],
    protocol: Annotated[
        Protocol, typer.Option(help="Which images are queries and which can be found.")
    ] = Protocol.WITHIN_TEST,
    database: Annotated[
        Database,
        typer.Option(
            help="network: all images by the network's codes; learned: training images by the "
            "codes that AHCL or ADSH learned for them."
        ),
    ] = Database.NETWORK,
    k: Annotated[int, typer.Option("-k", "--k", help="Cut-off of the metrics at k.")] = 20,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="SPLIT",
            help="Train-test percentages, an authors' rule, or a split file; by default the split "
            "that the encoder was trained with.",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of the split; by default the encoder's.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Folder for report.html, report.json, curves, plots and pictures."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure an encoder on the test images: mAP and more, exact under ties."""
    from terrahash.cli.loading import load
    from terrahash.cli.output import check_folder, console
    from terrahash.encoder import Encoder
    from terrahash.encoder.learned import learned_database
    from terrahash.evaluation.evaluator import evaluate as run

    if out is not None:
        check_folder(out)
    encoder = Encoder.load(model)
    dataset = load(data)
    chosen = choose_split(encoder.card, dataset, split, seed, model / SPLIT)
    with Terminal() as terminal:
        report = run(
            encoder,
            dataset,
            chosen,
            protocol.value,
            k,
            learned=learned_database(encoder) if database == Database.LEARNED else None,
            progress=lambda done, total: terminal.advance("encoding", done, total),
        )
    if out is not None:
        write(report, dataset, chosen, out, _commands(data, model, report, split, seed, out))
    if as_json:
        typer.echo(json.dumps(report.to_json(), ensure_ascii=False))
        return
    console().print(report)
    if out is not None:
        typer.echo(f"report: {out / PAGE}", err=True)


def choose_split(
    card: Mapping[str, Any],
    dataset: Dataset,
    asked: str | None,
    seed: int | None,
    own: Path | None = None,
) -> Split:
    """The split asked for, else the encoder's own, else one drawn by the rule of its card.

    Raises:
        InputError: if none is asked for and the card describes none.
        DatasetError: if the split cannot be made of the data set, or does not fit it.
    """
    from terrahash.datasets import Split, make_split, split_from_text

    same = asked is None and seed is None and card.get("dataset") == dataset.name
    if same and own is not None and own.exists():
        return Split.load(own, dataset)
    if seed is None:
        seed = int(card.get("split_seed") or 0)
    if asked is not None:
        return split_from_text(asked, dataset, seed=seed)
    described = RULE.fullmatch(str(card.get("split_rule") or ""))
    if described is None:
        raise InputError(
            "the encoder does not say which split it was trained with",
            "give one with --split, such as 60-40 or a split file",
        )
    return make_split(
        dataset,
        float(described["train"] or 60) / 100,
        seed,
        float(described["part"] or 0),
        described["rule"],
    )


def write(
    report: Report, dataset: Dataset, split: Split, folder: Path, commands: list[tuple[str, str]]
) -> None:
    """Write everything about a report into a folder.

    Raises:
        InputError: if the folder cannot be written.
    """
    from terrahash.evaluation.examples import example_rows
    from terrahash.evaluation.page import evaluation_page
    from terrahash.evaluation.pictures import png, query_grid
    from terrahash.evaluation.report_html import Command

    report.save(folder)
    steps = [Command(purpose, line) for purpose, line in commands]
    grid = query_grid(example_rows(report.examples.typical, dataset), title=report.title())
    try:
        (folder / GRID).write_bytes(png(grid))
        page = evaluation_page(report, dataset, steps)
        (folder / PAGE).write_text(page, encoding="utf-8")
        split.save(folder / SPLIT)
    except OSError as error:
        raise InputError(
            f"cannot write the report to '{folder}': {error.strerror}",
            "choose a writable folder with some space",
        ) from None


def _commands(
    data: str, model: Path, report: Report, split: str | None, seed: int | None, out: Path
) -> list[tuple[str, str]]:
    """How to repeat the evaluation, and how to search with the encoder."""
    chosen = [] if split is None else ["--split", split]
    chosen += [] if seed is None else ["--seed", str(seed)]
    this = ["terrahash", "evaluate", data, "--model", str(model), "--protocol", report.protocol]
    this += ["--database", report.database] if report.database != Database.NETWORK else []
    this += ["--k", str(report.metrics.k), *chosen, "--out", str(out)]
    archive = ["--archive", "tiles.terrahash"]
    return [
        ("This report:", shlex.join(this)),
        (
            "An archive of your own images, with this encoder:",
            shlex.join(["terrahash", "index", "FOLDER", "--model", str(model), *archive]),
        ),
        ("What looks like an image:", shlex.join(["terrahash", "search", "IMAGE", *archive])),
    ]
