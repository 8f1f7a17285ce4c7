from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import pytest
from PIL import Image

from terrahash.datasets import KNOWN, load_dataset, make_split
from terrahash.datasets.bigearthnet import BANDS, BIGEARTHNET, BIGEARTHNET_MS, RAW
from terrahash.errors import DatasetError

# Where an image of the class lies, as published; {} is the class.
LAYOUTS = {
    "ucmerced": ("UCMerced_LandUse/Images/{0}/{0}{1:02d}.tif", 21),
    "aid": ("AID/{0}/{0}_{1}.jpg", 30),
    "whu-rs19": ("WHU-RS19/{0}/{0}_{1:02d}.jpg", 19),
    "resisc45": ("NWPU-RESISC45/{0}/{0}_{1:03d}.jpg", 45),
    "patternnet": ("PatternNet/images/{0}/{0}{1:03d}.jpg", 38),
    "rsscn7": ("RSSCN7-master/{0}/{0}{1:03d}.jpg", 7),
    "eurosat": ("EuroSAT/2750/{0}/{0}_{1}.jpg", 10),
    "eurosat-ms": (
        "EuroSATallBands/ds/images/remote_sensing/otherDatasets/sentinel_2/tif/{0}/{0}_{1}.tif",
        10,
    ),
}


def fake(name: str, data: Path, count: int = 5) -> None:
    """A data set of ``count`` files a class in the published layout."""
    for class_name in KNOWN[name].classes:
        for number in range(count):
            path = data / LAYOUTS[name][0].format(class_name, number)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(f"{class_name} {number}".encode())


