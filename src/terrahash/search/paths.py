"""Which path a search takes: numpy while the compiled kernels would not earn their loading time."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

# Importing numba and loading a kernel from its cache takes about this long; compiling one for the
# first time on a machine takes a second or two more.
LOADING_SECONDS = 0.4
# What the numpy path compares in a second on a slow processor, in bytes of codes times queries.
NUMPY_RATE = 4e9
NUMPY_RATE_ASYMMETRIC = 4e8

_numpy_seconds = 0.0


def kernels_pay(compared_bytes: int, *, asymmetric: bool) -> bool:
    """Whether to use the kernels: loaded already, or worth loading for this and past searches."""
    if "terrahash.search.scan" in sys.modules:
        return True
    rate = NUMPY_RATE_ASYMMETRIC if asymmetric else NUMPY_RATE
    return _numpy_seconds + compared_bytes / rate > LOADING_SECONDS


@contextmanager
def counted() -> Iterator[None]:
    """Count the time of a search by numpy towards the loading of the kernels."""
    global _numpy_seconds
    start = time.perf_counter()
    yield
    _numpy_seconds += time.perf_counter() - start
