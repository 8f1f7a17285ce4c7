"""PatternNet."""

from __future__ import annotations

from terrahash.datasets.known import Download, KnownDataset

PATTERNNET = KnownDataset(
    name="patternnet",
    title="PatternNet",
    folders=("PatternNet/images",),
    classes=(
        "airplane",
        "baseball_field",
        "basketball_court",
        "beach",
        "bridge",
        "cemetery",
        "chaparral",
        "christmas_tree_farm",
        "closed_road",
        "coastal_mansion",
        "crosswalk",
        "dense_residential",
        "ferry_terminal",
        "football_field",
        "forest",
        "freeway",
        "golf_course",
        "harbor",
        "intersection",
        "mobile_home_park",
        "nursing_home",
        "oil_gas_field",
        "oil_well",
        "overpass",
        "parking_lot",
        "parking_space",
        "railway",
        "river",
        "runway",
        "runway_marking",
        "shipping_yard",
        "solar_panel",
        "sparse_residential",
        "storage_tank",
        "swimming_pool",
        "tennis_court",
        "transformer_station",
        "wastewater_treatment_plant",
    ),
    images=30400,
    tile="256×256 RGB, 0.06–4.7 m",
    citation=(
        "W. Zhou, S. Newsam, C. Li and Z. Shao, PatternNet: a benchmark dataset for "
        "performance evaluation of remote sensing image retrieval, ISPRS Journal of "
        "Photogrammetry and Remote Sensing 145, 2018"
    ),
    terms=(
        "Google Earth and Google Maps imagery; for research, with citation. Redistributed by "
        "the torchgeo project."
    ),
    homepage="https://sites.google.com/view/zhouwx/dataset",
    downloads=(
        Download(
            "https://huggingface.co/datasets/torchgeo/PatternNet/resolve/2dbd901b00e301967a5c5146b25454f5d3455ad0/PatternNet.zip",
            "PatternNet.zip",
            "md5:96d54b3224c5350a98d55d5a7e6984ad",
            "",
        ),
    ),
)
