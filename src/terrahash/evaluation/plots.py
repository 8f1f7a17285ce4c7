"""Plots of evaluations as PNG or SVG bytes. Needs matplotlib, which the extra ``train`` brings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import Any, Literal

import numpy as np

from terrahash.errors import InputError, MissingExtraError
from terrahash.evaluation.report import Report

Format = Literal["png", "svg"]

# Okabe and Ito's palette in an order that stays apart in grey and for colour-blind readers.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5b5b5b", "#a6761d")
RIGHT, WRONG = COLOURS[0], COLOURS[1]
INK, PALE = "#24292f", "#d8dde3"
MARKERS = "os^Dv<>p"
STYLE: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": PALE,
    "axes.facecolor": "white",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "figure.facecolor": "white",
    "font.size": 9.5,
    "grid.color": "#eceff2",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "svg.fonttype": "none",
    "svg.hashsalt": "terrahash",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}
SIZE = (5.2, 3.5)  # inches
DPI = 160


def all_plots(reports: Sequence[Report], form: Format = "png") -> dict[str, bytes]:
    """Every plot that the reports allow, by file stem; those of single codes for one report only.

    Raises:
        InputError: if there are no reports.
        MissingExtraError: without matplotlib.
    """
    plots = {
        "precision_recall": precision_recall(reports, form),
        "precision_at_rank": precision_at_rank(reports, form),
    }
    if len(reports) == 1:
        plots["distances"] = distances(reports[0], form)
        plots["bit_balance"] = bit_balance(reports[0], form)
    return plots


def precision_recall(reports: Sequence[Report], form: Format = "png") -> bytes:
    """Precision against recall, after each rank; for one report also within each radius."""

    def draw(axes: Any) -> None:
        for report, colour in _coloured(reports):
            curves = report.metrics.curves
            name = _name(report) if len(reports) > 1 else "after each rank"
            axes.plot(curves.recall_at, curves.precision_at, color=colour, lw=2, label=name)
        if len(reports) == 1:
            axes.plot(
                curves.recall_within,
                curves.precision_within,
                color=COLOURS[1],
                ls="none",
                marker="o",
                ms=3.5,
                label="within each Hamming radius",
            )
        axes.set(
            title="Precision and recall",
            xlabel="recall",
            ylabel="precision",
            xlim=(0, 1.01),
            ylim=(0, 1.02),
        )
        axes.legend(loc="lower left")

    return _figure(draw, form)


def precision_at_rank(reports: Sequence[Report], form: Format = "png") -> bytes:
    """Expected precision among the first answers, against their number."""

    def draw(axes: Any) -> None:
        for report, colour in _coloured(reports):
            curves = report.metrics.curves
            axes.plot(curves.ranks, curves.precision_at, color=colour, lw=2, label=_name(report))
            k = report.metrics.k
            axes.plot([k], [report.metrics.precision_at_k], "o", color=colour, ms=5)
            if len(reports) == 1:
                axes.annotate(
                    f"k = {k}: {report.metrics.precision_at_k:.3f}",
                    (k, report.metrics.precision_at_k),
                    xytext=(7, 5),
                    textcoords="offset points",
                )
        axes.set(
            title="Precision among the first answers",
            xlabel="answers looked at",
            ylabel="precision",
            xscale="log",
            ylim=(0, 1.02),
        )
        axes.minorticks_off()
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        if len(reports) > 1:
            axes.legend(loc="lower left")

    return _figure(draw, form)


def distances(report: Report, form: Format = "png") -> bytes:
    """How distances are spread between images that share a label and images that do not."""

    def draw(axes: Any) -> None:
        curves = report.metrics.curves
        width = float(np.diff(curves.distances).min()) if len(curves.distances) > 1 else 1.0
        for counts, colour, hatch, name in (
            (curves.different, WRONG, "////", "no common label"),
            (curves.same, RIGHT, "", "common label"),
        ):
            share = counts / max(1, counts.sum())
            axes.bar(
                curves.distances,
                share,
                width=width * 0.92,
                color=colour,
                alpha=0.72,
                hatch=hatch,
                edgecolor="white",
                linewidth=0,
                label=name,
            )
        axes.set(
            title="Distances between codes",
            xlabel=f"Hamming distance (of {report.bits} bits)",
            ylabel="share of the pairs",
        )
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.legend(loc="upper right")

    return _figure(draw, form)


def bit_balance(report: Report, form: Format = "png") -> bytes:
    """Share of ones of each bit; 50 % is balanced. Label bits are drawn paler."""

    def draw(axes: Any) -> None:
        shares = report.result.statistics.bit_balance
        hash_bits = report.bits - report.label_bits
        colours = [COLOURS[0]] * hash_bits + [COLOURS[5]] * report.label_bits
        axes.bar(np.arange(len(shares)), shares, width=0.85, color=colours)
        axes.axhline(0.5, color=INK, lw=1, ls="--")
        dead = report.result.statistics.dead_bits
        axes.set(
            title=f"Bit balance ({dead} dead)" if dead else "Bit balance",
            xlabel="bit" + (" (label bits last, paler)" if report.label_bits else ""),
            ylabel="share of ones",
            ylim=(0, 1),
            xlim=(-0.8, len(shares) - 0.2),
        )
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.grid(visible=False, axis="x")

    return _figure(draw, form)


def against_bits(
    series: Mapping[str, Mapping[int, Sequence[float]]],
    *,
    title: str,
    ylabel: str,
    form: Format = "png",
) -> bytes:
    """A value against code length for several methods.

    Args:
        series: method ► bits ► the value of each seed; the line is the mean, the bars ± one
            standard deviation of the sample.
        title, ylabel: of the plot.
        form: of the image.

    Raises:
        InputError: if there is no series.
        MissingExtraError: without matplotlib.
    """
    if not series:
        raise InputError("there is nothing to plot", "give at least one series")

    def draw(axes: Any) -> None:
        lengths = sorted({bits for values in series.values() for bits in values})
        for place, (name, values) in enumerate(series.items()):
            bits = sorted(values)
            mean = np.array([np.mean(values[length]) for length in bits])
            spread = np.array([_deviation(values[length]) for length in bits])
            axes.errorbar(
                bits,
                mean,
                yerr=spread if spread.any() else None,
                elinewidth=1,
                capsize=2,
                ms=5,
                label=name,
                **_stroke(place),
            )
        axes.set(title=title, xlabel="bits", ylabel=ylabel, xscale="log", xticks=lengths)
        axes.minorticks_off()
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        _legend_beside(axes)

    return _figure(draw, form)


def precision_recall_curves(
    series: Mapping[str, Sequence[Sequence[float]]], *, title: str, form: Format = "png"
) -> bytes:
    """Precision against recall for several methods.

    Args:
        series: method ► points ``[recall, precision]`` by rank.
        title: of the plot.
        form: of the image.

    Raises:
        InputError: if there is no series.
        MissingExtraError: without matplotlib.
    """
    if not series:
        raise InputError("there is nothing to plot", "give at least one series")

    def draw(axes: Any) -> None:
        for place, (name, points) in enumerate(series.items()):
            recall, precision = np.array(points).T
            axes.plot(recall, precision, label=name, **{**_stroke(place), "marker": None})
        axes.set(title=title, xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.02))
        _legend_beside(axes)

    return _figure(draw, form)


def _stroke(place: int) -> dict[str, Any]:
    """How the line of a series is drawn: no two alike in colour and dashes together."""
    lap = place // len(COLOURS)
    return {
        "color": COLOURS[place % len(COLOURS)],
        "lw": 1.8,
        "ls": ("-", "--", ":")[lap % 3],
        "marker": MARKERS[(place + lap) % len(MARKERS)],
    }


def _legend_beside(axes: Any) -> None:
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), handlelength=3.2)


def _deviation(values: Sequence[float]) -> float:
    """Standard deviation of the sample; 0 of a single value."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def _coloured(reports: Sequence[Report]) -> list[tuple[Report, str]]:
    if not reports:
        raise InputError("there is nothing to plot", "give at least one report")
    return [(report, COLOURS[place % len(COLOURS)]) for place, report in enumerate(reports)]


def _name(report: Report) -> str:
    return f"{report.method or 'encoder'} {report.bits} bits ({report.map_at_k:.3f})"


def _figure(draw: Callable[[Any], None], form: Format) -> bytes:
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtraError("plotting", "train", str(error.name)) from None
    with rc_context(STYLE):
        figure = Figure(figsize=SIZE, layout="constrained")
        draw(figure.subplots())
        image = BytesIO()
        metadata = {"Date": None} if form == "svg" else {"Software": None}
        figure.savefig(image, format=form, dpi=DPI, metadata=metadata)
    return image.getvalue()
