"""The demo's archive: drawn scenes with invented places and dates, as they show no real ones."""

from __future__ import annotations

import math
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from terrahash.archive import Archive, open_archive
from terrahash.cache import cache_folder

# Longitude and latitude of towns all over the world; the tiles lie around them in blocks.
PLACES = (
    (-122.42, 37.77), (-99.13, 19.43), (-74.01, 40.71), (-58.38, -34.60), (-43.20, -22.91),
    (-9.14, 38.72), (-0.13, 51.51), (2.35, 48.86), (8.54, 47.38), (13.40, 52.52),
    (18.42, -33.92), (24.94, 60.17), (28.98, 41.01), (31.24, 30.04), (36.82, -1.29),
    (55.27, 25.20), (72.88, 19.08), (85.32, 27.72), (103.82, 1.35), (116.40, 39.90),
    (121.47, 31.23), (139.69, 35.69), (151.21, -33.87), (174.76, -36.85),
)  # fmt: skip
# Side of a tile: 256 pixels of 2.5 m. Tiles of a block touch each other.
TILE_DEGREES = 640 / 111_320
FIRST_DAY = datetime(2021, 1, 1, tzinfo=UTC)
DAYS = 5 * 365
BATCH = 5_000
_DONE = "placed"


def folder() -> Path:
    """Where the demo is kept."""
    return cache_folder() / "serve-demo"


def archive() -> Path:
    """The folder of its archive, whether or not it is there."""
    return folder() / "tiles.terrahash"


def is_made() -> bool:
    """Whether the archive is there as a whole."""
    return (folder() / _DONE).exists()


def make() -> int:
    """Draw the scenes, train an encoder, index and place the tiles; what is shown goes to stderr.

    In a process of its own: the service would keep what training takes of memory.

    Returns:
        The exit code of that process, other than 0 if there is no demo.

    Raises:
        KeyboardInterrupt: once that process has ended as well.
    """
    # What an interrupted run left is made again.
    shutil.rmtree(folder(), ignore_errors=True)
    command = [sys.executable, "-m", "terrahash", "demo", "--out", str(folder())]
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as making:  # noqa: S603 - our own
            try:
                code = making.wait()
            except KeyboardInterrupt:
                making.wait()  # Ctrl-C reached it too
                raise
            except SystemExit:
                making.terminate()
                raise
    finally:
        signal.signal(signal.SIGTERM, before)
    if code == 0:
        with open_archive(archive(), mode="a") as opened:
            place(opened)
        (folder() / _DONE).touch()
    return code


def place(archive: Archive, seed: int = 0) -> int:
    """Give every tile that has no footprint an invented one, and a date.

    Args:
        archive: opened for writing.
        seed: of the places.

    Returns:
        How many tiles were given one.
    """
    missing = archive.ids(where="west IS NULL")
    order = np.random.default_rng(seed).permutation(len(missing))
    side = math.ceil(math.sqrt(len(missing) / len(PLACES)))
    for start in range(0, len(missing), BATCH):
        ids = missing[start : start + BATCH]
        boxes, moments = [], []
        for turn in order[start : start + BATCH].tolist():
            longitude, latitude = PLACES[turn % len(PLACES)]
            row, column = divmod(turn // len(PLACES), side)
            width = TILE_DEGREES / math.cos(math.radians(latitude))
            west = longitude + (column - side / 2) * width
            south = latitude + (row - side / 2) * TILE_DEGREES
            boxes.append((west, south, west + width, south + TILE_DEGREES))
            moments.append(
                FIRST_DAY + timedelta(days=turn * 37 % DAYS, hours=10, minutes=turn % 60)
            )
        archive.update(ids, bboxes=boxes, datetimes=moments)
    return len(missing)
