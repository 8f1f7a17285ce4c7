"""From records to tables: means and deviations over seeds, never two protocols in one table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import mean, stdev
from typing import Any

from terrahash.benchmark.results import Record
from terrahash.benchmark.specification import command_line
from terrahash.evaluation.protocols import PROTOCOLS
from terrahash.evaluation.published import PUBLISHED

DATABASES = {
    "network": "",
    "learned": "database: the codes that training learned for the labelled images",
}
# What one table's rows have in common, besides the protocol and the database.
SETTING = (
    "data_title", "image_size", "images", "classes", "split", "split_asked", "fit", "validation",
    "test", "mode", "backbone", "weights", "weights_asked", "size", "epochs_asked", "k",
)  # fmt: skip


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        heading: with ``{k}`` for the cut-off.
        value: of a record; None where it is not defined.
        best: ``max`` or ``min``, which is marked; None for what has no better or worse.
        digits: after the point.
        published: whether it is a metric of published code, which is not mAP.
    """

    heading: str
    value: Callable[[Record], float | None]
    best: Callable[[Sequence[float]], float] | None = max
    digits: int = 4
    published: bool = False


def _metric(name: str) -> Callable[[Record], float | None]:
    return lambda record: record[name]


def _published(name: str) -> Callable[[Record], float | None]:
    return lambda record: record["published"].get(name)


def _statistic(name: str) -> Callable[[Record], float | None]:
    return lambda record: record["code_statistics"][name]


def _imbalance(record: Record) -> float:
    """Mean distance of a bit's share of ones from one half: 0 is balanced, 0.5 is dead."""
    return float(mean(abs(share - 0.5) for share in record["code_statistics"]["bit_balance"]))


COLUMNS = (
    Column("mAP@{k}", _metric("map_at_k")),
    Column("mAP@{k} asym.", _metric("map_at_k_asymmetric")),
    Column("mAP@{k} ÷ hits", _metric("map_at_k_hits")),
    Column("mAP", _metric("map")),
    Column("P@{k}", _metric("precision_at_k")),
    Column("distinct codes", _metric("distinct_codes"), None, 0),
    Column("imbalance", _imbalance, None, 3),
    Column("dead bits", _statistic("dead_bits"), None, 1),
    *(
        Column(f"{name.split('_')[0].upper()} †", _published(name), None, published=True)
        for name in PUBLISHED
    ),
)
LEGEND = {
    "mAP@{k}": "tie-aware expectation, ÷ min(k, R): the figure to compare by",
    "asym.": "the same, ranked by the query's activations: Σ|u| over differing bits",
    "÷ hits": "divided by the relevant answers found, as most papers do; exact under ties",
    "mAP": "whole ranking",
    "P@{k}": "precision among the first k answers",
    "distinct codes": "in the database",
    "imbalance": "mean |share of ones − ½| over the bits: 0 is balanced, 0.5 is dead",
}


@dataclass(frozen=True)
class Cell:
    """Values of one column, one for each seed."""

    values: tuple[float, ...]
    digits: int
    is_best: bool = False

    @property
    def mean(self) -> float | None:
        """Over the seeds; None without values."""
        return mean(self.values) if self.values else None

    @property
    def shown_mean(self) -> float | None:
        """The mean to the digits that are shown."""
        return None if self.mean is None else round(self.mean, self.digits)

    @property
    def deviation(self) -> float | None:
        """Standard deviation of the sample; None of fewer than two."""
        return stdev(self.values) if len(self.values) > 1 else None

    def __str__(self) -> str:
        if self.mean is None:
            return "–"
        spread = "" if self.deviation is None else f" ± {self.deviation:.{self.digits}f}"
        return f"{self.mean:.{self.digits}f}{spread}"


