"""UC Merced Land Use."""

from __future__ import annotations

from terrahash.datasets.known import Download, KnownDataset

UCMERCED = KnownDataset(
    name="ucmerced",
    title="UC Merced Land Use",
    folders=("UCMerced_LandUse/Images",),
    classes=(
        "agricultural",
        "airplane",
        "baseballdiamond",
        "beach",
        "buildings",
        "chaparral",
        "denseresidential",
        "forest",
        "freeway",
        "golfcourse",
        "harbor",
        "intersection",
        "mediumresidential",
        "mobilehomepark",
        "overpass",
        "parkinglot",
        "river",
        "runway",
        "sparseresidential",
        "storagetanks",
        "tenniscourt",
    ),
    images=2100,
    tile="256×256 RGB, 0.3 m",
    citation=(
        "Y. Yang and S. Newsam, Bag-of-visual-words and spatial extensions for land-use "
        "classification, ACM SIGSPATIAL GIS, 2010"
    ),
    terms=(
        "Imagery of the USGS National Map Urban Area Imagery collection, in the public domain; "
        "the authors ask to be cited. Redistributed for research by the torchgeo project."
    ),
    homepage="http://weegee.vision.ucmerced.edu/datasets/landuse.html",
    downloads=(
        Download(
            "https://huggingface.co/datasets/torchgeo/ucmerced/resolve/main/UCMerced_LandUse.zip",
            "UCMerced_LandUse.zip",
            "md5:5b7ec56793786b6dc8a908e8854ac0e4",
        ),
    ),
)
