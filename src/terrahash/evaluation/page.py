"""An evaluation as a self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from terrahash.datasets.dataset import Dataset
from terrahash.errors import MissingExtraError
from terrahash.evaluation import plots
from terrahash.evaluation.examples import example_rows
from terrahash.evaluation.metrics import TIE_RULE
from terrahash.evaluation.protocols import PROTOCOLS
from terrahash.evaluation.published import PUBLISHED
from terrahash.evaluation.report import Report, shown
from terrahash.evaluation.report_html import Command, Gallery, Table, html_page

CAPTIONS = {
    "precision_recall": "Precision against recall, mean over the queries.",
    "precision_at_rank": "How many of the first answers are right.",
    "distances": "Hamming distances of query and database image: the less overlap the better.",
    "bit_balance": "Share of ones of each bit in the database; a bit that is always the same "
    "says nothing.",
}


def evaluation_page(
    report: Report, dataset: Dataset, commands: Sequence[Command] = (), *, title: str = ""
) -> str:
    """The page of a report. Without matplotlib (extra ``train``) it has no plots.

    Args:
        report: what to show.
        dataset: that was evaluated on, for the pictures.
        commands: how to repeat each step.
        title: heading; by default the data set and code length.
    """
    k = report.metrics.k
    return html_page(
        title=title or f"{report.dataset}: retrieval with {report.bits}-bit codes",
        lead=f"{report.title()}. {report.setting()} ({PROTOCOLS[report.protocol]}).",
        figures=headline(report),
        notes=report.notes,
        galleries=[
            Gallery(
                f"Typical queries and their {_answers(report)} best answers",
                example_rows(report.examples.typical, dataset),
                "Test images drawn at random, of different classes. Solid frame and ✓: shares the "
                "query's label. Dashed frame and ✗: does not. Ranked as a search by image ranks.",
            ),
            Gallery(
                "The hardest queries",
                example_rows(report.examples.hardest, dataset),
                f"The test images with the lowest AP@{k}: "
                + ", ".join(f"{example.ap_at_k:.2f}" for example in report.examples.hardest)
                + ".",
            ),
        ],
        tables=tables(report),
        plots=captioned_plots(report),
        commands=commands,
        footer=versions_line(report.versions),
    )


def headline(report: Report) -> list[tuple[str, str]]:
    """Value and name of the numbers to show large."""
    metrics, statistics = report.metrics, report.result.statistics
    figures = [
        (f"{metrics.map_at_k:.3f}", f"mAP@{metrics.k}, tie-aware"),
        (f"{metrics.precision_at_k:.3f}", f"precision@{metrics.k}"),
        (f"{metrics.map:.3f}", "mAP, whole ranking"),
        (f"{statistics.distinct_codes:,}", f"distinct codes of {statistics.n_codes:,} images"),
        (f"{report.bits} bits", f"{-(-report.bits // 8)} bytes an image"),
    ]
    if metrics.map_at_k_asymmetric is not None:
        figures.insert(1, (f"{metrics.map_at_k_asymmetric:.3f}", f"mAP@{metrics.k}, asymmetric"))
    return figures


def tables(report: Report) -> list[Table]:
    """All numbers: the honest ones, the codes, and the metrics as published."""
    statistics = report.result.statistics
    published = {
        name: value for name, value in report.result.published.items() if value is not None
    }
    return [
        Table(
            f"Results, {report.protocol}",
            [(name, shown(value), meaning) for name, meaning, value in report.rows()],
            f"Means over {report.metrics.n_queries:,} queries. Ties: {TIE_RULE}.",
        ),
        Table(
            "Codes of the database",
            [
                ("images", f"{statistics.n_codes:,}", ""),
                ("distinct codes", f"{statistics.distinct_codes:,}", ""),
                ("largest bucket", f"{statistics.largest_bucket:,}", "images sharing one code"),
                ("dead bits", str(statistics.dead_bits), "the same in all codes"),
                (
                    "correlation of bits",
                    f"{statistics.mean_absolute_correlation:.3f}",
                    "mean of |r|; 0 is independent",
                ),
            ],
        ),
        Table(
            "As published code computes it",
            [(_source(name), shown(value), _meaning(name)) for name, value in published.items()],
            "These are not mAP and change with the order in which images are stored; they are "
            "here to compare with papers only.",
        ),
    ]


def captioned_plots(report: Report) -> dict[str, bytes]:
    """Caption ► SVG; empty without matplotlib."""
    try:
        drawn = plots.all_plots([report], "svg")
    except MissingExtraError:
        return {}
    return {CAPTIONS[name]: image for name, image in drawn.items()}


def versions_line(versions: Mapping[str, str]) -> str:
    """Versions in a line."""
    return ", ".join(f"{name} {number}" for name, number in versions.items())


def _answers(report: Report) -> int:
    return max((len(example.answers) for example in report.examples.typical), default=0)


def _source(name: str) -> str:
    return PUBLISHED[name].split(":", 1)[0]


def _meaning(name: str) -> str:
    return PUBLISHED[name].split(": ", 1)[1]