@dataclass(frozen=True)
class Row:
    """A method at a code length.

    Attributes:
        bits_asked: the code length of the table; the ``published`` variant of a method may append
            label bits to it.
        bits, label_bits: of the stored code.
        records: one for each seed, by seed.
        cells: one for each column.
    """

    name: str
    method: str
    variant: str
    bits_asked: int
    bits: int
    label_bits: int
    records: tuple[Record, ...]
    cells: tuple[Cell, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of its records."""
        return tuple(record["seed"] for record in self.records)

    @property
    def code(self) -> str:
        """The code's length, hash bits + label bits."""
        if not self.label_bits:
            return str(self.bits)
        return f"{self.bits - self.label_bits}+{self.label_bits}"


@dataclass(frozen=True)
class Section:
    """One table: one data set, split, mode, protocol and kind of database.

    Attributes:
        setting: the fields of ``SETTING``.
        rows: by bits, then best first.
    """

    protocol: str
    database: str
    setting: dict[str, Any]
    rows: tuple[Row, ...]

    @property
    def k(self) -> int:
        """The cut-off."""
        return int(self.setting["k"])

    @property
    def title(self) -> str:
        """A heading."""
        database = "" if self.database == "network" else f", {self.database} database"
        return f"{self.setting['data_title']}, {self.setting['mode']}, {self.protocol}{database}"

    @property
    def slug(self) -> str:
        """The heading as the stem of a file name."""
        return "-".join("".join(c if c.isalnum() else " " for c in self.title).lower().split())

    @cached_property
    def records(self) -> list[Record]:
        """Of all rows."""
        return [record for row in self.rows for record in row.records]

    def unique(self, field: str) -> list[Any]:
        """The different values of a field, sorted."""
        return sorted({record[field] for record in self.records})

    @property
    def command(self) -> str:
        """What runs this table."""
        asked, size = self.setting["epochs_asked"], self.setting["size"]
        return command_line(
            data=[self.records[0]["data"]],
            methods=list(dict.fromkeys(record["method"] for record in self.records)),
            bits=self.unique("bits_asked"),
            variants=self.unique("variant"),
            seeds=self.unique("seed"),
            protocols=[self.protocol],
            options={
                "mode": self.setting["mode"],
                "split": self.setting["split_asked"],
                "k": self.k,
                "backbone": self.setting["backbone"],
                "weights": self.setting["weights_asked"],
                "size": size,
                "epochs": asked,
            },
        )

    def conditions(self) -> list[str]:
        """Everything that a reader must know of the numbers, a line each."""
        setting = self.setting
        width, height = setting["image_size"]
        hashes = sorted({(record["seed"], record["split_hash"]) for record in self.records})
        versions = {
            name: sorted({record["versions"].get(name, "–") for record in self.records})
            for name in self.records[0]["versions"]
        }
        lines = [
            f"{setting['data_title']}: {setting['images']:,} images of {width}×{height} px, "
            f"{setting['classes']} classes",
            f"split: {setting['split']}: {setting['fit']} images to fit, "
            f"{setting['validation']} to validate, {setting['test']} to test; "
            + ", ".join(f"seed {seed}: {digest}" for seed, digest in hashes),
            f"protocol: {self.protocol}, {PROTOCOLS[self.protocol]}: "
            f"{self.records[0]['n_queries']} queries, database of {self.records[0]['n_database']}",
            f"backbone: {setting['backbone']} ({setting['weights']}), {setting['mode']}, "
            f"input {setting['size']} px",
            f"k = {self.k}; ties: {self.records[0]['tie_rule']}",
            "versions: "
            + ", ".join(f"{name} {' and '.join(found)}" for name, found in versions.items()),
        ]
        if DATABASES[self.database]:
            lines.insert(3, DATABASES[self.database])
        return lines


def sections(records: Sequence[Record]) -> list[Section]:
    """The tables of a benchmark, in the order in which their first result came.

    Of a run that was repeated because its numbers changed, the latest results count.
    """
    latest: dict[tuple[Any, ...], Record] = {}
    groups: dict[tuple[Any, ...], list[tuple[Any, ...]]] = defaultdict(list)
    for record in records:
        if record["kind"] != "result":
            continue
        group = (record["protocol"], record["database"], *(str(record[f]) for f in SETTING))
        key = (*group, record["method"], record["variant"], record["bits_asked"], record["seed"])
        if key not in latest:
            groups[group].append(key)
        latest[key] = record
    return [_section([latest[key] for key in keys]) for keys in groups.values()]


def superseded(records: Sequence[Record]) -> int:
    """How many results are left out of the tables because later ones took their place."""
    shown = sum(len(section.records) for section in sections(records))
    return len([record for record in records if record["kind"] == "result"]) - shown


def failures(records: Sequence[Record]) -> list[Record]:
    """The last failure of each run that has not been finished since."""
    failed: dict[str, Record] = {}
    for record in records:
        if record["kind"] == "failure":
            failed[record["request"]] = record
        elif record["kind"] == "result":
            failed.pop(record["request"], None)
    return list(failed.values())


def _section(records: Sequence[Record]) -> Section:
    first = records[0]
    rows = defaultdict(list)
    for record in records:
        rows[record["bits_asked"], record["method"], record["variant"]].append(record)
    return Section(
        first["protocol"],
        first["database"],
        {field: first[field] for field in SETTING},
        _marked([_row(group) for group in rows.values()]),
    )


def _marked(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The rows by bits and then best first, the best of each column and code length marked."""
    ordered = sorted(rows, key=lambda row: (row.bits_asked, -(row.cells[0].mean or 0)))
    marked = []
    for row in ordered:
        rivals = [other for other in ordered if other.bits_asked == row.bits_asked]
        cells = []
        for place, column in enumerate(COLUMNS):
            cell = row.cells[place]
            means = [other.cells[place].shown_mean for other in rivals]
            known = [value for value in means if value is not None]
            is_best = (
                column.best is not None
                and len(rivals) > 1
                and cell.shown_mean is not None
                and cell.shown_mean == column.best(known)
            )
            cells.append(replace(cell, is_best=is_best))
        marked.append(replace(row, cells=tuple(cells)))
    return tuple(marked)


def _row(records: list[Record]) -> Row:
    records = sorted(records, key=lambda record: record["seed"])
    first = records[0]
    cells = []
    for column in COLUMNS:
        values = [column.value(record) for record in records]
        present = tuple(float(value) for value in values if value is not None)
        cells.append(Cell(present, column.digits))
    published = " as published" if first["variant"] == "published" else ""
    return Row(
        first["title"] + published,
        first["method"],
        first["variant"],
        first["bits_asked"],
        first["bits"],
        first["label_bits"],
        tuple(records),
        tuple(cells),
    )
