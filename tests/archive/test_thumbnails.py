"""Pictures that an archive keeps of its tiles."""

from __future__ import annotations

import io
import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from terrahash.archive import Archive, open_archive, repair, verify
from terrahash.archive import thumbnails as module
from terrahash.archive.exchange import export_tiles, import_tiles
from terrahash.archive.files import Files
from terrahash.archive.indexing import index_images
from terrahash.archive.pixels import shown_channels, tile_image
from terrahash.archive.thumbnails import COLUMN, NAME, Keeper, digest, encode, side_of
from terrahash.cli.main import app
from terrahash.errors import ArchiveError, ImageError, InputError
from tests.tiny import tiny_encoder

from .conftest import LAYOUT, random_codes
from .faults import DyingFiles, FullFiles

COLOURS = [(200, 30, 30), (30, 200, 30), (30, 30, 200), (200, 200, 30)]


def photo(folder: Path, number: int, side: int = 80) -> Path:
    path = folder / f"{number}.png"
    Image.new("RGB", (side, side // 2), COLOURS[number]).save(path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(4):
        photo(folder, number)
    return folder


@pytest.fixture
def archive(folder: Path) -> Iterator[Archive]:
    with open_archive(folder, tiny_encoder()) as opened:
        yield opened


def colours(archive: Archive, pixels: int = 32) -> dict[int, int]:
    """Which of the colours each tile shows."""
    out = {}
    for number in archive.ids().tolist():
        mean = archive.thumbnail(number, pixels).reshape(-1, 3).mean(axis=0)
        out[number] = int(np.abs(np.array(COLOURS) - mean).sum(axis=1).argmin())
    return out


def pictures(archive: Archive) -> int:
    with sqlite3.connect(archive.path / NAME) as connection:
        return int(connection.execute("SELECT count(*) FROM thumbnails").fetchone()[0])


def test_tiles_are_shown_when_their_files_are_gone(archive: Archive, photos: Path) -> None:
    index_images(archive, [photos], thumbnails=48)
    assert side_of(archive.path) == 48
    before = colours(archive)
    (record,) = archive.records([1])
    assert tile_image(record, 48).shape == (24, 48, 3)
    assert tile_image(record, 300).shape == (40, 80, 3)
    for path in photos.iterdir():
        path.unlink()
    assert colours(archive) == before == {1: 0, 2: 1, 3: 2, 4: 3}
    assert tile_image(record, 300).shape == (24, 48, 3)
    with pytest.raises(ImageError, match="no such file"):
        tile_image(record, kept=False)
    with open_archive(archive.path, mode="r") as reader:
        assert colours(reader) == before
        assert "data:image" in reader.search(1)._repr_html_()
    assert verify(archive.path).ok


def test_an_archive_goes_on_as_it_began(archive: Archive, photos: Path) -> None:
    index_images(archive, [photos / "0.png"])
    assert not (archive.path / NAME).exists()
    assert COLUMN not in archive.info().columns
    index_images(archive, [photos / "1.png"], thumbnails=32)
    index_images(archive, [photos / "2.png"])
    assert [bool(r.columns[COLUMN]) for r in archive.records([1, 2, 3])] == [False, True, True]
    index_images(archive, [photos / "3.png"], thumbnails=0)
    assert archive.records([4])[0].columns[COLUMN] is None
    with pytest.raises(InputError, match="16 to 512"):
        index_images(archive, [photos], thumbnails=5000)


def test_a_changed_file_gets_another_picture(archive: Archive, photos: Path) -> None:
    index_images(archive, [photos], thumbnails=48)
    Image.new("RGB", (80, 80), COLOURS[3]).save(photos / "0.png")
    index_images(archive, [photos])
    assert colours(archive)[1] == 3
    Image.new("RGB", (80, 80), COLOURS[2]).save(photos / "0.png")
    index_images(archive, [photos], thumbnails=0)
    assert archive.records([1])[0].columns[COLUMN] is None
    assert colours(archive)[1] == 2


def test_compacting_sweeps_what_no_tile_names(archive: Archive, photos: Path) -> None:
    index_images(archive, [photos], thumbnails=48)
    archive.update([2], sources=["moved.png"])
    archive.delete(ids=[1])
    assert pictures(archive) == 4
    archive.compact()
    assert pictures(archive) == 3
    assert colours(archive) == {2: 1, 3: 2, 4: 3}
    assert verify(archive.path).ok


def test_compacting_gives_space_back(archive: Archive, photos: Path) -> None:
    keeper = archive.keeper(192)
    assert keeper is not None
    rng = np.random.default_rng(1)
    keeper.keep([rng.bytes(5000) for _ in range(400)])
    keeper.close()
    full = (archive.path / NAME).stat().st_size
    assert full < 1.3 * 400 * 5000
    assert archive.info().bytes > full
    archive.compact()
    assert (archive.path / NAME).stat().st_size < full / 4


def test_equal_pictures_are_kept_once(archive: Archive, photos: Path) -> None:
    (photos / "copy.png").write_bytes((photos / "0.png").read_bytes())
    index_images(archive, [photos], thumbnails=48)
    assert (len(archive), pictures(archive)) == (5, 4)
    archive.delete(ids=[1])
    archive.compact()
    assert colours(archive) == {2: 1, 3: 2, 4: 3, 5: 0}


@pytest.mark.parametrize("damage", ["pixels", "page", "header", "missing", "entry"])
def test_repair_keeps_the_sound_ones(archive: Archive, photos: Path, damage: str) -> None:
    index_images(archive, [photos], thumbnails=48)
    path = archive.path / NAME
    archive.close()
    content = bytearray(path.read_bytes())
    if damage == "pixels":
        content[content.index(b"WEBP") + 20] ^= 1
    elif damage == "page":
        content[module.PAGE_BYTES * 4 :] = b"\xff" * (len(content) - module.PAGE_BYTES * 4)
    elif damage == "header":
        content[:100] = bytes(100)
    path.write_bytes(content)
    if damage == "missing":
        path.unlink()
    if damage == "entry":
        with sqlite3.connect(path) as connection:
            connection.execute("DELETE FROM thumbnails WHERE number = 2")
        connection.close()
    found = verify(archive.path)
    assert {problem.where for problem in found.problems} == {NAME}
    report = repair(archive.path)
    assert report.lost_rows == 0
    expected = {"pixels": 1, "page": None, "header": 4, "missing": 4, "entry": 1}[damage]
    if expected is not None:
        assert report.lost == [f"{expected} thumbnails; their tiles are shown by their files"]
    assert verify(archive.path).ok
    assert repair(archive.path).done == []
    with open_archive(archive.path) as mended:
        assert colours(mended) == {1: 0, 2: 1, 3: 2, 4: 3}
        # What is lost comes back with the tile that has it.
        os.utime(photos / "1.png", (1, 1))
        index_images(mended, [photos])
        (photos / "1.png").unlink()
        assert colours(mended)[2] == 1


def test_a_damaged_file_costs_pictures_only(archive: Archive, photos: Path) -> None:
    index_images(archive, [photos], thumbnails=48)
    (archive.path / NAME).write_bytes(b"no database at all" * 100)
    assert colours(archive) == {1: 0, 2: 1, 3: 2, 4: 3}
    assert archive.search(1, k=1).ids.tolist() == [1]
    os.utime(photos / "1.png", (1, 1))
    with pytest.raises(ArchiveError, match=r"thumbnails\.sqlite is damaged") as caught:
        index_images(archive, [photos])
    assert "repair" in caught.value.remedy


def test_a_digest_that_is_taken_shows_nothing_wrong(folder: Path, photos: Path) -> None:
    with Archive.create(folder, LAYOUT) as archive:
        keeper = archive.keeper(32)
        assert keeper is not None
        red = encode(np.full((32, 32, 3), (200, 30, 30), np.uint8), 32)
        assert red is not None
        (number,) = keeper.keep([red])
        keeper.close()
        with sqlite3.connect(folder / NAME) as connection:
            connection.execute("UPDATE thumbnails SET image = ?", (red + b"\0",))
        connection.close()
        archive.add_codes(
            random_codes(1), sources=[str(photos / "1.png")], columns={COLUMN: [number]}
        )
        assert colours(archive) == {1: 1}


def live(folder: Path, files: Files) -> None:
    with Archive(folder) as archive:
        for step in range(2):
            keeper = Keeper(folder, 32, files)
            image = encode(np.full((32, 32, 3), COLOURS[step], np.uint8), 32)
            names = keeper.keep([image])
            keeper.close()
            archive.add_codes(
                random_codes(1, seed=step), sources=[str(step)], columns={COLUMN: names}
            )
        archive.delete(ids=[1])
        module.sweep(folder, archive.snapshot(), files)


def test_killed_at_every_operation(tmp_path: Path) -> None:
    for at in range(20):
        folder = tmp_path / f"{at}.terrahash"
        Archive.create(folder, LAYOUT).close()
        child = os.fork()
        if not child:
            try:
                live(folder, DyingFiles(at))
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        assert verify(folder).ok
        with open_archive(folder) as archive:
            assert all(colour == number - 1 for number, colour in colours(archive).items())
            if (folder / NAME).exists():
                module.sweep(folder, archive.snapshot(), Files())
                assert pictures(archive) == len(archive)
        if not os.WIFSIGNALED(status):
            assert at > 6
            return
        assert os.WTERMSIG(status) == signal.SIGKILL
    pytest.fail("it never ended")


def test_a_full_disk(folder: Path) -> None:
    Archive.create(folder, LAYOUT).close()
    image = encode(np.full((32, 32, 3), COLOURS[0], np.uint8), 32)
    for at in range(20):
        files = FullFiles(at)
        with Archive(folder, "a", files=files) as archive:
            try:
                keeper = archive.keeper(32)
                assert keeper is not None
                try:
                    names = keeper.keep([image])
                finally:
                    keeper.close()
                assert archive.ids().tolist() == []
                files.full = False
                archive.add_codes(random_codes(1), columns={COLUMN: names})
                break
            except ArchiveError as error:
                assert "disk is full" in error.message
    assert at > 3
    with open_archive(folder) as archive:
        assert colours(archive) == {1: 0}
    assert verify(folder).ok


def test_size_caps() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (600, 700, 3), dtype=np.uint8)
    data = encode(noise, 512)
    assert data is None or len(data) <= module.MAX_BYTES
    small = encode(noise, 192)
    assert small is not None
    assert len(small) <= module.MAX_BYTES
    with Image.open(io.BytesIO(small)) as picture:
        assert (picture.format, max(picture.size)) == ("WEBP", 192)
    assert 0 <= digest(small) < 2**63


def test_channels_for_people() -> None:
    image = np.arange(4 * 4 * 5, dtype=np.uint8).reshape(4, 4, 5)
    assert shown_channels(image[..., :3], None) is not None
    np.testing.assert_array_equal(shown_channels(image, None), image[..., [0, 0, 0]])


def test_what_is_exported_names_no_picture(archive: Archive, photos: Path, tmp_path: Path) -> None:
    index_images(archive, [photos], thumbnails=48)
    export_tiles(archive, tmp_path / "a.json")
    assert COLUMN not in (tmp_path / "a.json").read_text()
    for name in ("a.csv", "a.parquet"):
        if name.endswith("parquet"):
            pytest.importorskip("pyarrow")
        export_tiles(archive, tmp_path / name)
        other = tmp_path / f"{name}.terrahash"
        open_archive(other, tiny_encoder()).close()
        import_tiles(other, tmp_path / name)
        assert verify(other).ok
        with open_archive(other, mode="r") as imported:
            assert len(imported) == 4
            assert COLUMN not in imported.info().columns


def test_command(folder: Path, photos: Path, tmp_path: Path) -> None:
    tiny_encoder().save(tmp_path / "model")
    arguments = ["index", str(photos), "-m", str(tmp_path / "model"), "-a", str(folder)]
    result = CliRunner().invoke(app, [*arguments, "--thumbnails", "64", "--json"])
    assert json.loads(result.stdout)["added"] == 4
    assert side_of(folder) == 64
    assert CliRunner().invoke(app, [*arguments, "--thumbnails", "9999"]).exit_code != 0


def test_keeper_needs_a_writer(archive: Archive) -> None:
    with open_archive(archive.path, mode="r") as reader, pytest.raises(ArchiveError):
        reader.keeper(64)
    assert archive.keeper() is None
    with pytest.raises(InputError):
        Keeper(archive.path, 4, Files())
