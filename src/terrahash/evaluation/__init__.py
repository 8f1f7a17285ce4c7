"""Protocols, metrics, plots and reports: how good is an encoder, honestly.

The names load their modules on first use: showing a stored trust curve needs no compiler.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from terrahash.evaluation.codestats import CodeStatistics, code_statistics
    from terrahash.evaluation.evaluator import evaluate, evaluate_codes
    from terrahash.evaluation.metrics import Curves, Metrics, measure
    from terrahash.evaluation.protocols import PROTOCOLS, Trial, arrange
    from terrahash.evaluation.published import PUBLISHED, published_metrics
    from terrahash.evaluation.report import CodeReport, Report
    from terrahash.evaluation.retrieval import Retrieval
    from terrahash.evaluation.trust import TrustCurve, precision_by_distance

_HOMES = {
    "codestats": ("CodeStatistics", "code_statistics"),
    "evaluator": ("evaluate", "evaluate_codes"),
    "metrics": ("Curves", "Metrics", "measure"),
    "protocols": ("PROTOCOLS", "Trial", "arrange"),
    "published": ("PUBLISHED", "published_metrics"),
    "report": ("CodeReport", "Report"),
    "retrieval": ("Retrieval",),
    "trust": ("TrustCurve", "precision_by_distance"),
}

__all__ = [
    "PROTOCOLS",
    "PUBLISHED",
    "CodeReport",
    "CodeStatistics",
    "Curves",
    "Metrics",
    "Report",
    "Retrieval",
    "Trial",
    "TrustCurve",
    "arrange",
    "code_statistics",
    "evaluate",
    "evaluate_codes",
    "measure",
    "precision_by_distance",
    "published_metrics",
]


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
