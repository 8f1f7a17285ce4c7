"""``terrahash benchmark``: methods against each other, on the same splits by the same metrics."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from terrahash.cli.choices import METHODS, VARIANTS, Mode, Size, Split
from terrahash.errors import InputError
from terrahash.progress import Terminal

if TYPE_CHECKING:
    from terrahash.benchmark.results import Record
    from terrahash.benchmark.runner import Entry

SOME_FAILED = 1
# While runs go on, the tables are written anew this often, seconds.
REPORT_INTERVAL = 60.0


def benchmark(
    data: Annotated[
        list[str],
        typer.Argument(metavar="DATA…", help="Known data sets, 'scenes', or folders of classes."),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder of the benchmark; an old one goes on.")
    ],
    methods: Annotated[
        str,
        typer.Option(
            metavar="METHOD,…",
            help=f"{', '.join(METHODS)}; 'all': those that can be trained in the mode.",
        ),
    ] = "all",
    bits: Annotated[str, typer.Option(metavar="BITS,…", help="Code lengths.")] = "16,32,64",
    variants: Annotated[
        str, typer.Option(metavar="VARIANT,…", help=f"{', '.join(VARIANTS)}.")
    ] = "corrected",
    seeds: Annotated[
        str, typer.Option(metavar="SEED,…", help="Each draws a split and a training.")
    ] = "0",
    protocols: Annotated[
        str, typer.Option(metavar="PROTOCOL,…", help="within-test, test-to-train, test-to-all.")
    ] = "within-test",
    mode: Mode = "frozen",
    split: Split = "60-40",
    k: Annotated[int, typer.Option("-k", "--k", help="Cut-off of the metrics at k.")] = 20,
    backbone: Annotated[
        str | None, typer.Option(help="A timm architecture; by default mobilenetv2_100.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(metavar="FILE|timm|none", help="Pretrained weights, as in train.")
    ] = None,
    size: Size = None,
    epochs: Annotated[int | None, typer.Option(help="Instead of the methods' own numbers.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; by default the best.")] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Runs at a time; by default one a core, fine-tuning one."),
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Where to write the Markdown report.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the runs and how long they may take.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the tables as JSON.")] = False,
) -> None:
    """Compare methods: data sets × methods × variants × code lengths × seeds × protocols.

    What is finished is kept: the same command goes on where it was interrupted, and another one
    with the same folder adds to it. Results are one JSON object a line in results.jsonl; tables and
    plots are written to report.html and in Markdown. A run that fails is recorded and the others go
    on; the exit code is then 1.
    """
    from terrahash.learning.compat import import_timm

    import_timm()
    from terrahash.benchmark.reporting import summary_json, write_reports
    from terrahash.benchmark.results import read_results
    from terrahash.benchmark.runner import default_jobs, plan_benchmark, run_benchmark
    from terrahash.benchmark.specification import Specification
    from terrahash.learning.methods import METHODS as KNOWN
    from terrahash.learning.methods.base import ClosedForm

    trainable = [
        name
        for name, method in KNOWN.items()
        if mode == "frozen" or not issubclass(method, ClosedForm)
    ]
    specification = Specification(
        data=tuple(data),
        methods=tuple(trainable if methods == "all" else _words(methods)),
        bits=tuple(_numbers("bits", bits)),
        variants=tuple(_words(variants)),
        seeds=tuple(_numbers("seeds", seeds)),
        protocols=tuple(_words(protocols)),
        mode=mode,
        split=split,
        k=k,
        backbone=backbone,
        weights=weights,
        size=size,
        epochs=epochs,
        device=device,
    )
    if dry_run:
        entries = plan_benchmark(specification, read_results(out), out)
        _show_plan(entries, jobs or default_jobs(mode), as_json)
        return
    with Terminal() as reporter:
        try:
            outcome = run_benchmark(
                specification,
                out,
                jobs=jobs,
                reporter=reporter,
                on_record=_now_and_then(
                    lambda records: write_reports(records, out, to_markdown=markdown, plots=False)
                ),
            )
        finally:
            records = read_results(out)
            written = write_reports(records, out, to_markdown=markdown) if records else []
    summary = summary_json(records)
    if as_json:
        runs = {
            "finished_before": outcome.finished,
            "done": outcome.done,
            "failed": len(outcome.failed),
        }
        typer.echo(json.dumps({"runs": runs, **summary}, ensure_ascii=False))
    else:
        _show_tables(records)
        for path in written:
            typer.echo(f"report: {path}", err=True)
    if outcome.failed:
        raise typer.Exit(SOME_FAILED)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _numbers(what: str, text: str) -> list[int]:
    try:
        return [int(word) for word in _words(text)]
    except ValueError:
        raise InputError(
            f"--{what} {text}: not whole numbers separated by commas", "write for instance 16,32,64"
        ) from None


def _now_and_then(
    write: Callable[[Sequence[Record]], object],
) -> Callable[[Sequence[Record]], None]:
    """Call a function at most once in a while."""
    last = time.monotonic()

    def called(records: Sequence[Record]) -> None:
        nonlocal last
        if time.monotonic() - last >= REPORT_INTERVAL:
            write(records)
            last = time.monotonic()

    return called


def _show_plan(entries: Sequence[Entry], jobs: int, as_json: bool) -> None:
    todo = [entry for entry in entries if entry.state == "to do"]
    known = [entry.seconds for entry in todo if entry.seconds is not None]
    total = sum(known) / len(known) * len(todo) / jobs if known else None
    if as_json:
        described: dict[str, Any] = {
            "runs": [
                {
                    "run": entry.run.title,
                    "state": entry.state,
                    "seconds": entry.seconds,
                    **(entry.failure or {}),
                }
                for entry in entries
            ],
            "jobs": jobs,
            "seconds": total,
        }
        typer.echo(json.dumps(described, ensure_ascii=False))
        return
    for entry in entries:
        detail = f"about {entry.seconds:.0f} s" if entry.seconds is not None else ""
        if entry.failure is not None:
            detail = entry.failure["message"]
        typer.echo(f"{entry.state:10}  {entry.run.title}  {detail}".rstrip())
    when = "nothing alike is finished to judge the time by" if todo else "nothing is left"
    if total is not None:
        when = f"about {total / 60:.0f} minutes, {jobs} at a time"
    typer.echo(f"{len(entries)} runs, {len(todo)} to do: {when}", err=True)


def _show_tables(records: Sequence[Record]) -> None:
    from rich.table import Table

    from terrahash.benchmark.document import overview
    from terrahash.benchmark.summary import failures, sections
    from terrahash.cli.output import console as tables

    console = tables()
    for section in sections(records):
        grid = overview(section)
        console.print(f"\n{section.title}", style="bold", markup=False)
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for place, heading in enumerate(grid.headings):
            table.add_column(heading, justify="right" if place else "left")
        for row in grid.rows:
            table.add_row(*(f"[bold]{text}[/bold]" if best else text for text, best in row))
        console.print(table)
    for failure in failures(records):
        typer.echo(f"failed: {failure['title']}: {failure['message']}", err=True)
