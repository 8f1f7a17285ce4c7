"""Fuzz the readers of images and scenes, guided by coverage, for a bounded time.

    pip install atheris
    python tests/fuzz/readers.py -max_total_time=600 -timeout=60 -rss_limit_mb=3000 CORPUS

CORPUS is a folder of small good files; it grows. What is no image must be refused with an
``ImageError`` that names the file; anything else ends the run and leaves the input beside it. What
is found becomes a test in ``tests/imagery/test_hostile_corpus.py``. No part of the suite, which
mutates files at random instead (``test_mutations``).
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from pathlib import Path

import atheris  # type: ignore[import-not-found]

with atheris.instrument_imports(include=["terrahash.imagery", "PIL"]):
    from terrahash.errors import ImageError
    from terrahash.imagery import Length, Tiling, read_image, read_window
    from terrahash.imagery.inputs import kind_of

PATH = Path(tempfile.mkdtemp(prefix="terrahash-fuzz-")) / "fuzzed.tif"


def one(content: bytes) -> None:
    """Read one file in every way."""
    PATH.write_bytes(content)
    kind_of(PATH, len(content), None)
    kind_of(PATH, len(content), Tiling(Length(16)))
    for source in (PATH, content):
        with contextlib.suppress(ImageError):
            read_image(source)
    with contextlib.suppress(ImageError):
        read_window(PATH)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
