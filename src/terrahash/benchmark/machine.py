"""What a benchmark ran on, in words."""

from __future__ import annotations

import os
import platform
import re
from functools import cache
from pathlib import Path

from terrahash.machine import available_cores

GIBIBYTE = 1024**3


@cache
def describe_machine() -> str:
    """Processor, cores that may be used, and memory."""
    try:
        details = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        found = re.search(r"^model name\s*: (.+)$", details, re.MULTILINE)
        processor = found[1].strip() if found else platform.machine()
    except OSError:
        processor = platform.processor() or platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIBIBYTE
    return f"{processor}, {available_cores()} cores, {memory:.0f} GiB"
