"""Exact Hamming search over packed codes. Knows arrays only: no files, no images."""

from terrahash.search.cells import Cells, build_cells
from terrahash.search.engine import search
from terrahash.search.matches import Matches
from terrahash.search.refine import RefinedQuery, refine

__all__ = ["Cells", "Matches", "RefinedQuery", "build_cells", "refine", "search"]
