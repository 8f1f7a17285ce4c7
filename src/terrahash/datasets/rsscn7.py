"""RSSCN7."""

from __future__ import annotations

from terrahash.datasets.known import Download, KnownDataset

RSSCN7 = KnownDataset(
    name="rsscn7",
    title="RSSCN7",
    folders=("RSSCN7-master", "RSSCN7"),
    classes=(
        "aGrass",
        "bField",
        "cIndustry",
        "dRiverLake",
        "eForest",
        "fResident",
        "gParking",
    ),
    images=2800,
    tile="400×400 RGB, four scales",
    citation=(
        "Q. Zou, L. Ni, T. Zhang and Q. Wang, Deep learning based feature selection for "
        "remote sensing scene classification, IEEE GRSL 12(11), 2015"
    ),
    terms="Google Earth imagery; for research, with citation.",
    homepage="https://github.com/palewithout/RSSCN7",
    downloads=(
        Download(
            "https://github.com/palewithout/RSSCN7/archive/refs/heads/master.zip",
            "RSSCN7-master.zip",
            "",
            "",
        ),
    ),
)
