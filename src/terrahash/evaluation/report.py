"""A result with all that is needed to understand, compare and repeat it."""

from __future__ import annotations

import csv
import json
from contextlib import suppress
from dataclasses import dataclass, fields
from html import escape
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from terrahash.errors import InputError, MissingExtraError
from terrahash.evaluation.codestats import CodeStatistics
from terrahash.evaluation.examples import Examples
from terrahash.evaluation.metrics import TIE_RULE, Metrics
from terrahash.evaluation.published import PUBLISHED

if TYPE_CHECKING:
    from rich.console import Group

# Digits kept of a metric in JSON: far below any meaningful difference, and diffs stay readable.
DIGITS = 6


@dataclass(frozen=True, eq=False)
class CodeReport:
    """What bare codes say: see :class:`Metrics`, ``PUBLISHED`` and :class:`CodeStatistics`.

    ``statistics`` is of the gallery's codes; ``seconds`` is the wall time of measuring.
    """

    metrics: Metrics
    published: dict[str, float | None]
    statistics: CodeStatistics
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """JSON-ready numbers, without curves."""
        left_out = ("ap_at_k", "curves")
        numbers = {
            field.name: getattr(self.metrics, field.name)
            for field in fields(self.metrics)
            if field.name not in left_out
        }
        return {
            **{name: _rounded(value) for name, value in numbers.items()},
            "tie_rule": TIE_RULE,
            "distinct_codes": self.statistics.distinct_codes,
            "published": {name: _rounded(value) for name, value in self.published.items()},
            "code_statistics": self.statistics.to_json(),
        }

    def curves_json(self) -> dict[str, list[float]]:
        """The curves of :class:`Curves`, JSON-ready."""
        curves = self.metrics.curves
        return {
            field.name: [_rounded(value) for value in getattr(curves, field.name).tolist()]
            for field in fields(curves)
        }


