"""Scenes of several files, masks and cloudy items into an archive."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

rasterio = pytest.importorskip("rasterio")
pytest.importorskip("pystac")

from terrahash.archive import Archive, open_archive  # noqa: E402
from terrahash.archive import indexing as indexing_module  # noqa: E402
from terrahash.archive.indexing import index_images  # noqa: E402
from terrahash.archive.pixels import tile_image  # noqa: E402
from terrahash.cli.main import app  # noqa: E402
from terrahash.errors import ImageError, InputError  # noqa: E402
from terrahash.imagery import Length, Tiling  # noqa: E402
from terrahash.imagery.bands import Bands  # noqa: E402
from terrahash.imagery.scaling import Scaling  # noqa: E402
from terrahash.imagery.veils import Mask  # noqa: E402
from tests.imagery.conftest import pixels_of, write_scene  # noqa: E402
from tests.imagery.server import Behaviour, serving  # noqa: E402
from tests.imagery.test_stac import item as stac_item  # noqa: E402
from tests.tiny import tiny_encoder  # noqa: E402

TILING = Tiling(Length(64), scaling=Scaling("range", 0, 5000))
COMMON = {"B02": "blue", "B03": "green", "B04": "red", "B11": "swir16"}


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with open_archive(tmp_path / "a.terrahash", tiny_encoder()) as opened:
        yield opened


@pytest.fixture
def sentinel(tmp_path: Path) -> Path:
    """An item with an asset for each band, B11 at 20 m, and a mask at 20 m."""
    assets: dict[str, Any] = {
        "thumbnail": {"href": "./t.png", "type": "image/png", "roles": ["thumbnail"]},
        "metadata": {"href": "./m.xml", "type": "application/xml"},
    }
    for n, (name, common) in enumerate(COMMON.items()):
        size = 20 if name == "B11" else 10
        pixels = (pixels_of(1, 2560 // size, 2560 // size) * (n + 1)) % 4001 + 1000
        grid = rasterio.Affine(size, 0, 500_000, 0, -size, 5_500_000)
        write_scene(tmp_path / f"{name}.tif", pixels.astype(np.uint16), transform=grid)
        assets[name] = {
            "href": f"./{name}.tif", "type": "image/tiff; application=geotiff", "roles": ["data"],
            "eo:bands": [{"name": name, "common_name": common}],
            "raster:bands": [{"scale": 0.0001, "offset": -0.1, "nodata": 0}],
        }  # fmt: skip
    classes = np.zeros((1, 128, 128), np.uint8)
    classes[0, :64, :32] = 9
    grid = rasterio.Affine(20, 0, 500_000, 0, -20, 5_500_000)
    write_scene(tmp_path / "SCL.tif", classes, transform=grid)
    assets["scl"] = {"href": "./SCL.tif", "type": "image/tiff", "roles": ["mask"]}
    path = tmp_path / "item.json"
    path.write_text(json.dumps(stac_item("S2", assets=assets)))
    return path


def bands(archive: Archive) -> set[Any]:
    return {record.columns["bands"] for record in archive.records(archive.ids())}


def test_an_asset_for_each_band(archive: Archive, sentinel: Path) -> None:
    report = index_images(archive, [sentinel], tiling=TILING)
    assert (report.added, report.skipped) == (16, [])
    folder = sentinel.parent
    assert bands(archive) == {f"1,1@{folder}/B03.tif,1@{folder}/B02.tif"}
    record = archive.records([5])[0]
    assert record.source == str(folder / "B04.tif")
    # The offset is taken out.
    assert record.columns["scaling"] == "1000:6000,1000:6000,1000:6000"
    x, y, width, height = record.window
    with rasterio.open(folder / "B03.tif") as file:
        green = file.read(1)[y : y + height, x : x + width]
    shown = archive.thumbnail(5, 64)
    np.testing.assert_array_equal(
        shown[..., 1], np.rint((green.astype(float) - 1000) * (255 / 5000)).astype(np.uint8)
    )
    assert record.columns["item"] == "S2"
    again = index_images(archive, [sentinel], tiling=TILING)
    assert (again.added, again.unchanged) == (0, 1)
    # A file other than the one that names the scene is watched too.
    write_scene(folder / "B02.tif", pixels_of(1, 256, 256))
    assert index_images(archive, [sentinel], tiling=TILING).updated == 16


@pytest.mark.parametrize(
    ("asset", "wanted", "expected"),
    [
        ("B11,B04,B03", (), "1@{}/B11.tif,1,1@{}/B03.tif"),
        (None, ("swir16", "red", "green"), "1@{}/B11.tif,1,1@{}/B03.tif"),
        (None, ("B11", "B04", "B03"), "1@{}/B11.tif,1,1@{}/B03.tif"),
        ("B11", (), "1"),
        ("B02,B03,B04,B11", ("B11", "B03", "B02"), "1@{}/B11.tif,1@{}/B03.tif,1"),
    ],
)
def test_which_bands(
    archive: Archive, sentinel: Path, asset: str | None, wanted: tuple[str, ...], expected: str
) -> None:
    tiling = Tiling(Length(64), bands=wanted, scaling=Scaling("range", 0, 5000))
    report = index_images(archive, [sentinel], tiling=tiling, asset=asset)
    assert report.skipped == []
    folder = sentinel.parent
    assert bands(archive) == {expected.format(folder, folder)}
    archive.thumbnail(1)


def test_offsets_that_are_taken_out_already(archive: Archive, sentinel: Path) -> None:
    document = json.loads(sentinel.read_text())
    document["properties"]["earthsearch:boa_offset_applied"] = True
    sentinel.write_text(json.dumps(document))
    index_images(archive, [sentinel], tiling=TILING)
    assert archive.records([1])[0].columns["scaling"] == "0:5000,0:5000,0:5000"


def test_goes_on_in_the_middle(
    archive: Archive, sentinel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing_module, "BATCH_TILES", 4)
    plain = Archive.add_codes
    calls = []

    def failing(self: Archive, *args: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return plain(self, *args, **options)

    monkeypatch.setattr(Archive, "add_codes", failing)
    with pytest.raises(KeyboardInterrupt):
        index_images(archive, [sentinel], tiling=TILING)
    assert 0 < len(archive) < 16
    report = index_images(archive, [sentinel], tiling=TILING)
    assert len(archive) == 16
    assert report.skipped == []
    assert len(bands(archive)) == 1


def test_clouds(archive: Archive, sentinel: Path) -> None:
    masked = Tiling(Length(64), scaling=TILING.scaling, mask=Mask("scl", "8,9"))
    report = index_images(archive, [sentinel], tiling=masked)
    assert (report.added, report.hidden, report.skipped) == (14, 2, [])
    assert report.to_json()["hidden"] == 2
    assert {record.columns["hidden"] for record in archive.records(archive.ids())} == {0.0}
    assert index_images(archive, [sentinel], tiling=masked).unchanged == 1
    few = Tiling(Length(96), scaling=TILING.scaling, mask=Mask("scl", "8,9", 0.7))
    assert index_images(archive, [sentinel], tiling=few).added == 9
    assert len(archive.ids(where="hidden > 0.5")) == 1

    absent = Tiling(Length(64), mask=Mask("cloud", "9"))
    report = index_images(archive, [sentinel], tiling=absent)
    assert report.skipped == [("item S2", "has no asset 'cloud' to be its mask")]


def test_a_mask_for_files(archive: Archive, sentinel: Path) -> None:
    folder = sentinel.parent
    masked = Tiling(
        Length(64), scaling=TILING.scaling, mask=Mask(str(folder / "SCL.tif"), ">=9", 0.0)
    )
    report = index_images(archive, [folder / "B04.tif"], tiling=masked)
    assert (report.added, report.hidden) == (14, 2)
    # A georeferenced file that is one tile, and a picture that has no place for a mask.
    report = index_images(archive, [folder / "B03.tif"], tiling=masked, cut_all=False)
    assert (report.added, report.hidden) == (0, 1)
    from PIL import Image

    Image.new("RGB", (64, 64)).save(folder / "a.png")
    report = index_images(archive, [folder / "a.png"], tiling=masked)
    assert "only one of them has a place" in report.skipped[0][1]


def test_cloudy_items(archive: Archive, sentinel: Path) -> None:
    report = index_images(archive, [sentinel], tiling=TILING, max_cloud_cover=5)
    assert (report.added, report.cloudy, report.skipped) == (0, 1, [])
    assert index_images(archive, [sentinel], tiling=TILING, max_cloud_cover=7).added == 16


def test_over_http(archive: Archive, sentinel: Path) -> None:
    with serving(sentinel.parent, Behaviour(fail_every=9)) as address:
        report = index_images(archive, [f"{address}/item.json"], tiling=TILING)
        assert (report.added, report.skipped) == (16, [])
        archive.thumbnail(3)
        with pytest.raises(ImageError, match="is an address"):
            archive.thumbnail(3, remote=False)


def test_a_damaged_band_costs_its_windows(archive: Archive, sentinel: Path) -> None:
    path = sentinel.parent / "B02.tif"
    with rasterio.open(path) as file:
        place = int(file.get_tag_item("BLOCK_OFFSET_1_0", "TIFF", bidx=1))
    content = bytearray(path.read_bytes())
    content[place : place + 40] = bytes(40)
    path.write_bytes(content)
    report = index_images(archive, [sentinel], tiling=TILING)
    assert report.added == 12
    assert "4 of 16 windows are damaged" in report.skipped[0][1]


def test_files_that_do_not_fit_are_skipped(archive: Archive, sentinel: Path) -> None:
    write_scene(sentinel.parent / "B03.tif", pixels_of(1, 256, 256), crs="EPSG:32633")
    report = index_images(archive, [sentinel], tiling=TILING)
    assert report.added == 0
    assert "does not lie as" in report.skipped[0][1]


def test_what_people_see_of_other_bands(tmp_path: Path) -> None:
    """Files without names: by the encoder's names, or as the user says."""
    bands = Bands(("B02", "B03", "B04", "B08"), "uint16", ((0, 5000),) * 4, (1, 2, 3, 4), 4)
    write_scene(tmp_path / "a.tif", pixels_of(4, 128, 128))
    write_scene(tmp_path / "b.tif", pixels_of(4, 64, 64))
    for name, seen in (("named", ()), ("chosen", ("4",)), ("three", ("4", "3", "2"))):
        with open_archive(tmp_path / name, tiny_encoder(bands=bands)) as archive:
            index_images(
                archive, [tmp_path / "a.tif", tmp_path / "b.tif"], thumbnails=64,
                tiling=Tiling(Length(64), seen=seen),
            )  # fmt: skip
            first, *_, last = archive.records(archive.ids())
            text = ",".join(seen) or "3,2,1"
            assert first.columns["seen"] == last.columns["seen"] == text
            for record in (first, last):
                expected = pixels_of(4, 64, 64)[[int(one) - 1 for one in text.split(",")]]
                expected = np.rint(np.minimum(expected, 5000) * (255 / 5000))
                if len(expected) == 1:
                    expected = expected.repeat(3, 0)
                shown = tile_image(record, 64, kept=False)
                np.testing.assert_array_equal(shown.transpose(2, 0, 1), expected)
                kept = tile_image(record, 64).astype(float)
                assert np.abs(kept.mean((0, 1)) - shown.mean((0, 1))).max() < 8
    with open_archive(tmp_path / "wrong", tiny_encoder(bands=bands)) as archive:
        report = index_images(
            archive, [tmp_path / "a.tif", tmp_path / "b.tif"],
            tiling=Tiling(Length(64), seen=("1", "2")),
        )  # fmt: skip
        assert len(report.skipped) == 2
        assert "one or three" in report.skipped[0][1]


