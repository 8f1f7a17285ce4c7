"""NWPU-RESISC45."""

from __future__ import annotations

from terrahash.datasets.known import Download, KnownDataset

RESISC45 = KnownDataset(
    name="resisc45",
    title="NWPU-RESISC45",
    folders=("NWPU-RESISC45",),
    classes=(
        "airplane",
        "airport",
        "baseball_diamond",
        "basketball_court",
        "beach",
        "bridge",
        "chaparral",
        "church",
        "circular_farmland",
        "cloud",
        "commercial_area",
        "dense_residential",
        "desert",
        "forest",
        "freeway",
        "golf_course",
        "ground_track_field",
        "harbor",
        "industrial_area",
        "intersection",
        "island",
        "lake",
        "meadow",
        "medium_residential",
        "mobile_home_park",
        "mountain",
        "overpass",
        "palace",
        "parking_lot",
        "railway",
        "railway_station",
        "rectangular_farmland",
        "river",
        "roundabout",
        "runway",
        "sea_ice",
        "ship",
        "snowberg",
        "sparse_residential",
        "stadium",
        "storage_tank",
        "tennis_court",
        "terrace",
        "thermal_power_station",
        "wetland",
    ),
    images=31500,
    tile="256×256 RGB, 0.2–30 m",
    citation=(
        "G. Cheng, J. Han and X. Lu, Remote sensing image scene classification: benchmark and "
        "state of the art, Proceedings of the IEEE 105(10), 2017"
    ),
    terms=(
        "Google Earth imagery; for research, with citation. Redistributed by the torchgeo project."
    ),
    homepage="https://doi.org/10.1109/JPROC.2017.2675998",
    downloads=(
        Download(
            "https://huggingface.co/datasets/torchgeo/resisc45/resolve/a826b44d938a883185f11ebe3d512d38b464312f/NWPU-RESISC45.zip",
            "NWPU-RESISC45.zip",
            "md5:75206b2e16446591afa88e2628744886",
            "",
        ),
    ),
)
