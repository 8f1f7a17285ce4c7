"""The plots of a benchmark."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from terrahash.benchmark.document import plot_names
from terrahash.benchmark.summary import Row, Section
from terrahash.evaluation.plots import Format, against_bits, precision_recall_curves

Value = Callable[[dict[str, float]], float]


def figures(section: Section, form: Format = "png") -> dict[str, bytes]:
    """File stem ► image of every plot of a section.

    Raises:
        MissingExtraError: without matplotlib.
    """
    names = plot_names(section)
    k = section.k
    return {
        names["map"]: against_bits(
            _series(section, lambda record: record["map_at_k"]),
            title=section.title,
            ylabel=f"mAP@{k}, tie-aware",
            form=form,
        ),
        names["distinct"]: against_bits(
            _series(section, lambda record: record["distinct_codes"]),
            title=section.title,
            ylabel="distinct codes in the database",
            form=form,
        ),
        names["precision-recall"]: precision_recall_curves(
            {row.name: _curve(row) for row in _longest(section)},
            title=f"{section.title}, {_longest(section)[0].bits_asked} bits",
            form=form,
        ),
    }


def _series(section: Section, value: Value) -> dict[str, dict[int, list[float]]]:
    series: dict[str, dict[int, list[float]]] = defaultdict(dict)
    for row in section.rows:
        series[row.name][row.bits_asked] = [value(record) for record in row.records]
    return {row.name: series[row.name] for row in _best_last(section)}


def _best_last(section: Section) -> list[Row]:
    """One row a name, at its longest code, best first: the order of legends."""
    by_name = {row.name: row for row in section.rows}
    return sorted(by_name.values(), key=lambda row: -(row.cells[0].mean or 0))


def _longest(section: Section) -> list[Row]:
    longest = max(row.bits_asked for row in section.rows)
    return [row for row in _best_last(section) if row.bits_asked == longest]


def _curve(row: Row) -> list[list[float]]:
    """``[recall, precision]`` points of the row's first seed."""
    points: list[list[float]] = row.records[0]["precision_recall"]
    return points
