"""BigEarthNet v1.0: Sentinel-2 patches with label sets, in the nomenclature of 19 classes.

As published, a patch is a folder of one 16-bit GeoTIFF a band and a JSON file with its CORINE
labels. Preparing makes of the three visible bands one picture a patch, or of all twelve one GeoTIFF
a patch, beside a label file, which is a folder like any other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np

from terrahash.datasets.dataset import Dataset
from terrahash.datasets.folder import load_folder
from terrahash.datasets.known import Download, KnownDataset
from terrahash.errors import DatasetError, ImageError
from terrahash.progress import Reporter, Silent

RAW = "BigEarthNet-v1.0"
VISIBLE = ("B04", "B03", "B02")  # red, green, blue
# All that are published: B10, which sees cirrus and not the ground, is not.
BANDS = (
    "B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12",
)  # fmt: skip
FINEST = "B02"  # of the 10 m bands, whose grid all others are brought to
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


Writer: TypeAlias = Callable[[Path, Path], None]
"""Writes a patch's folder as one image file."""


def _load(name: str, root: Path) -> Dataset:
    """The images that were prepared, with their label sets over the 19 classes.

    Raises:
        DatasetError: if only the published patches are there.
    """
    if root.name == RAW:
        raise DatasetError(
            f"the patches of BigEarthNet in '{root}' are not prepared yet",
            f"terrahash data prepare {name} makes images of them",
        )
    found = load_folder(root, name)
    targets = np.zeros((len(found), len(BIGEARTHNET.classes)), bool)
    columns = [BIGEARTHNET.classes.index(name) for name in found.class_names]
    targets[:, columns] = found.targets
    return Dataset(found.name, found.root, found.files, targets, BIGEARTHNET.classes)


def _prepare(
    name: str, suffix: str, write: Writer, data: Path, reporter: Reporter | None = None
) -> Path:
    """Make an image of each patch below the data folder ``data``, and ``labels.json``.

    Patches that carry none of the 19 classes are left out, as their authors advise. The folder of
    images appears when all are made; an interrupted run goes on where it was.

    Returns:
        The folder of the images.

    Raises:
        DatasetError: if there are no patches, or one is damaged.
    """
    reporter = reporter or Silent()
    prepared = data / _folder_of(name)
    unfinished = prepared.with_name(f"{prepared.name}.part")
    if prepared.is_dir():
        return prepared
    patches = sorted(_patches(data / RAW))
    if not patches:
        raise DatasetError(
            f"no patches of BigEarthNet in '{data / RAW}'", f"terrahash data fetch {name}"
        )
    unfinished.mkdir(exist_ok=True)
    labels: dict[str, list[str]] = {}
    for number, patch in enumerate(patches, start=1):
        names = _labels(patch)
        if names:
            image = unfinished / f"{patch.name}{suffix}"
            labels[image.name] = names
            if not image.exists():
                part = image.with_suffix(".part")
                write(patch, part)
                part.replace(image)
        reporter.advance(f"prepare {name}", number, len(patches), "patches")
    (unfinished / "labels.json").write_text(json.dumps(labels, indent=0), encoding="utf-8")
    return unfinished.rename(prepared)


def _folder_of(name: str) -> str:
    return RAW + {"bigearthnet": "-rgb", "bigearthnet-ms": "-bands"}[name]


def _patches(raw: Path) -> Iterator[Path]:
    if raw.is_dir():
        yield from (entry for entry in raw.iterdir() if entry.is_dir() and entry.name[0] != ".")


def _labels(patch: Path) -> list[str]:
    path = patch / f"{patch.name}_labels_metadata.json"
    try:
        corine = json.loads(path.read_text(encoding="utf-8"))["labels"]
        return sorted({_FROM_CORINE[name] for name in corine if name in _FROM_CORINE})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, error) from error


def _write_picture(patch: Path, target: Path) -> None:
    """8-bit RGB as PNG, reflectance scaled linearly, 0.275 to white."""
    from PIL import Image

    bands = []
    for band in VISIBLE:
        path = _band_file(patch, band)
        try:
            with Image.open(path, formats=("TIFF",)) as image:
                bands.append(np.asarray(image, np.float32))
        except (OSError, ValueError, SyntaxError) as error:
            raise _damaged(path, error) from error
    levels = np.clip(np.stack(bands, axis=-1) * (255 / WHITE_LEVEL), 0, 255)
    Image.fromarray(np.asarray(levels, np.uint8)).save(target, "PNG")


def _write_bands(patch: Path, target: Path) -> None:
    """All bands as they are in one 16-bit GeoTIFF of 10 m, coarser ones interpolated linearly."""
    from terrahash.imagery.gdal import opened, rasterio

    module = rasterio()
    bands = []
    path = _band_file(patch, FINEST)
    try:
        with opened(path) as finest:
            shape, crs, transform = finest.shape, finest.crs, finest.transform
        for band in BANDS:
            path = _band_file(patch, band)
            with opened(path) as source:
                linear = module.enums.Resampling.bilinear
                bands.append(source.read(1, out_shape=shape, resampling=linear))
    except ImageError as error:
        raise _damaged(path, error) from error
    with module.open(
        target, "w", driver="GTiff", width=shape[1], height=shape[0], count=len(BANDS),
        dtype="uint16", crs=crs, transform=transform, photometric="minisblack",
        compress="deflate", predictor=2,
    ) as image:  # fmt: skip
        image.write(np.stack(bands))
        image.descriptions = BANDS


def _band_file(patch: Path, band: str) -> Path:
    return patch / f"{patch.name}_{band}.tif"


def _damaged(path: Path, error: Exception) -> DatasetError:
    return DatasetError(f"cannot read '{path}': {error}", "unpack the archive again")


BIGEARTHNET = KnownDataset(
    name="bigearthnet",
    title="BigEarthNet v1.0 (Sentinel-2, 19 classes)",
    folders=(_folder_of("bigearthnet"), RAW),
    classes=tuple(_NINETEEN),
    images=590326,
    tile="120×120 RGB of Sentinel-2, 10 m; label sets",
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
    load=partial(_load, "bigearthnet"),
    prepare=partial(_prepare, "bigearthnet", ".png", _write_picture),
)

BIGEARTHNET_MS = replace(
    BIGEARTHNET,
    name="bigearthnet-ms",
    title="BigEarthNet v1.0 (Sentinel-2, 12 bands, 19 classes)",
    folders=(_folder_of("bigearthnet-ms"), RAW),
    tile="120×120, 12 bands of Sentinel-2, 10 m; label sets",
    load=partial(_load, "bigearthnet-ms"),
    prepare=partial(_prepare, "bigearthnet-ms", ".tif", _write_bands),
)
