"""What a benchmark's report says, whatever it is written in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from terrahash.benchmark.results import Record
from terrahash.benchmark.summary import (
    COLUMNS,
    LEGEND,
    Cell,
    Section,
    failures,
    sections,
    superseded,
)
from terrahash.evaluation.published import PUBLISHED

MEBIBYTE = 1024**2
LEAD = (
    "Every row is made by `terrahash benchmark`, from the split to the figure; the command stands "
    "above each table. Values are means over the seeds, which draw both the split and the "
    "training, ± the standard deviation of the sample where there are several. The best of a "
    "column at a code length is bold. Different protocols never share a table: their figures do "
    "not compare."
)
DAGGER = (
    "† As published code computes it. These are not mAP, and change with the order in which a data "
    "set is stored; they stand here so that a reader can hold these results against papers."
)


@dataclass(frozen=True)
class Grid:
    """A table: headings, and rows of cells, each with whether it is marked.

    The first ``texts`` columns are words, the others numbers.
    """

    headings: tuple[str, ...]
    rows: tuple[tuple[tuple[str, bool], ...], ...]
    texts: int = 1


@dataclass(frozen=True)
class Part:
    """A heading with what stands below it, in this order.

    Attributes:
        level: of the heading, from 2.
        lines: a list of facts.
        command: how to repeat it.
        grid: a table.
        notes: below the table.
        plots: file stem ► caption, of the figures that belong here.
    """

    title: str
    level: int = 2
    lines: tuple[str, ...] = ()
    command: str = ""
    grid: Grid | None = None
    notes: tuple[str, ...] = ()
    plots: tuple[tuple[str, str], ...] = ()


def document(records: Sequence[Record]) -> list[Part]:
    """The report of a benchmark."""
    parts = [_explanation()]
    for section in sections(records):
        parts += _section(section)
    if costs := _costs(records):
        parts.append(costs)
    if warned := _warnings(records):
        parts.append(warned)
    if failed := failures(records):
        parts.append(_failures(failed))
    if old := superseded(records):
        parts.append(
            Part(
                "Left out",
                lines=(
                    f"{old} results of runs whose data or numbers changed since; later results "
                    "stand in their place",
                ),
            )
        )
    return parts


def plot_names(section: Section) -> dict[str, str]:
    """Kind of plot ► file stem."""
    kinds = ("map", "distinct", "precision-recall")
    return {kind: f"{section.slug}-{kind}" for kind in kinds}


def _explanation() -> Part:
    return Part(
        "How to read the tables",
        lines=(
            *(f"**{name.format(k='k')}**: {meaning}" for name, meaning in LEGEND.items()),
            DAGGER,
            *(f"† {meaning}" for meaning in PUBLISHED.values()),
        ),
    )


def _section(section: Section) -> list[Part]:
    names = plot_names(section)
    k = section.k
    captions = (
        (names["map"], f"mAP@{k} (tie-aware) against code length."),
        (names["distinct"], "Distinct codes in the database against code length."),
        (names["precision-recall"], "Precision against recall at the longest codes."),
    )
    parts = [
        Part(
            section.title,
            lines=tuple(section.conditions()),
            command=section.command,
            grid=overview(section),
            plots=captions,
        ),
        Part(
            f"{section.title}: all metrics",
            level=3,
            grid=_details(section),
        ),
    ]
    if effect := _effect(section):
        parts.append(
            Part(
                f"{section.title}: what the published bugs cost",
                level=3,
                grid=effect,
                notes=(
                    "`as published` behaves as the authors' code does, bugs included; the "
                    "difference is corrected − published.",
                ),
            )
        )
    return parts


def overview(section: Section) -> Grid:
    """Methods × code lengths."""
    lengths = section.unique("bits_asked")
    by_name: dict[str, dict[int, Cell]] = defaultdict(dict)
    for row in section.rows:
        by_name[row.name][row.bits_asked] = row.cells[0]
    longest = lengths[-1]
    ordered = sorted(
        by_name.items(),
        key=lambda item: -((item[1][longest].mean or 0) if longest in item[1] else 0),
    )
    return Grid(
        (f"mAP@{section.k}", *(f"{length} bits" for length in lengths)),
        tuple(
            (
                (name, False),
                *(
                    (str(cells[length]), cells[length].is_best) if length in cells else ("", False)
                    for length in lengths
                ),
            )
            for name, cells in ordered
        ),
    )


def _details(section: Section) -> Grid:
    headings = ("bits", "method", "code", "seeds")
    return Grid(
        (*headings, *(column.heading.format(k=section.k) for column in COLUMNS)),
        tuple(
            (
                (str(row.bits_asked), False),
                (row.name, False),
                (row.code, False),
                (", ".join(map(str, row.seeds)), False),
                *((str(cell), cell.is_best) for cell in row.cells),
            )
            for row in section.rows
        ),
        texts=2,
    )


def _effect(section: Section) -> Grid | None:
    """Corrected against published, for the seeds that both were run with."""
    by_variant = {(row.method, row.bits_asked, row.variant): row for row in section.rows}
    rows = []
    for (method, bits, variant), published in by_variant.items():
        corrected = by_variant.get((method, bits, "corrected"))
        if variant != "published" or corrected is None:
            continue
        of_seed = {record["seed"]: record["map_at_k"] for record in corrected.records}
        pairs = [
            (of_seed[record["seed"]], record["map_at_k"])
            for record in published.records
            if record["seed"] in of_seed
        ]
        if not pairs:
            continue
        better, worse = (mean(values) for values in zip(*pairs, strict=True))
        rows.append(
            (
                (corrected.name, False),
                (str(bits), False),
                (
                    ", ".join(str(r["seed"]) for r in published.records if r["seed"] in of_seed),
                    False,
                ),
                (f"{better:.4f}", better > worse),
                (f"{worse:.4f}", worse > better),
                (f"{better - worse:+.4f}", False),
            )
        )
    headings = ("method", "bits", "seeds", "corrected", "as published", "difference")
    return Grid(headings, tuple(rows)) if rows else None


def _costs(records: Sequence[Record]) -> Part | None:
    runs = {record["run"]: record for record in records if record["kind"] == "result"}
    groups = defaultdict(list)
    for record in runs.values():
        variant = " as published" if record["variant"] == "published" else ""
        groups[record["data_title"], record["mode"], record["title"] + variant].append(record)
    rows = []
    for (data, mode, name), group in sorted(
        groups.items(), key=lambda item: (*item[0][:2], mean(_cpu_seconds(item[1])))
    ):
        training = [record["training"] for record in group]
        cpu = [each["cpu_seconds"] for each in training if each["cpu_seconds"] is not None]
        memory = [each["peak_memory"] for each in training if "peak_memory" in each]
        cells = (
            f"{data}, {mode}",
            name,
            str(len(group)),
            f"{mean(_seconds(group)):.1f}",
            f"{mean(cpu):.1f}" if cpu else "–",
            f"{max(memory) / MEBIBYTE:.0f}" if memory else "–",
            f"{mean(each['epochs'] for each in training):.0f}",
            f"{mean(each['best_epoch'] for each in training):.0f}",
        )
        rows.append(tuple((cell, False) for cell in cells))
    if not rows:
        return None
    headings = (
        "data, mode", "method", "runs", "seconds", "CPU seconds", "peak MiB", "epochs", "best epoch"
    )  # fmt: skip
    machines = sorted({record["machine"] for record in runs.values()})
    return Part(
        "What training costs",
        lines=(*(f"machine: {machine}" for machine in machines), *_sessions(records)),
        grid=Grid(headings, tuple(rows), texts=2),
        notes=(
            "Means over the runs. Seconds are of training alone, in `frozen` mode on cached "
            "features and one thread, while other runs went on beside it; CPU seconds are of the "
            "same span. Peak memory is the largest of the whole process, libraries included.",
        ),
    )


def _sessions(records: Sequence[Record]) -> list[str]:
    """What the benchmark took in all, features included."""
    lines = [
        f"features: {record['images']:,} images of {record['data_title']} through "
        f"{record['backbone']} at {record['size']} px in {record['seconds']:.0f} s "
        f"({record['cpu_seconds']:.0f} CPU s)"
        for record in records
        if record["kind"] == "features"
    ]
    lines += [
        f"session: {record['runs']} runs, {record['jobs']} at a time, in "
        f"{record['seconds'] / 60:.1f} minutes ({record['cpu_seconds'] / 60:.1f} CPU minutes), "
        f"everything included: `{record['command']}`"
        for record in records
        if record["kind"] == "session"
    ]
    return lines


def _warnings(records: Sequence[Record]) -> Part | None:
    warned = {
        f"{record['data_title']}, {record['title']} {record['variant']}, {record['bits_asked']} "
        f"bits, seed {record['seed']}: {warning}"
        for section in sections(records)
        for record in section.records
        for warning in record["training"]["warnings"]
    }
    return Part("Warnings", lines=tuple(sorted(warned))) if warned else None


def _failures(failed: Sequence[Record]) -> Part:
    return Part(
        "Failed runs",
        grid=Grid(
            ("run", "error", "what to do"),
            tuple(
                (
                    (record["title"], False),
                    (f"{record['error']}: {record['message']}", False),
                    (record["remedy"], False),
                )
                for record in failed
            ),
            texts=3,
        ),
        notes=("They are tried again when the benchmark is run again.",),
    )


def _seconds(records: Sequence[Record]) -> list[float]:
    return [record["training"]["seconds"] for record in records]


def _cpu_seconds(records: Sequence[Record]) -> list[float]:
    """Of training; where they are not known, wall seconds: what tables are ordered by."""
    training = [record["training"] for record in records]
    return [
        each["seconds"] if each["cpu_seconds"] is None else each["cpu_seconds"] for each in training
    ]
