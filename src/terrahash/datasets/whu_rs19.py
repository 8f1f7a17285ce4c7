"""WHU-RS19."""

from __future__ import annotations

from terrahash.datasets.known import Download, KnownDataset

WHU_RS19 = KnownDataset(
    name="whu-rs19",
    title="WHU-RS19",
    folders=("WHU-RS19", "WHU-RS19/WHU-RS19"),
    classes=(
        "Airport",
        "Beach",
        "Bridge",
        "Commercial",
        "Desert",
        "Farmland",
        "Forest",
        "Industrial",
        "Meadow",
        "Mountain",
        "Park",
        "Parking",
        "Pond",
        "Port",
        "Residential",
        "River",
        "Viaduct",
        "footballField",
        "railwayStation",
    ),
    images=1005,
    tile="600×600 RGB, up to 0.5 m",
    citation=(
        "G.-S. Xia et al., Structural high-resolution satellite image indexing, ISPRS TC VII "
        "Symposium, 2010; D. Dai and W. Yang, Satellite image classification via two-layer "
        "sparse coding with biased image representation, IEEE GRSL 8(1), 2011"
    ),
    terms="Google Earth imagery; for academic use, with citation.",
    homepage="https://captain-whu.github.io/BED4RS/",
    downloads=(
        Download(
            "https://github.com/CAPTAIN-WHU/BED4RS/raw/main/datasets/WHU-RS19.zip",
            "WHU-RS19.zip",
            "",
            "",
        ),
    ),
)
