"""Images and scenes into an archive."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from terrahash.archive import Archive, open_archive
from terrahash.archive import indexing as indexing_module
from terrahash.archive.indexing import index_images
from terrahash.errors import ImageError, MissingExtraError
from terrahash.imagery import Length, Tiling, gdal, inputs, read_window
from terrahash.imagery.scaling import Scaling
from terrahash.progress import Terminal
from tests.imagery.conftest import pixels_of, write_scene
from tests.imagery.server import Behaviour, serving
from tests.imagery.test_stac import item as stac_item
from tests.tiny import tiny_encoder

FIXED = Scaling("range", 0, 10_000)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    encoder = tiny_encoder()
    with open_archive(tmp_path / "a.terrahash", encoder) as opened:
        yield opened


def records(archive: Archive) -> list[Any]:
    return archive.records(archive.ids())


def windows(archive: Archive) -> list[Any]:
    return [record.window for record in records(archive)]


def test_pictures_new_changed_and_unchanged(archive: Archive, tmp_path: Path) -> None:
    folder = tmp_path / "in" / "river"
    folder.mkdir(parents=True)
    for number in range(5):
        Image.new("RGB", (40, 40), (number * 50, 0, 0)).save(folder / f"{number}.png")
    (folder / "broken.png").write_bytes(b"no image")
    first = index_images(archive, [tmp_path / "in"], folder_labels=True)
    assert (first.added, first.unchanged) == (5, 0)
    assert first.skipped == [
        (str(folder / "broken.png"), first.skipped[0][1]),
    ]
    assert "known format" in first.skipped[0][1]
    assert {record.label for record in records(archive)} == {"river"}
    os.utime(folder / "3.png", (1, 1))
    second = index_images(archive, [tmp_path / "in"], folder_labels=True)
    assert (second.added, second.updated, second.unchanged) == (0, 1, 4)
    assert len(archive) == 5


def test_a_scene_becomes_tiles_with_footprints(archive: Archive, tmp_path: Path) -> None:
    pixels = pixels_of(4, 300, 420)
    path = write_scene(
        tmp_path / "s.tif", pixels, tags={"ACQUISITION_DATE": "2024-05-06"}, nodata=20_000
    )
    tiling = Tiling(Length(128), scaling=FIXED)
    report = index_images(archive, [path], tiling=tiling)
    assert (report.added, report.blank, report.skipped) == (3 * 4, 0, [])
    assert {"reading", "decoding", "inferring", "storing"} <= report.spent.keys()
    found = records(archive)
    assert [record.window for record in found][:5] == [
        (0, 0, 128, 128), (128, 0, 128, 128), (256, 0, 128, 128), (292, 0, 128, 128),
        (0, 128, 128, 128),
    ]  # fmt: skip
    for record in found:
        assert record.source == str(path)
        assert record.datetime == "2024-05-06T00:00:00Z"
        west, south, east, north = record.bbox
        assert 8.9 < west < east < 9.1
        assert 49.6 < south < north < 49.7
        assert record.columns["bands"] == "1,2,3"
        assert record.columns["scaling"] == "0:10000,0:10000,0:10000"
        assert record.columns["cut"] == "tile=128px stride=128px scaling=0:10000 valid=0.5"
        x, y, width, height = record.window
        part = pixels[:3, y : y + height, x : x + width].transpose(1, 2, 0)
        shown = read_window(
            record.source, record.window, bands=record.columns["bands"],
            limits=record.columns["scaling"],
        )  # fmt: skip
        assert np.abs(shown - part * (255 / 10_000)).max() <= 0.51
        code = archive.encoder.encode_image(shown).codes
        np.testing.assert_array_equal(code, archive.codes([record.id]))
    assert [r.columns["scene_tiles"] for r in found] == [None] * 11 + [12]
    again = index_images(archive, [path], tiling=tiling)
    assert (again.added, again.updated, again.unchanged) == (0, 0, 1)


def test_scenes_are_cut_by_themselves_and_small_ones_are_one_tile(
    archive: Archive, tmp_path: Path
) -> None:
    large = write_scene(tmp_path / "large.tif", pixels_of(3, 1100, 300, "uint8"))
    small = write_scene(tmp_path / "small.tif", pixels_of(5, 120, 120))
    plain = tmp_path / "plain.tif"
    Image.fromarray(pixels_of(3, 1100, 300, "uint8").transpose(1, 2, 0)).save(plain)
    assert index_images(archive, [large, small, plain]).added == 5 * 2 + 1 + 1
    by_name = {Path(record.source).name: record for record in records(archive)}
    assert by_name["small.tif"].window is None
    assert by_name["small.tif"].bbox is not None
    assert by_name["small.tif"].columns["bands"] == "1,2,3"
    assert by_name["plain.tif"].bbox is None
    assert by_name["plain.tif"].columns["bands"] is None
    assert index_images(archive, [large, small, plain]).unchanged == 3


def test_many_bands_without_a_place(archive: Archive, tmp_path: Path) -> None:
    path = write_scene(tmp_path / "s.tif", pixels_of(13, 64, 64), crs=None)
    assert index_images(archive, [path]).added == 1


def test_blank_windows_are_left_out_and_counted(archive: Archive, tmp_path: Path) -> None:
    pixels = pixels_of(3, 256, 256, "uint8") + 1
    pixels[:, :, :200] = 0
    path = write_scene(tmp_path / "s.tif", pixels, nodata=0)
    tiling = Tiling(Length(64))
    report = index_images(archive, [path], tiling=tiling)
    assert (report.added, report.blank) == (4, 12)
    assert index_images(archive, [path], tiling=tiling).unchanged == 1
    empty = write_scene(tmp_path / "empty.tif", np.zeros((3, 256, 256), np.uint8), nodata=0)
    report = index_images(archive, [empty], tiling=tiling)
    assert report.skipped == [(str(empty), "no window holds enough valid pixels")]


def test_a_changed_scene_replaces_its_tiles(archive: Archive, tmp_path: Path) -> None:
    path = write_scene(tmp_path / "s.tif", pixels_of(3, 256, 384, "uint8"))
    tiling = Tiling(Length(128))
    assert index_images(archive, [path], tiling=tiling).added == 6
    write_scene(path, pixels_of(3, 256, 256, "uint8") // 2)
    os.utime(path, (1, 1))
    report = index_images(archive, [path], tiling=tiling)
    assert (report.updated, report.removed, len(archive)) == (4, 2, 4)
    assert index_images(archive, [path], tiling=tiling).unchanged == 1


def test_another_tiling_is_added_beside(archive: Archive, tmp_path: Path) -> None:
    path = write_scene(tmp_path / "s.tif", pixels_of(3, 256, 256, "uint8"))
    assert index_images(archive, [path], tiling=Tiling(Length(128))).added == 4
    assert index_images(archive, [path], tiling=Tiling(Length(64))).added == 16
    assert index_images(archive, [path], tiling=Tiling(Length(128))).unchanged == 1


class StopError(Exception):
    """Stands for anything that ends a run."""


@pytest.mark.parametrize("stores", [1, 2, 3])
def test_goes_on_in_the_middle_of_a_scene(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stores: int
) -> None:
    pixels = pixels_of(3, 512, 640)
    pixels[:, 128:192] = 0
    path = write_scene(tmp_path / "s.tif", pixels, nodata=0)
    tiling = Tiling(Length(64), min_valid=0.9)
    monkeypatch.setattr(indexing_module, "BATCH_TILES", 20)
    plain = archive.add_codes
    calls = 0

    def limited(*args: Any, **values: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > stores:
            raise StopError
        return plain(*args, **values)

    monkeypatch.setattr(archive, "add_codes", limited)
    with pytest.raises(StopError):
        index_images(archive, [path], tiling=tiling)
    monkeypatch.setattr(archive, "add_codes", plain)
    kept = len(archive)
    report = index_images(archive, [path], tiling=tiling)
    assert report.added == 70 - kept
    assert report.blank == 10
    found = windows(archive)
    assert len(found) == len(set(found)) == 70
    assert len({r.columns["scaling"] for r in records(archive)}) == 1
    assert index_images(archive, [path], tiling=tiling).unchanged == 1


def test_everything_stored_but_the_mark(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_scene(tmp_path / "s.tif", pixels_of(3, 128, 128, "uint8"))
    tiling = Tiling(Length(64))
    index_images(archive, [path], tiling=tiling)
    archive.update(archive.ids(), columns={"scene_tiles": [None] * 4})
    report = index_images(archive, [path], tiling=tiling)
    assert (report.added, report.updated, report.skipped) == (0, 0, [])
    assert [r.columns["scene_tiles"] for r in records(archive)] == [None, None, None, 4]


def test_a_file_that_changes_while_it_is_read(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_scene(tmp_path / "s.tif", pixels_of(3, 640, 640, "uint8"))
    other = write_scene(tmp_path / "t.tif", pixels_of(3, 128, 128, "uint8"))
    monkeypatch.setattr(indexing_module, "BATCH_TILES", 10)
    plain = archive.add_codes
    calls = 0

    def touching(*args: Any, **values: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            os.utime(path, (calls, calls))
        return plain(*args, **values)

    monkeypatch.setattr(archive, "add_codes", touching)
    report = index_images(archive, [path, other], tiling=Tiling(Length(64)))
    assert report.skipped == [(str(path), "changed while it was read; index it again")]
    assert report.added == 2 * 9 + 4
    report = index_images(archive, [path, other], tiling=Tiling(Length(64)))
    assert report.skipped == []
    assert report.unchanged == 1
    found = [window for record, window in zip(records(archive), windows(archive), strict=True)
             if record.source == str(path)]  # fmt: skip
    assert len(found) == len(set(found)) == 100


def test_damaged_blocks_cost_only_their_windows(archive: Archive, tmp_path: Path) -> None:
    path = write_scene(tmp_path / "s.tif", pixels_of(3, 512, 512, "uint8"), interleave="pixel")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = b"\xff" * 64
    path.write_bytes(content)
    tiling = Tiling(Length(128))
    report = index_images(archive, [path], tiling=tiling)
    assert 13 <= report.added <= 15
    ((source, reason),) = report.skipped
    assert source == str(path)
    assert reason == f"{16 - report.added} of 16 windows are damaged; the others are stored"
    again = index_images(archive, [path], tiling=tiling)
    assert again.added == 0
    assert len(again.skipped) == 1


def test_odd_names(archive: Archive, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    names = [b"new\nline.png", b"not\xff\xfeutf8.png", "ümläut €.png".encode(), b"a!b%20c.png"]
    names += [name.replace(b".png", b".tif") for name in names]
    for name in names:
        path = Path(os.fsdecode(bytes(folder) + b"/" + name))
        if name.endswith(b".png"):
            Image.new("RGB", (40, 40)).save(path)
        else:
            made = write_scene(tmp_path / "made.tif", pixels_of(3, 64, 64, "uint8"))
            made.rename(path)
    broken = Path(os.fsdecode(bytes(folder) + b"/bro\xffken\n.png"))
    broken.write_bytes(b"no image")
    with Terminal() as terminal:
        report = index_images(archive, [folder], reporter=terminal)
        for name, reason in report.skipped:
            terminal.note(f"[/red] {name!r}: {reason}")
    ((name, reason),) = report.skipped
    assert report.added == 8
    assert name == broken.as_uri()
    assert reason.startswith("not an image")
    assert index_images(archive, [folder]).unchanged == 8
    for record in records(archive):
        shown = read_window(
            record.source, bands=record.columns["bands"], limits=record.columns["scaling"]
        )
        assert shown.shape in ((40, 40, 3), (64, 64, 3))


def test_loops_of_links_and_forbidden_files(archive: Archive, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    Image.new("RGB", (40, 40)).save(folder / "a.png")
    (folder / "loop").symlink_to(folder)
    (folder / "self.png").symlink_to(folder / "self.png")
    (folder / "gone.tif").symlink_to(folder / "nothing.tif")
    os.mkfifo(folder / "pipe.png")
    report = index_images(archive, [folder])
    assert report.added == 1
    assert sorted(Path(source).name for source, _ in report.skipped) == [
        "gone.tif", "pipe.png", "self.png",
    ]  # fmt: skip


CHILD = """
import sys
from terrahash.archive import open_archive
from terrahash.archive import indexing
from terrahash.imagery import Length, Tiling
indexing.BATCH_TILES = 16
store = indexing._Run._store
def telling(self, *batch, **more):
    store(self, *batch, **more)
    print("stored", flush=True)