def test_every_known_data_set_is_tested() -> None:
    assert set(KNOWN) == {*LAYOUTS, "bigearthnet", "bigearthnet-ms"}


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_published_layout(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERRAHASH_DATA", str(tmp_path))
    fake(name, tmp_path)
    (tmp_path / "unrelated").mkdir()
    data = load_dataset(name)
    known = KNOWN[name]
    assert data.name == name
    assert data.class_names == known.classes
    assert len(known.classes) == len(set(known.classes)) == LAYOUTS[name][1]
    assert len(data) == 5 * len(known.classes)
    assert data.files == tuple(sorted(data.files))
    for file, row in zip(data.files, data.targets, strict=True):
        assert known.classes[int(row.argmax())] == file.split("/")[0]
    assert len(make_split(data).indices("test")) == 2 * len(known.classes)


def test_bands_that_files_do_not_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERRAHASH_DATA", str(tmp_path))
    fake("eurosat-ms", tmp_path, 1)
    data = load_dataset("eurosat-ms")
    assert len(data.bands) == 13
    assert data.bands[-1] == "B8A"
    assert data.subset([0, 1]).bands == data.bands


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_what_is_said_of_it(name: str) -> None:
    known = KNOWN[name]
    assert known.citation
    assert known.terms
    assert known.images > 1000
    assert urlparse(known.homepage).scheme in ("http", "https")
    assert all(item.url for item in known.downloads) != bool(known.by_hand)
    for item in known.downloads:
        assert urlparse(item.url).scheme in ("https", "")
        kind, _, digest = item.checksum.partition(":")
        assert (kind, len(digest)) in (("md5", 32), ("sha256", 64), ("", 0))


def test_the_cache_is_searched_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERRAHASH_CACHE", str(tmp_path))
    monkeypatch.setenv("TERRAHASH_DATA", str(tmp_path / "elsewhere"))
    fake("rsscn7", tmp_path / "data")
    assert load_dataset("RSSCN7").root == tmp_path / "data" / "RSSCN7-master"


def test_a_missing_data_set_says_how_to_get_it() -> None:
    with pytest.raises(DatasetError, match="UCMerced_LandUse/Images") as raised:
        load_dataset("ucmerced")
    assert "terrahash data fetch ucmerced" in raised.value.remedy


def test_a_missing_class_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERRAHASH_DATA", str(tmp_path))
    fake("rsscn7", tmp_path)
    for path in (tmp_path / "RSSCN7-master/eForest").iterdir():
        path.unlink()
    with pytest.raises(DatasetError, match="eForest"):
        load_dataset("rsscn7")


def test_an_image_in_two_formats_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERRAHASH_DATA", str(tmp_path))
    fake("ucmerced", tmp_path)
    beach = tmp_path / "UCMerced_LandUse/Images/beach"
    (beach / "beach03.jpg").write_bytes(b"the same in another format")
    with pytest.raises(DatasetError, match="'beach/beach03' in two formats"):
        load_dataset("ucmerced")


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(DatasetError, match="neither a known data set nor a folder") as raised:
        load_dataset("ucmercd")
    assert "ucmerced" in raised.value.remedy
    assert "scenes" in raised.value.remedy


def test_a_folder_named_like_a_known_set_is_given_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for class_name in ("x", "y"):
        (tmp_path / "aid" / class_name).mkdir(parents=True)
        (tmp_path / "aid" / class_name / "1.png").write_bytes(b"")
    assert load_dataset("./aid").class_names == ("x", "y")
    with pytest.raises(DatasetError, match="was not found"):
        load_dataset("aid")


def patch(data: Path, name: str, labels: list[str], level: int = 1000) -> None:
    folder = data / RAW / name
    folder.mkdir(parents=True)
    for number, band in enumerate(BANDS, start=-1):
        side = {"B01": 20, "B09": 20, "B02": 120, "B03": 120, "B04": 120, "B08": 120}.get(band, 60)
        pixels = np.full((side, side), level + 500 * number, np.uint16)
        Image.fromarray(pixels).save(folder / f"{name}_{band}.tif")
    (folder / f"{name}_labels_metadata.json").write_text(json.dumps({"labels": labels}))


def test_bigearthnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERRAHASH_DATA", str(tmp_path))
    patch(tmp_path, "S2A_1_0", ["Sea and ocean", "Estuaries", "Beaches, dunes, sands"])
    patch(tmp_path, "S2A_1_1", ["Non-irrigated arable land", "Burnt areas"])
    patch(tmp_path, "S2A_1_2", ["Burnt areas"])
    with pytest.raises(DatasetError, match="not prepared"):
        load_dataset("bigearthnet")
    assert BIGEARTHNET.prepare is not None
    (tmp_path / "BigEarthNet-v1.0-rgb.part").mkdir()  # of an interrupted run
    with pytest.raises(DatasetError, match="not prepared"):
        load_dataset("bigearthnet")
    made = BIGEARTHNET.prepare(tmp_path, None)
    data = load_dataset("bigearthnet")
    assert data.root == made
    assert len(data.class_names) == 19
    assert data.files == ("S2A_1_0.png", "S2A_1_1.png")
    named = [{data.class_names[column] for column in np.flatnonzero(row)} for row in data.targets]
    assert named == [{"Marine waters", "Beaches, dunes, sands"}, {"Arable land"}]
    with Image.open(data.paths[0]) as image:
        pixels = np.asarray(image)
    assert pixels.shape == (120, 120, 3)
    expected = [int(level * 255 / 2750) for level in (2000, 1500, 1000)]
    assert pixels[0, 0].tolist() == expected
    before = data.paths[0].stat().st_mtime_ns
    BIGEARTHNET.prepare(tmp_path, None)
    assert data.paths[0].stat().st_mtime_ns == before


def test_all_bands_of_bigearthnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rasterio = pytest.importorskip("rasterio")
    monkeypatch.setenv("TERRAHASH_DATA", str(tmp_path))
    patch(tmp_path, "S2A_1_0", ["Sea and ocean", "Pastures"])
    patch(tmp_path, "S2A_1_1", ["Burnt areas"])
    with pytest.raises(DatasetError, match="not prepared") as raised:
        load_dataset("bigearthnet-ms")
    assert "prepare bigearthnet-ms" in raised.value.remedy
    place = rasterio.Affine(10, 0, 500_000, 0, -10, 5_500_000)
    (tmp_path / RAW / "S2A_1_0/S2A_1_0_B02.tif").unlink()
    finest = tmp_path / RAW / "S2A_1_0/S2A_1_0_B02.tif"
    size = {"width": 120, "height": 120, "count": 1, "dtype": "uint16"}
    with rasterio.open(finest, "w", "GTiff", crs="EPSG:32629", transform=place, **size) as image:
        image.write(np.arange(120 * 120, dtype=np.uint16).reshape(1, 120, 120))
    assert BIGEARTHNET_MS.prepare is not None
    made = BIGEARTHNET_MS.prepare(tmp_path, None)
    data = load_dataset("bigearthnet-ms")
    assert (data.root, data.files) == (made, ("S2A_1_0.tif",))
    assert {data.class_names[column] for column in np.flatnonzero(data.targets[0])} == {
        "Marine waters",
        "Pastures",
    }
    with rasterio.open(data.paths[0]) as image:
        assert image.descriptions == BANDS
        assert (image.shape, image.crs, image.transform) == ((120, 120), "EPSG:32629", place)
        pixels = image.read()
    assert pixels.dtype == np.uint16
    assert pixels[1, 3, 7] == 3 * 120 + 7
    assert [band[60, 60] for band in pixels[[0, 2, 8, 11]]] == [500, 1500, 4500, 6000]
    (tmp_path / RAW / "S2A_1_0/S2A_1_0_B8A.tif").write_bytes(b"II*\x00")
    for file in made.iterdir():
        file.unlink()
    made.rmdir()
    with pytest.raises(DatasetError, match=r"B8A\.tif"):
        BIGEARTHNET_MS.prepare(tmp_path, None)


def test_damaged_patches_of_bigearthnet(tmp_path: Path) -> None:
    assert BIGEARTHNET.prepare is not None
    with pytest.raises(DatasetError, match="no patches"):
        BIGEARTHNET.prepare(tmp_path, None)
    patch(tmp_path, "S2A_1_0", ["Pastures"])
    (tmp_path / RAW / "S2A_1_0/S2A_1_0_B03.tif").write_bytes(b"II*\x00")
    with pytest.raises(DatasetError, match=r"B03\.tif"):
        BIGEARTHNET.prepare(tmp_path, None)
    (tmp_path / RAW / "S2A_1_0/S2A_1_0_labels_metadata.json").write_text("{}")
    with pytest.raises(DatasetError, match=r"labels_metadata\.json"):
        BIGEARTHNET.prepare(tmp_path, None)


def test_importing_the_package_loads_no_pillow() -> None:
    code = "import sys, terrahash.datasets; print('PIL' in sys.modules, 'torch' in sys.modules)"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert out.split() == ["False", "False"]
