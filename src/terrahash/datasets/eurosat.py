"""EuroSAT, the RGB version."""

from __future__ import annotations

from terrahash.datasets.known import Download, KnownDataset

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
