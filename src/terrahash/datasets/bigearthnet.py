"""BigEarthNet v1.0: Sentinel-2 patches with label sets, in the nomenclature of 19 classes.

As published, a patch is a folder of one 16-bit GeoTIFF a band and a JSON file with its CORINE
labels. :func:`prepare` makes of the three visible bands one picture a patch, beside a label file,
which is a folder like any other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from terrahash.datasets.dataset import Dataset
from terrahash.datasets.folder import load_folder
from terrahash.datasets.known import Download, KnownDataset
from terrahash.errors import DatasetError
from terrahash.progress import Reporter, Silent

RAW, PICTURES = "BigEarthNet-v1.0", "BigEarthNet-v1.0-rgb"
VISIBLE = ("B04", "B03", "B02")  # red, green, blue
# Digital number (reflectance × 10,000) that becomes white; land surfaces rarely exceed it.
WHITE_LEVEL = 2750.0

_NINETEEN: dict[str, tuple[str, ...]] = {
    "Urban fabric": ("Continuous urban fabric", "Discontinuous urban fabric"),
    "Industrial or commercial units": ("Industrial or commercial units",),
    "Arable land": ("Non-irrigated arable land", "Permanently irrigated land", "Rice fields"),
    "Permanent crops": (
        "Vineyards",
        "Fruit trees and berry plantations",
        "Olive groves",
        "Annual crops associated with permanent crops",
    ),
    "Pastures": ("Pastures",),
    "Complex cultivation patterns": ("Complex cultivation patterns",),
    "Land principally occupied by agriculture, with significant areas of natural vegetation": (
        "Land principally occupied by agriculture, with significant areas of natural vegetation",
    ),
    "Agro-forestry areas": ("Agro-forestry areas",),
    "Broad-leaved forest": ("Broad-leaved forest",),
    "Coniferous forest": ("Coniferous forest",),
    "Mixed forest": ("Mixed forest",),
    "Natural grassland and sparsely vegetated areas": (
        "Natural grassland",
        "Sparsely vegetated areas",
    ),
    "Moors, heathland and sclerophyllous vegetation": (
        "Moors and heathland",
        "Sclerophyllous vegetation",
    ),
    "Transitional woodland, shrub": ("Transitional woodland/shrub",),
    "Beaches, dunes, sands": ("Beaches, dunes, sands",),
    "Inland wetlands": ("Inland marshes", "Peatbogs"),
    "Coastal wetlands": ("Salt marshes", "Salines"),
    "Inland waters": ("Water courses", "Water bodies"),
    "Marine waters": ("Coastal lagoons", "Estuaries", "Sea and ocean"),
}
# CORINE classes that the 19-class nomenclature drops are missing here.
_FROM_CORINE = {corine: name for name, members in _NINETEEN.items() for corine in members}


def load(root: Path) -> Dataset:
    """The pictures that :func:`prepare` made, with their label sets over the 19 classes.

    Raises:
        DatasetError: if only the published patches are there.
    """
    if root.name == RAW:
        raise DatasetError(
            f"the patches of BigEarthNet in '{root}' are not prepared yet",
            "terrahash data prepare bigearthnet makes pictures of them",
        )
    found = load_folder(root, BIGEARTHNET.name)
    targets = np.zeros((len(found), len(BIGEARTHNET.classes)), bool)
    columns = [BIGEARTHNET.classes.index(name) for name in found.class_names]
    targets[:, columns] = found.targets
    return Dataset(found.name, found.root, found.files, targets, BIGEARTHNET.classes)


def prepare(data: Path, reporter: Reporter | None = None) -> Path:
    """Make 8-bit RGB pictures and ``labels.json`` of the patches below the data folder ``data``.

    Reflectance is scaled linearly, 0.275 to white. Patches that carry none of the 19 classes are
    left out, as their authors advise. The folder of pictures appears when all are made; an
    interrupted run goes on where it was.

    Returns:
        The folder of the pictures.

    Raises:
        DatasetError: if there are no patches, or one is damaged.
    """
    from PIL import Image

    reporter = reporter or Silent()
    raw, pictures, unfinished = data / RAW, data / PICTURES, data / f"{PICTURES}.part"
    if pictures.is_dir():
        return pictures
    patches = sorted(_patches(raw))
    if not patches:
        raise DatasetError(
            f"no patches of BigEarthNet in '{raw}'", "terrahash data fetch bigearthnet"
        )
    unfinished.mkdir(exist_ok=True)
    labels: dict[str, list[str]] = {}
    for number, patch in enumerate(patches, start=1):
        names = _labels(patch)
        if names:
            picture = unfinished / f"{patch.name}.png"
            labels[picture.name] = names
            if not picture.exists():
                part = picture.with_suffix(".part")
                Image.fromarray(_picture(patch)).save(part, "PNG")
                part.replace(picture)
        reporter.advance("prepare bigearthnet", number, len(patches), "patches")
    (unfinished / "labels.json").write_text(json.dumps(labels, indent=0), encoding="utf-8")
    return unfinished.rename(pictures)


def _patches(raw: Path) -> Iterator[Path]:
    if raw.is_dir():
        yield from (entry for entry in raw.iterdir() if entry.is_dir() and entry.name[0] != ".")


def _labels(patch: Path) -> list[str]:
    path = patch / f"{patch.name}_labels_metadata.json"
    try:
        corine = json.loads(path.read_text(encoding="utf-8"))["labels"]
        return sorted({_FROM_CORINE[name] for name in corine if name in _FROM_CORINE})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"cannot read '{path}': {error}", "unpack the archive again") from error


def _picture(patch: Path) -> NDArray[np.uint8]:
    """``(120, 120, 3) uint8``."""
    from PIL import Image

    bands = []
    for band in VISIBLE:
        path = patch / f"{patch.name}_{band}.tif"
        try:
            with Image.open(path, formats=("TIFF",)) as image:
                bands.append(np.asarray(image, np.float32))
        except (OSError, ValueError, SyntaxError) as error:
            raise DatasetError(
                f"cannot read '{path}': {error}", "unpack the archive again"
            ) from error
    levels = np.clip(np.stack(bands, axis=-1) * (255 / WHITE_LEVEL), 0, 255)
    return np.asarray(levels, np.uint8)


BIGEARTHNET = KnownDataset(
    name="bigearthnet",
    title="BigEarthNet v1.0 (Sentinel-2, 19 classes)",
    folders=(PICTURES, RAW),
    classes=tuple(_NINETEEN),
    images=590326,
    tile="120×120, Sentinel-2, 10 m; label sets",
    citation=(
        "G. Sumbul, M. Charfuelan, B. Demir and V. Markl, BigEarthNet: a large-scale benchmark "
        "archive for remote sensing image understanding, IGARSS, 2019; 19 classes: G. Sumbul et "
        "al., BigEarthNet-MM, IEEE GRSM 9(3), 2021"
    ),
    terms=(
        "Community Data License Agreement – Permissive 1.0; contains modified Copernicus Sentinel "
        "data. The download is larger than 60 GB and unpacks to more."
    ),
    homepage="https://bigearth.net/",
    downloads=(
        Download(
            "https://zenodo.org/records/12687186/files/BigEarthNet-S2-v1.0.tar.gz",
            "BigEarthNet-S2-v1.0.tar.gz",
            "md5:5a64e9ce38deb036a435a7b59494924c",
        ),
    ),
    load=load,
    prepare=prepare,
)
