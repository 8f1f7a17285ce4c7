"""What this process runs on: processor cores and installed versions."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version


def available_cores() -> int:
    """Processor cores that this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def installed_versions(*packages: str) -> dict[str, str]:
    """Versions of Python and of installed packages, by name."""
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
