"""Exact Hamming search over packed codes. Knows arrays only: no files, no images."""

from terrahash.search.cells import Cells, build_cells
from terrahash.search.engine import search
from terrahash.search.matches import Matches

__all__ = ["Cells", "Matches", "build_cells", "search"]