indexing._Run._store = telling
with open_archive(sys.argv[1]) as archive:
    indexing.index_images(archive, [sys.argv[2]], tiling=Tiling(Length(32)))
    print("done", flush=True)
"""


def test_killed_at_any_moment_it_neither_loses_nor_doubles_a_tile(
    archive: Archive, tmp_path: Path
) -> None:
    path = write_scene(tmp_path / "s.tif", pixels_of(3, 1024, 1024, "uint8"))
    place = archive.path
    archive.close()
    seen = []
    for attempt in range(6):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(place), str(path)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        for _ in range(1 + 2 * attempt):
            child.stdout.readline()
        time.sleep(0.01 * attempt)
        child.kill()
        rest = child.stdout.read()
        child.stdout.close()
        child.wait()
        with open_archive(place, mode="r") as opened:
            found = windows(opened)
            assert len(found) == len(set(found))
            seen.append(len(found))
        if "done" in rest:
            break
    with open_archive(place) as opened:
        index_images(opened, [path], tiling=Tiling(Length(32)))
        assert len(set(windows(opened))) == len(opened) == 1024
    assert seen == sorted(seen)
    assert any(0 < count < 1024 for count in seen)


def test_tiles_of_scenes_are_shown(archive: Archive, tmp_path: Path) -> None:
    pixels = pixels_of(4, 256, 256)
    path = write_scene(tmp_path / "s.tif", pixels)
    index_images(archive, [path], tiling=Tiling(Length(128), bands=("4",), scaling=FIXED))
    (last,) = archive.records([int(archive.ids()[-1])])
    expected = pixels[3, 128:, 128:] * (255 / 10_000)
    shown = archive.thumbnail(last.id, 128)
    assert np.abs(shown[..., 0] - expected).max() <= 0.51
    assert archive.thumbnail(last.id).shape == (96, 96, 3)
    hits = archive.search(last.id, k=3)
    assert hits._repr_html_().count("data:image/jpeg") == 3


def test_stac_items_with_local_and_remote_assets(archive: Archive, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write_scene(folder / "a.tif", pixels_of(3, 256, 256, "uint8"))
    write_scene(folder / "b.tif", pixels_of(3, 64, 64, "uint8"))
    with serving(folder, Behaviour()) as address:
        items = [stac_item("one"), stac_item("two", f"{address}/b.tif"), stac_item("no", "no.tif")]
        items += [stac_item("again"), stac_item("again", f"{address}/b.tif")]
        items[1]["properties"]["eo:cloud_cover"] = 12.5
        items[1]["properties"]["platform"] = 5
        path = folder / "items.json"
        path.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
        report = index_images(archive, [path], tiling=Tiling(Length(128)))
        assert report.added == 5
        assert [Path(source).name for source, _ in report.skipped] == ["no.tif"]
        again = index_images(archive, [path], tiling=Tiling(Length(128)))
        assert (again.added, again.unchanged) == (0, 2)
    found = records(archive)
    assert [r.columns["item"] for r in found] == ["one"] * 4 + ["two"]
    assert {r.columns["collection"] for r in found} == {"survey"}
    assert {r.datetime for r in found} == {"2024-05-06T07:08:09Z"}
    assert [r.columns["eo_cloud_cover"] for r in found] == [7.0] * 4 + [12.5]
    assert found[-1].columns["platform"] == "5"
    assert found[-1].source == f"{address}/b.tif"
    assert found[-1].bbox is not None
    assert archive.ids(where="eo_cloud_cover < 10").tolist() == [r.id for r in found[:4]]


def test_a_remote_scene_goes_on_when_the_server_is_back(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(gdal._REMOTE, "GDAL_HTTP_RETRY_DELAY", 0.01)
    folder = tmp_path / "in"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (3, 512, 512), dtype=np.uint8)
    write_scene(folder / "a.tif", noise, interleave="pixel")
    tiling = Tiling(Length(128))
    behaviour = Behaviour()
    with serving(folder, behaviour) as address:
        behaviour.fail_after = 3
        source = f"{address}/a.tif"
        first = index_images(archive, [source], tiling=tiling)
        assert [name for name, _ in first.skipped] == [source]
        behaviour.fail_after = 0
        second = index_images(archive, [source], tiling=tiling)
        assert second.skipped == []
        assert first.added + second.added == 16
        assert index_images(archive, [source], tiling=tiling).unchanged == 1
    assert len(set(windows(archive))) == 16


def test_a_query_is_read_as_a_tile_is(archive: Archive, tmp_path: Path) -> None:
    path = write_scene(tmp_path / "q.tif", pixels_of(4, 120, 120))
    index_images(archive, [path])
    (hit,) = archive.search(path, k=1).records
    assert hit.source == str(path)
    assert archive.search(path, k=1).distances.tolist() == [0]
    with pytest.raises(ImageError, match="nothing"):
        archive.search(tmp_path / "nothing.tif")
    with pytest.raises(ImageError):
        archive.search(tmp_path)


def test_without_the_extra_for_scenes_pictures_are_indexed(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_scene(tmp_path / "rgb.tif", pixels_of(3, 64, 64, "uint8"), interleave="pixel",
                       photometric="rgb")  # fmt: skip
    many = write_scene(tmp_path / "many.tif", pixels_of(13, 64, 64))
    monkeypatch.setitem(sys.modules, "rasterio", None)
    inputs._missing.cache_clear()
    try:
        report = index_images(archive, [path, many])
        assert report.added == 1
        assert [name for name, _ in report.skipped] == [str(many)]
        assert "known format" in report.skipped[0][1]
        with pytest.raises(MissingExtraError, match="rasterio"):
            index_images(archive, [path], tiling=Tiling(Length(32)))
    finally:
        inputs._missing.cache_clear()
    (record,) = records(archive)
    assert record.bbox is None
