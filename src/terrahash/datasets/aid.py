"""AID, the Aerial Image Dataset."""

from __future__ import annotations

from terrahash.datasets.known import Download, KnownDataset

AID = KnownDataset(
    name="aid",
    title="AID (Aerial Image Dataset)",
    folders=("AID",),
    classes=(
        "Airport",
        "BareLand",
        "BaseballField",
        "Beach",
        "Bridge",
        "Center",
        "Church",
        "Commercial",
        "DenseResidential",
        "Desert",
        "Farmland",
        "Forest",
        "Industrial",
        "Meadow",
        "MediumResidential",
        "Mountain",
        "Park",
        "Parking",
        "Playground",
        "Pond",
        "Port",
        "RailwayStation",
        "Resort",
        "River",
        "School",
        "SparseResidential",
        "Square",
        "Stadium",
        "StorageTanks",
        "Viaduct",
    ),
    images=10000,
    tile="600×600 RGB, 0.5–8 m",
    citation=(
        "G.-S. Xia et al., AID: A benchmark data set for performance evaluation of aerial scene "
        "classification, IEEE TGRS 55(7), 2017"
    ),
    terms="Google Earth imagery; for academic use, with citation.",
    homepage="https://captain-whu.github.io/AID/",
    downloads=(Download("", "AID.zip"),),
    by_hand="download it from the links on its homepage",
)
