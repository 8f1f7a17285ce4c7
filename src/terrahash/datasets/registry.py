"""The data sets that are known by name, and how a name or a folder becomes a data set."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from terrahash.cache import cache_folder
from terrahash.datasets.aid import AID
from terrahash.datasets.bigearthnet import BIGEARTHNET, BIGEARTHNET_MS
from terrahash.datasets.dataset import Dataset
from terrahash.datasets.eurosat import EUROSAT, EUROSAT_MS
from terrahash.datasets.folder import load_class_folders, load_folder
from terrahash.datasets.known import KnownDataset
from terrahash.datasets.patternnet import PATTERNNET
from terrahash.datasets.resisc45 import RESISC45
from terrahash.datasets.rsscn7 import RSSCN7
from terrahash.datasets.ucmerced import UCMERCED
from terrahash.datasets.whu_rs19 import WHU_RS19
from terrahash.errors import DatasetError

SCENES, SCENE_SETS, SCENES_MS = "scenes", "scenes-sets", "scenes-ms"
BUILT_IN = (SCENES, SCENE_SETS, SCENES_MS)
KNOWN: dict[str, KnownDataset] = {
    known.name: known
    for known in (
        UCMERCED,
        AID,
        WHU_RS19,
        RESISC45,
        PATTERNNET,
        RSSCN7,
        EUROSAT,
        EUROSAT_MS,
        BIGEARTHNET,
        BIGEARTHNET_MS,
    )
}


def data_folders() -> list[Path]:
    """Where known data sets are looked for: ``$TERRAHASH_DATA``, then the cache."""
    given = os.environ.get("TERRAHASH_DATA")
    return [*([Path(given).expanduser()] if given else []), cache_folder() / "data"]


def find(known: KnownDataset, folders: Sequence[Path] | None = None) -> Path | None:
    """The folder of a known data set below one of the data folders, or ``None``."""
    for base in data_folders() if folders is None else folders:
        for folder in known.folders:
            place = base / folder
            if place.is_dir() and (known.load is not None or _holds_classes(place, known)):
                return place
    return None


def _holds_classes(place: Path, known: KnownDataset) -> bool:
    return any((place / name).is_dir() for name in known.classes)


def built_in_folder(name: str) -> Path:
    """Where a built-in data set is kept once it is made."""
    if name == SCENES_MS:
        from terrahash.datasets.scenes_ms import scenes_ms_folder

        return scenes_ms_folder()
    from terrahash.datasets.scenes import scenes_folder

    return scenes_folder()


def load_dataset(name_or_folder: str | Path) -> Dataset:
    """A data set by its known name, ``"scenes"``, or from a folder (:func:`load_folder`).

    A known name is looked for below ``$TERRAHASH_DATA`` and the user's cache, in the folders its
    publisher uses. ``"scenes"``, the built-in synthetic data set, is made on first use and kept in
    the cache; ``"scenes-sets"`` is the same tiles with label sets, ``"scenes-ms"`` is tiles of
    four bands. A folder that is called like a known name is given as ``./name``.

    Raises:
        DatasetError: if the data set is not on this machine, or not as it should be.
    """
    if isinstance(name_or_folder, str):
        if name_or_folder == SCENES:
            from terrahash.datasets.scenes import load_scenes

            return load_scenes()
        if name_or_folder == SCENE_SETS:
            from terrahash.datasets.scenes import load_scene_sets

            return load_scene_sets()
        if name_or_folder == SCENES_MS:
            from terrahash.datasets.scenes_ms import load_scenes_ms

            return load_scenes_ms()
        known = KNOWN.get(name_or_folder.lower())
        if known is not None:
            return _load_known(known)
        if "/" not in name_or_folder and os.sep not in name_or_folder:
            folder = Path(name_or_folder)
            if not folder.exists():
                raise DatasetError(
                    f"'{name_or_folder}' is neither a known data set nor a folder",
                    f"known are {', '.join([*BUILT_IN, *KNOWN])}",
                )
    return load_folder(Path(name_or_folder).expanduser())


def _load_known(known: KnownDataset) -> Dataset:
    root = find(known)
    if root is None:
        looked = " and ".join(f"'{base}'" for base in data_folders())
        raise DatasetError(
            f"data set '{known.name}' was not found: no '{known.folders[0]}' in {looked}",
            f"terrahash data fetch {known.name}, or set TERRAHASH_DATA to the folder that holds "
            f"'{known.folders[0]}'",
        )
    if known.load is not None:
        return known.load(root)
    return load_class_folders(root, known.name, known.classes)
