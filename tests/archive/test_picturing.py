"""Thumbnails of tiles that were indexed without."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from terrahash.archive import Archive, open_archive, picturing, verify
from terrahash.archive.indexing import index_images
from terrahash.archive.picturing import add_thumbnails
from terrahash.archive.pixels import tile_image
from terrahash.archive.thumbnails import NAME, side_of
from terrahash.cli.main import app
from terrahash.errors import InputError
from terrahash.imagery import Length, Tiling
from terrahash.imagery.scaling import Scaling
from tests.tiny import tiny_encoder


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with open_archive(tmp_path / "a.terrahash", tiny_encoder()) as opened:
        yield opened


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(6):
        Image.new("RGB", (60, 40), (40 * number, 0, 0)).save(folder / f"{number}.png")
    return folder


def without(archive: Archive) -> list[int]:
    """Ids of tiles that cannot be shown without their files."""
    out = []
    for record in archive.records(archive.ids()):
        source = Path(record.source or "")
        away = source.with_suffix(".away")
        gone = source.exists()
        if gone:
            source.rename(away)
        try:
            tile_image(record, 30)
        except Exception:
            out.append(record.id)
        finally:
            if gone:
                away.rename(source)
    return out


def test_pictures(archive: Archive, photos: Path) -> None:
    index_images(archive, [photos])
    assert without(archive) == [1, 2, 3, 4, 5, 6]
    report = add_thumbnails(archive, side=32, where="id <= 2", workers=2)
    assert (report.added, report.present, report.skipped) == (2, 0, [])
    assert side_of(archive.path) == 32
    report = add_thumbnails(archive)
    assert (report.added, report.present) == (4, 2)
    assert without(archive) == []
    assert [archive.thumbnail(n, 32)[5, 5, 0] // 38 for n in range(1, 7)] == [0, 1, 2, 3, 4, 5]
    assert add_thumbnails(archive).to_json() == {
        "added": 0, "present": 6, "left_out": 0, "unread": 0, "skipped": [],
    }  # fmt: skip
    assert verify(archive.path).ok


def test_bad_sources_are_passed_over(archive: Archive, photos: Path) -> None:
    index_images(archive, [photos])
    (photos / "0.png").unlink()
    Image.new("RGB", (60, 40), (0, 255, 0)).save(photos / "1.png")
    content = (photos / "2.png").read_bytes()
    stamp = (photos / "2.png").stat()
    (photos / "2.png").write_bytes(bytes(len(content)))
    os.utime(photos / "2.png", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    report = add_thumbnails(archive)
    assert (report.added, report.unread) == (3, 3)
    reasons = {Path(source).name: reason for source, reason in report.skipped}
    assert "No such file" in reasons["0.png"]
    assert reasons["1.png"] == "has changed since"
    assert "known format" in reasons["2.png"]
    assert without(archive) == [1, 2, 3]


def test_a_picture_that_was_lost_is_made_again(archive: Archive, photos: Path) -> None:
    index_images(archive, [photos], thumbnails=32)
    with sqlite3.connect(archive.path / NAME) as connection:
        connection.execute("UPDATE thumbnails SET image = NULL WHERE number = 3")
    report = add_thumbnails(archive)
    assert (report.added, report.present) == (1, 5)
    assert without(archive) == []


def test_interrupted_it_goes_on(
    archive: Archive, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index_images(archive, [photos])
    monkeypatch.setattr(picturing, "BATCH", 2)
    plain = Archive.update
    calls = []

    def failing(self: Archive, *args: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return plain(self, *args, **options)

    monkeypatch.setattr(Archive, "update", failing)
    with pytest.raises(KeyboardInterrupt):
        add_thumbnails(archive)
    monkeypatch.setattr(Archive, "update", plain)
    report = add_thumbnails(archive)
    assert (report.added, report.present) == (4, 2)


def test_scenes_are_read_once(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("rasterio")
    from terrahash.imagery import cutting
    from tests.imagery.conftest import pixels_of, write_scene

    for name in ("a", "b"):
        write_scene(tmp_path / f"{name}.tif", pixels_of(4, 256, 256))
    tiling = Tiling(Length(64), scaling=Scaling("range", 0, 5000))
    index_images(archive, [tmp_path / "a.tif", tmp_path / "b.tif"], tiling=tiling)
    reads: list[Any] = []
    plain = cutting.read_part

    def counted(dataset: Any, rendering: Any, window: Any, *more: Any) -> Any:
        reads.append((rendering.scene.source, window))
        return plain(dataset, rendering, window, *more)

    monkeypatch.setattr(cutting, "read_part", counted)
    report = add_thumbnails(archive, side=64)
    assert (report.added, report.skipped) == (32, [])
    assert len(reads) == len(set(reads)) == 4
    for record in archive.records([1, 16, 17, 32]):
        shown = tile_image(record, 64).astype(int)
        source = tile_image(record, 64, kept=False).astype(int)
        assert np.abs(shown.mean((0, 1)) - source.mean((0, 1))).max() < 4

    again = open_archive(tmp_path / "b.terrahash", tiny_encoder())
    with again:
        index_images(again, [tmp_path / "a.tif", tmp_path / "b.tif"], tiling=tiling)
        (tmp_path / "a.tif").write_bytes(b"no scene")
        report = add_thumbnails(again)
        assert (report.added, report.unread) == (16, 16)
        assert report.skipped == [(str(tmp_path / "a.tif"), "has changed since")]


def test_command(tmp_path: Path, photos: Path) -> None:
    place = str(tmp_path / "a")
    with open_archive(place, tiny_encoder()) as archive:
        index_images(archive, [photos])
    (photos / "3.png").unlink()
    result = CliRunner().invoke(app, ["archive", "thumbnails", place, "--size", "40", "--json"])
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert (told["added"], told["unread"]) == (5, 1)
    assert told["skipped"][0]["source"] == str(photos / "3.png")
    result = CliRunner().invoke(app, ["archive", "thumbnails", place, "--size", "4"])
    assert isinstance(result.exception, InputError)
