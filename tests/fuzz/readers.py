"""Fuzz the readers of images, scenes and STAC documents, guided by coverage, for a bounded time.

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

with atheris.instrument_imports(include=["terrahash.imagery", "PIL", "pystac"]):
    from terrahash.errors import ImageError
    from terrahash.imagery import Length, Tiling, read_image, read_window
    from terrahash.imagery.clock import Clock
    from terrahash.imagery.cutting import read_tiles
    from terrahash.imagery.inputs import kind_of
    from terrahash.imagery.rendering import Rendering
    from terrahash.imagery.scene import Scene
    from terrahash.imagery.stac import assets

FOLDER = Path(tempfile.mkdtemp(prefix="terrahash-fuzz-"))
PATH, DOCUMENT = FOLDER / "fuzzed.tif", FOLDER / "fuzzed.json"
TILING = Tiling(Length(16))
# A header may claim many more, which would only take long.
MOST_WINDOWS = 4096


def one(content: bytes) -> None:
    """Read one file in every way."""
    if content[:1] == b"{":
        DOCUMENT.write_bytes(content)
        for _ in assets(DOCUMENT, None, lambda *_: None):
            pass
        return
    PATH.write_bytes(content)
    kind_of(PATH, len(content), None)
    kind_of(PATH, len(content), TILING)
    for source in (PATH, content):
        with contextlib.suppress(ImageError):
            read_image(source)
    with contextlib.suppress(ImageError):
        read_window(PATH)
    with contextlib.suppress(ImageError):
        cut()


def cut() -> None:
    """Cut the file as a scene."""
    scene = Scene.open(str(PATH))
    grid = TILING.grid(scene.width, scene.height, scene.place, scene.source)
    if len(grid) > MOST_WINDOWS:
        return
    rendering = Rendering.of(scene, (), TILING.scaling)
    for row in read_tiles(rendering, grid.windows(), shown=grid.shown, clock=Clock()):
        for raw in row:
            with contextlib.suppress(ImageError):
                raw.image(rendering, grid.shown, 0.5)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
