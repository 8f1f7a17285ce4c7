"""Memory that is used again."""

from __future__ import annotations

import numpy as np

from terrahash.imagery.buffers import Buffers


def test_memory_is_used_again_once_all_views_are_gone() -> None:
    buffers = Buffers()
    first = buffers.take((3, 4, 5), np.dtype("uint16"))
    first[:] = 7
    place = first.ctypes.data
    view = first[1, 1:, ::2].transpose()
    del first
    other = buffers.take((3, 4, 5), np.dtype("uint16"))
    other[:] = 9
    assert (view == 7).all()
    del view
    again = buffers.take((2, 3), np.dtype("float32"))
    assert (again.shape, again.dtype) == ((2, 3), np.float32)
    assert again.ctypes.data == place
    del again
    larger = buffers.take((100, 100), np.dtype("float64"))
    larger[:] = 1
    assert (other == 9).all()
