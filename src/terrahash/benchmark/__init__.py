"""Data sets × methods × bits × seeds × protocols: run, resumed, compared and reported.

Above learning and evaluation, below the command line. Importing this package loads no torch.
"""

from __future__ import annotations

from terrahash.benchmark.results import FORMAT, Results, read_results
from terrahash.benchmark.specification import Run, Specification

__all__ = ["FORMAT", "Results", "Run", "Specification", "read_results"]