def test_guessed_colours_are_told(archive: Archive, tmp_path: Path) -> None:
    write_scene(tmp_path / "many.tif", pixels_of(5, 128, 64))
    write_scene(tmp_path / "three.tif", pixels_of(3, 64, 64))
    write_scene(tmp_path / "named.tif", pixels_of(4, 64, 64), names=("B02", "B03", "B04", "B08"))
    files = [tmp_path / name for name in ("many.tif", "three.tif", "named.tif")]
    report = index_images(archive, files, tiling=TILING)
    assert report.guessed == [str(files[0])]
    chosen = Tiling(Length(64), bands=("3", "2", "1"), scaling=TILING.scaling)
    assert index_images(archive, files, tiling=chosen).guessed == []
    with pytest.raises(InputError, match="takes RGB"):
        index_images(archive, files, tiling=Tiling(seen=("1",)))


def test_command(tmp_path: Path, sentinel: Path) -> None:
    tiny_encoder().save(tmp_path / "model")
    told = CliRunner().invoke(
        app,
        ["index", str(sentinel), "--model", str(tmp_path / "model"), "-a", str(tmp_path / "b"),
         "--tile", "64", "--scale", "units:0:0.4", "--mask", "scl", "--mask-values", "9",
         "--max-hidden", "0.2", "--max-cloud-cover", "90"],
    )  # fmt: skip
    assert told.exit_code == 0, told.output
    assert "14 added" in told.output
    assert "2 hidden left out" in told.output
