"""Making the tiles of ``scenes`` and keeping them in the cache."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np

from terrahash.cache import cache_folder
from terrahash.datasets.dataset import Dataset
from terrahash.datasets.folder import load_class_folders
from terrahash.datasets.generated import appearing, made_once
from terrahash.datasets.labels import read_label_file
from terrahash.errors import InputError

GENERATOR_VERSION = 3  # raised whenever a tile comes out otherwise than before
DEFAULT_PER_CLASS = 60
DEFAULT_SIZE = 128
MIN_SIZE, MAX_SIZE = 16, 1024  # pixels; below, nothing can be told apart
TILES_WORTH_A_WORKER = 150  # starting one takes as long as drawing some thirty tiles
MAX_WORKERS = 8
CONTENTS, CONTENTS_KEY = "contents.json", "contents"

# The layouts of landuse.py, which load Pillow and are imported only to draw.
SCENE_CLASSES = (
    "beach",
    "dense_residential",
    "farmland",
    "forest",
    "freeway",
    "harbour",
    "industrial",
    "intersection",
    "parking_lot",
    "river",
    "roundabout",
    "runway",
    "solar_park",
    "sparse_residential",
    "sports_field",
    "storage_tanks",
)
# The kinds of things that layouts note as seen.
SCENE_CONTENTS = (
    "aircraft",
    "boats",
    "buildings",
    "cars",
    "containers",
    "fields",
    "pavement",
    "sand",
    "solar_panels",
    "sports_ground",
    "tanks",
    "trees",
    "water",
)


def generate_scenes(
    folder: str | Path,
    *,
    size: int = DEFAULT_SIZE,
    per_class: int = DEFAULT_PER_CLASS,
    seed: int = 0,
) -> Dataset:
    """Write land-use tiles as PNG files into class folders below ``folder``.

    The same arguments give the same pixels; each tile depends on its class, its number and the
    seed alone. The folder appears only once it is whole.

    ``contents.json`` beside the class folders names what each tile shows (trees, buildings,
    water …): label sets that :func:`load_scene_sets` reads.

    Args:
        folder: to be made; must not exist, or be empty.
        size: width and height in pixels, 16 to 1024.
        per_class: tiles in each class.
        seed: any whole number from 0.

    Raises:
        InputError: if an argument is out of range.
        DatasetError: if the folder is in the way or cannot be written.
    """
    folder = Path(folder)
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise InputError(f"tiles of {size} pixels cannot be", f"choose {MIN_SIZE} to {MAX_SIZE}")
    if per_class < 1 or seed < 0:
        raise InputError(
            f"{per_class} tiles a class with seed {seed} cannot be",
            "choose at least one tile, and a seed from 0",
        )
    with appearing(folder, "scenes") as unfinished:
        _write_all(unfinished, size, per_class, seed)
        _write_contents(unfinished)
    return _load(folder)


def _load(folder: Path) -> Dataset:
    return load_class_folders(folder, "scenes", SCENE_CLASSES)


def load_scene_sets() -> Dataset:
    """The default scenes with label sets instead of classes: the kinds of things each tile shows.

    Raises:
        DatasetError: if they cannot be written.
    """
    data = load_scenes()
    return read_label_file(data.root / CONTENTS, data.root, data.files, "scenes-sets")


def scenes_folder() -> Path:
    """Where the default scenes of this version are kept."""
    return cache_folder() / "data" / f"scenes-v{GENERATOR_VERSION}"


def load_scenes() -> Dataset:
    """The default scenes from the cache; made on first use.

    Raises:
        DatasetError: if they cannot be written.
    """
    return made_once(scenes_folder(), generate_scenes, _load)


def write_share(
    folder: Path, *, size: int, per_class: int, seed: int, share: int = 0, shares: int = 1
) -> None:
    """Draw every ``shares``-th tile that is not there yet, beginning with number ``share``."""
    from PIL.PngImagePlugin import PngInfo

    from terrahash.datasets.scenes.landuse import draw_tile

    for class_name in SCENE_CLASSES:
        place = folder / class_name
        place.mkdir(exist_ok=True)
        for number in range(share, per_class, shares):
            path = place / f"{class_name}_{number:04d}.png"
            if not path.exists():
                rng = np.random.default_rng([seed, zlib.crc32(class_name.encode()), number])
                part = path.with_suffix(f".{os.getpid()}.part")
                image, contents = draw_tile(class_name, rng, size)
                remark = PngInfo()
                remark.add_text(CONTENTS_KEY, ";".join(contents))
                image.save(part, "PNG", compress_level=1, pnginfo=remark)
                part.replace(path)


def _write_contents(folder: Path) -> None:
    """Gather what the tiles say of themselves into one label file."""
    from PIL import Image

    contents: dict[str, list[str]] = {}
    for path in sorted(folder.glob("*/*.png")):
        with Image.open(path, formats=("PNG",)) as image:
            said = str(image.info[CONTENTS_KEY])
        contents[path.relative_to(folder).as_posix()] = said.split(";")
    (folder / CONTENTS).write_text(json.dumps(contents, indent=0), encoding="utf-8")


def _write_all(folder: Path, size: int, per_class: int, seed: int) -> None:
    """Draw all tiles with helpers beside this process, which then draws what they left out.

    Helpers are plain commands: unlike a process pool they need no guard in the user's script, and
    where none can be started the tiles only take longer.
    """
    tiles = per_class * len(SCENE_CLASSES)
    shares = min(os.cpu_count() or 1, MAX_WORKERS, 1 + tiles // TILES_WORTH_A_WORKER, per_class)
    command = [sys.executable, "-m", __package__, str(folder), str(size), str(per_class), str(seed)]
    helpers = []
    try:
        for share in range(1, shares):
            try:
                helpers.append(
                    subprocess.Popen(  # noqa: S603 (our own module, numbers as arguments)
                        [*command, str(share), str(shares)],
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,
                    )
                )
            except OSError:
                break
        write_share(
            folder, size=size, per_class=per_class, seed=seed, share=0, shares=max(1, shares)
        )
        for helper in helpers:
            helper.wait()
        write_share(folder, size=size, per_class=per_class, seed=seed)
    finally:
        for helper in helpers:
            helper.kill()
            helper.wait()
    for leftover in folder.glob("*/*.part"):
        leftover.unlink()
