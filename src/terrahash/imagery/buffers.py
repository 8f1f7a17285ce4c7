"""Memory for large arrays that come and go, used again instead of fetched anew."""

from __future__ import annotations

import math
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Buffers:
    """Arrays of changing shapes in the same few pieces of memory.

    Memory that the system hands out is cleared page by page when it is first written to, which
    costs as much as filling it. Threads may share one.
    """

    def __init__(self) -> None:
        self._free: list[NDArray[np.uint8]] = []

    def take(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """An array of any contents; its memory is free again when it and all its views are gone."""
        size = math.prod(shape) * dtype.itemsize
        try:
            memory = self._free.pop()
        except IndexError:
            memory = np.empty(0, np.uint8)
        if memory.size < size:
            memory = np.empty(size, np.uint8)
        # Views of the array keep this one alive, not the memory itself: an array over a buffer
        # that is no array is the base of its views.
        array: NDArray[Any] = np.frombuffer(memory.data, dtype, math.prod(shape))
        weakref.finalize(array, self._free.append, memory).atexit = False
        return array.reshape(shape)