@dataclass(frozen=True, eq=False)
class Report:
    """One evaluation of one encoder.

    Attributes:
        method, variant, backbone, mode, seed: of the encoder's training; None where unknown.
        encoder: its fingerprint.
        bits, label_bits: of the whole stored code, and how many of them are label bits.
        dataset, split, split_hash, split_seed: what was evaluated on; ``split`` is its rule.
        protocol: see :data:`terrahash.evaluation.protocols.PROTOCOLS`.
        result: the numbers.
        seconds: wall time in all; ``seconds_encoding`` of it went into encoding the images.
        versions: of what the numbers depend on.
        notes: what a reader must know, such as that the encoder was trained on other data.
        examples: queries and their answers to look at.
        database: ``network``, or ``learned`` where training images are found by the codes that
            training learned for them.
    """

    method: str | None
    variant: str | None
    backbone: str | None
    mode: str | None
    seed: int | None
    encoder: str
    bits: int
    label_bits: int
    dataset: str
    split: str
    split_hash: str
    split_seed: int
    protocol: str
    result: CodeReport
    seconds: float
    seconds_encoding: float
    versions: dict[str, str]
    notes: tuple[str, ...]
    examples: Examples
    database: str = "network"

    @property
    def metrics(self) -> Metrics:
        """The metrics."""
        return self.result.metrics

    @property
    def map_at_k(self) -> float:
        """Tie-aware mAP@k with denominator min(k, R): the figure to compare by."""
        return self.metrics.map_at_k

    def to_json(self, *, curves: bool = False) -> dict[str, Any]:
        """One JSON-ready object.

        Args:
            curves: with the curves, under ``"curves"``.
        """
        own = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name not in ("result", "examples")
        }
        own.update(
            seconds=round(self.seconds, 3),
            seconds_encoding=round(self.seconds_encoding, 3),
            notes=list(self.notes),
        )
        return {
            **own,
            **self.result.to_json(),
            **({"curves": self.result.curves_json()} if curves else {}),
        }

    def title(self) -> str:
        """The encoder in a few words."""
        parts = [self.method or "encoder", self.variant, self.backbone, self.mode]
        size = f"{self.bits} bits"
        if self.label_bits:
            size += f" ({self.bits - self.label_bits} hash + {self.label_bits} label)"
        return " · ".join([*(part for part in parts if part), size])

    def setting(self) -> str:
        """What was measured on, in a few words."""
        metrics = self.metrics
        return (
            f"{self.dataset}, split {self.split} seed {self.split_seed} ({self.split_hash}) · "
            f"{self.protocol}: {metrics.n_queries} queries, database of {metrics.n_database}"
            + (", training images by their learned codes" if self.database == "learned" else "")
        )

    def rows(self) -> list[tuple[str, str, float | int | None]]:
        """Name, meaning and value of the numbers that a table shows."""
        metrics, statistics, k = self.metrics, self.result.statistics, self.metrics.k
        rows = [
            (f"mAP@{k}", "tie-aware, ÷ min(k, R)", metrics.map_at_k),
            (
                f"mAP@{k}, asymmetric",
                "ranked by Σ|u| over differing bits",
                metrics.map_at_k_asymmetric,
            ),
            (f"mAP@{k}, hits", "÷ relevant answers, as papers do", metrics.map_at_k_hits),
            ("mAP", "whole ranking", metrics.map),
            (f"weighted mAP@{k}", "by labels shared", metrics.map_at_k_weighted),
            (f"precision@{k}", "", metrics.precision_at_k),
            (f"recall@{k}", "", metrics.recall_at_k),
            (f"hit@{k}", "queries with a right answer", metrics.hit_at_k),
            (f"NDCG@{k}", "", metrics.ndcg_at_k),
            ("ANMRR", "0 is best", metrics.anmrr),
            ("precision, radius 2", "nothing found counts 0", metrics.precision_radius_2),
            ("failed, radius 2", "queries that find nothing", metrics.failed_radius_2),
            ("distinct codes", f"of {statistics.n_codes}", statistics.distinct_codes),
        ]
        return [row for row in rows if row[2] is not None]

    def __rich__(self) -> Group:
        """A table for the terminal."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        table.add_column()
        table.add_column(justify="right")
        table.add_column(style="dim")
        for place, (name, meaning, value) in enumerate(self.rows()):
            table.add_row(name, shown(value), meaning, style="bold" if place == 0 else None)
        published = Table(box=None, padding=(0, 2, 0, 0), show_header=False, style="dim")
        for name, value in self.result.published.items():
            if value is not None:
                published.add_row(shown(value), PUBLISHED[name])
        return Group(
            Text(self.title(), style="bold"),
            Text(self.setting()),
            *(Text(f"note: {note}", style="yellow") for note in self.notes),
            Text(),
            table,
            Text(f"\nties: {TIE_RULE}\n", style="dim"),
            Text("as published code computes it; not mAP, depends on storage order", style="dim"),
            published,
        )

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(name)}</td><td style='text-align:right'>{shown(value)}</td>"
            f"<td style='opacity:.6'>{escape(meaning)}</td></tr>"
            for name, meaning, value in self.rows()
        )
        notes = "".join(f"<p>note: {escape(note)}</p>" for note in self.notes)
        return (
            f"<b>{escape(self.title())}</b><p>{escape(self.setting())}</p>{notes}"
            f"<table>{rows}</table><p style='opacity:.6'>ties: {escape(TIE_RULE)}</p>"
        )

    def __repr__(self) -> str:
        return (
            f"<Report {self.title()}, {self.dataset} {self.protocol}: "
            f"mAP@{self.metrics.k} {self.map_at_k:.4f}>"
        )

    def save(self, folder: str | Path) -> list[Path]:
        """Write ``report.json`` (curves included), ``curves.csv`` and the plots as PNG.

        Without matplotlib (extra ``train``) the plots are left out.

        Returns:
            The files written.

        Raises:
            InputError: if the folder cannot be written.
        """
        from terrahash.evaluation import plots

        folder = Path(folder)
        report = json.dumps(self.to_json(curves=True), indent=1, ensure_ascii=False)
        contents = {
            "report.json": f"{report}\n".encode(),
            "curves.csv": self.curves_csv().encode(),
        }
        with suppress(MissingExtraError):
            contents |= {f"{name}.png": image for name, image in plots.all_plots([self]).items()}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, content in contents.items():
                (folder / name).write_bytes(content)
        except OSError as error:
            raise InputError(
                f"cannot write the report to '{folder}': {error.strerror}",
                "choose a writable folder with some space",
            ) from None
        return [folder / name for name in contents]

    def curves_csv(self) -> str:
        """The curves as CSV: curve, x, precision, recall, share of queries answered."""
        curves = self.metrics.curves
        text = StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["curve", "x", "precision", "recall", "answered"])
        for distance, *values in zip(
            curves.distances,
            curves.precision_within,
            curves.recall_within,
            curves.answered_within,
            strict=True,
        ):
            writer.writerow(["radius", f"{distance:g}", *(f"{value:.6f}" for value in values)])
        for rank, *values in zip(curves.ranks, curves.precision_at, curves.recall_at, strict=True):
            writer.writerow(["rank", rank, *(f"{value:.6f}" for value in values), "1"])
        return text.getvalue()


def shown(value: float | int | None) -> str:
    """A number as tables show it."""
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def _rounded(value: Any) -> Any:
    return round(value, DIGITS) if isinstance(value, float) else value
