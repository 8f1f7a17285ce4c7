"""Carrying an archive's tiles elsewhere and bringing codes in: GeoParquet, STAC, CSV, NumPy."""

from terrahash.archive.exchange.report import ExchangeReport
from terrahash.archive.exchange.transfer import FORMATS, export_tiles, format_of, import_tiles

__all__ = ["FORMATS", "ExchangeReport", "export_tiles", "format_of", "import_tiles"]
