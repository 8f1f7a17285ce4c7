"""Where terrahash keeps what can be made again: data sets it fetched, features it computed."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """``$TERRAHASH_CACHE``, else ``terrahash`` in the user's cache folder."""
    if configured := os.environ.get("TERRAHASH_CACHE"):
        return Path(configured)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "terrahash"
