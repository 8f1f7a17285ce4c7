"""Tables and a plot from the results of ``benchmarks/search.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- results -->", "<!-- end of results -->"
ORDER = (
    "memory limit",
    "scan",
    "cells",
    "scan, asymmetric",
    "cells, asymmetric",
    "numpy",
    "faiss flat, heap",
    "faiss flat, counting",
    "faiss HNSW, M 16, ef 128",
)


def write_report(results: Path, page: Path, plot: Path) -> None:
    """Put a table for each setting between the page's two marks, and draw the plot."""
    latest: dict[tuple[str, int, int], dict[str, dict[str, Any]]] = {}
    for line in results.read_text().splitlines():
        row = json.loads(line)
        latest.setdefault((row["data"], row["bits"], row["codes"]), {})[row["engine"]] = row
    text = page.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    tables = "\n\n".join(_table(setting, latest[setting]) for setting in sorted(latest))
    page.write_text(f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}")
    _draw(latest, plot)


def _table(setting: tuple[str, int, int], rows: dict[str, dict[str, Any]]) -> str:
    data, bits, codes = setting
    any_row = next(iter(rows.values()))
    lines = [
        f"**{codes / 1e6:g} M {data} codes of {bits} bits** "
        f"({any_row['cpu']}, {any_row['threads']} threads, load before {any_row['load']}, "
        f"{any_row['date']})",
        "",
        "| | p50 ms | p95 ms | × limit | × scan | batch of 100, ms | recall | equal to scan "
        "| build s | bytes a code |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name in (name for name in ORDER if name in rows):
        row = rows[name]
        equal = row.get("equal_to_scan")
        cells = [
            name,
            f"{row['p50_ms']:.3g}",
            f"{row['p95_ms']:.3g}",
            f"{row['times_limit']:.2f}",
            f"{row['times_scan']:.3f}",
            f"{row['batch_100_ms']:.3g}" if "batch_100_ms" in row else "",
            f"{row['recall']:.3f}" if "recall" in row else "",
            "" if equal is None else f"{equal} of {row['queries']}",
            f"{row['build_s']:.1f}" if row["build_s"] else "",
            f"{row['bytes_per_code']:g}" if row["bytes_per_code"] else "",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _draw(latest: dict[tuple[str, int, int], dict[str, dict[str, Any]]], plot: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    kinds = sorted({data for data, bits, _ in latest if bits == 64})
    if not kinds:
        return
    figure, axes = plt.subplots(
        1, len(kinds), figsize=(4.6 * len(kinds), 3.8), sharey=True, squeeze=False
    )
    shown = [name for name in ORDER if "asymmetric" not in name]
    for axis, data in zip(axes[0], kinds, strict=True):
        sizes = sorted(codes for kind, bits, codes in latest if kind == data and bits == 64)
        for name in shown:
            points = [
                (codes, latest[data, 64, codes][name]["p50_ms"])
                for codes in sizes
                if name in latest[data, 64, codes]
            ]
            if points:
                style = {"color": "0.6", "linestyle": "--"} if name == "memory limit" else {}
                axis.plot(*zip(*points, strict=True), marker="o", label=name, **style)
        axis.set(xscale="log", yscale="log", xlabel="codes of 64 bits", title=data)
        axis.grid(alpha=0.3)
    axes[0][0].set_ylabel("one query, ms (median)")
    axes[0][0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(plot, dpi=130)
    plt.close(figure)
