"""EuroSAT: the RGB version, and the one with all thirteen bands of Sentinel-2."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from terrahash.datasets.dataset import Dataset
from terrahash.datasets.folder import load_class_folders
from terrahash.datasets.known import Download, KnownDataset

# In the files' order; the files themselves do not name them.
BANDS = (
    "B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B09", "B10", "B11", "B12", "B8A",
)  # fmt: skip

EUROSAT = KnownDataset(
    name="eurosat",
    title="EuroSAT (RGB)",
    folders=("EuroSAT/2750", "2750", "EuroSAT_RGB"),
    classes=(
        "AnnualCrop",
        "Forest",
        "HerbaceousVegetation",
        "Highway",
        "Industrial",
        "Pasture",
        "PermanentCrop",
        "Residential",
        "River",
        "SeaLake",
    ),
    images=27000,
    tile="64×64 RGB of Sentinel-2, 10 m",
    citation=(
        "P. Helber, B. Bischke, A. Dengel and D. Borth, EuroSAT: a novel dataset and deep "
        "learning benchmark for land use and land cover classification, IEEE JSTARS 12(7), "
        "2019"
    ),
    terms="MIT licence; contains modified Copernicus Sentinel data.",
    homepage="https://github.com/phelber/EuroSAT",
    downloads=(
        Download(
            "https://huggingface.co/datasets/torchgeo/eurosat/resolve/c877bcd43f099cd0196738f714544e355477f3fd/EuroSAT.zip",
            "EuroSAT.zip",
            "md5:c8fa014336c82ac7804f0398fcb19387",
            "EuroSAT",
        ),
    ),
)


def _load_all_bands(root: Path) -> Dataset:
    data = load_class_folders(root, EUROSAT_MS.name, EUROSAT.classes)
    return replace(data, bands=BANDS)


EUROSAT_MS = replace(
    EUROSAT,
    name="eurosat-ms",
    title="EuroSAT (all bands)",
    folders=(
        "EuroSATallBands/ds/images/remote_sensing/otherDatasets/sentinel_2/tif",
        "ds/images/remote_sensing/otherDatasets/sentinel_2/tif",
        "EuroSAT_MS",
    ),
    tile="64×64, 13 bands of Sentinel-2, 10 m",
    downloads=(
        Download(
            "https://huggingface.co/datasets/torchgeo/eurosat/resolve/c877bcd43f099cd0196738f714544e355477f3fd/EuroSATallBands.zip",
            "EuroSATallBands.zip",
            "sha256:751f070f9bffa2eed48b24ca2dd0b02959280c08837e8c9a5532a67ba611df59",
            "EuroSATallBands",
        ),
    ),
    load=_load_all_bands,
)
