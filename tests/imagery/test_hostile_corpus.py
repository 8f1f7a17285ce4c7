"""More broken and hostile files: colours, places, files beside, folders, and whole batches."""

from __future__ import annotations

import io
import os
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from terrahash.archive import open_archive
from terrahash.archive.indexing import index_images
from terrahash.errors import ImageError
from terrahash.imagery import Length, Tiling, find_images, read_image, read_window
from terrahash.imagery.inputs import kind_of
from terrahash.imagery.scene import Scene
from terrahash.imagery.tiff import tags
from tests.imagery.conftest import MakeScene, pixels_of, write_scene
from tests.imagery.test_hostile import limited, outcome, png_bomb, tiff_of
from tests.tiny import tiny_encoder


def test_a_classic_tiff_has_no_64_bit_numbers(tmp_path: Path) -> None:
    """Found by fuzzing: the last entry of a directory claims a number that has no room in it."""
    path = tmp_path / "found.tif"
    entries = struct.pack("<H", 1) + struct.pack("<HHII", 256, 16, 1, 64)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8) + entries)
    assert tags(path) == {256: 0}
    kind_of(path, path.stat().st_size, None)
    assert isinstance(outcome(path), str)


@pytest.mark.parametrize("count", [0, 1, 3, 255, 256 * 3 + 7])
def test_wrong_colour_tables(tmp_path: Path, count: int) -> None:
    """A palette image whose table is missing, short or too long: read or refused, nothing else."""
    path = tmp_path / "colours.tif"
    entries: dict[int, tuple[str, int]] = {
        256: ("I", 16), 257: ("I", 16), 258: ("H", 8), 259: ("H", 1), 262: ("H", 3),
        273: ("I", 8), 277: ("H", 1), 278: ("I", 16), 279: ("I", 256),
    }  # fmt: skip
    if count:
        entries[320] = ("I", count)
    path.write_bytes(tiff_of(entries, bytes(range(256))))
    for read in (read_image, read_window):
        try:
            assert read(path).shape == (16, 16, 3)
        except ImageError as error:
            assert path.name in error.message
    outcome(path)
    buffer = io.BytesIO()
    Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).convert("P").save(buffer, "PNG")
    content = buffer.getvalue()
    place = content.index(b"PLTE") - 4
    length = int.from_bytes(content[place : place + 4], "big")
    (tmp_path / "p.png").write_bytes(content[:place] + content[place + 12 + length :])
    try:
        assert read_image(tmp_path / "p.png").shape == (16, 16, 3)
    except ImageError as error:
        assert "p.png" in error.message


@pytest.mark.parametrize(
    "numbers",
    [
        (0, 0, 0, 0, 0, 0), (10, 0, 5e5, 20, 0, 5.5e6), (0, 0, 5e5, 0, 0, 5.5e6),
        (np.nan, 0, 5e5, 0, -10, 5.5e6), (10, 0, np.inf, 0, -10, 5.5e6),
        (1e308, 0, 5e5, 0, -1e308, 5.5e6), (1e-320, 0, 5e5, 0, -1e-320, 5.5e6),
        (10, 0, 1e300, 0, -10, 1e300),
    ],
)  # fmt: skip
def test_singular_and_absurd_geotransforms(make_scene: MakeScene, numbers: Any) -> None:
    import rasterio

    path = make_scene("a.tif", pixels_of(3, 128, 128, "uint8"))
    try:
        with rasterio.open(path, "r+") as dataset:
            dataset.transform = rasterio.Affine(*numbers)
    except (rasterio.errors.RasterioError, ValueError):
        pytest.skip("this GDAL does not write it")
    assert outcome(path) == (4, 0)
    scene = Scene.open(str(path))
    if scene.place is not None:
        boxes = scene.place.footprints(np.array([(0, 0, 64, 64)]))
        inside = (np.abs(boxes) <= (180, 90, 180, 90)).all(axis=1)
        assert (inside | np.isnan(boxes).any(axis=1)).all()


def test_batches_outlive_their_worst_members(tmp_path: Path) -> None:
    """All kinds of broken files at once: each named with its reason, the good ones stored."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(3):
        Image.new("RGB", (32, 32), (number * 90, 9, 9)).save(folder / f"good{number}.png")
    write_scene(folder / "good.tif", pixels_of(3, 64, 64, "uint8"))
    good = (folder / "good0.png").read_bytes()
    for name in ("good\nline.png", os.fsdecode(b"good\xff.png")):
        (folder / name).write_bytes(good)
    (folder / "loop").symlink_to(folder)
    (folder / "self.png").symlink_to(folder / "self.png")
    (folder / "nowhere.png").symlink_to(tmp_path / "nothing.png")
    os.mkfifo(folder / "pipe.png")
    (folder / "device.png").symlink_to("/dev/zero")
    (folder / "folder.png").mkdir()
    (folder / "empty.png").touch()
    (folder / "short.png").write_bytes(good[:40])
    (folder / "bomb.png").write_bytes(png_bomb(20_000, 20_000))
    (folder / "passwd.tif").symlink_to("/etc/passwd")
    (folder / "vrt.tif").write_text("<VRTDataset rasterXSize='4' rasterYSize='4'></VRTDataset>")
    bad = {
        "self.png", "nowhere.png", "pipe.png", "device.png", "empty.png", "short.png", "bomb.png",
        "passwd.tif", "vrt.tif",
    }  # fmt: skip
    with open_archive(tmp_path / "a.terrahash", tiny_encoder()) as archive:
        report = index_images(archive, [folder])
        assert {Path(name).name for name, _ in report.skipped} == bad
        assert all(reason and "\n" not in reason for _, reason in report.skipped)
        assert report.added == len(archive) == 6
        assert all("root:" not in reason for _, reason in report.skipped)
        shown = {record.source for record in archive.records(archive.ids())}
        assert sum("good" in str(source) for source in shown) == 6
        assert all(archive.thumbnail(number).size for number in archive.ids().tolist())


@pytest.fixture
def nobody() -> Iterator[None]:
    """Root, for whom no permission is denied, is nobody for a while."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    yield
    os.seteuid(before)


def test_permission_denied(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    path = tmp_path / "secret.tif"
    write_scene(path, pixels_of(3, 64, 64, "uint8"))
    path.chmod(0)
    request.getfixturevalue("nobody")
    for read in (read_image, read_window):
        with pytest.raises(ImageError, match="permission denied") as caught:
            read(path)
        assert path.name in caught.value.message


def test_files_that_change_while_they_are_read(tmp_path: Path) -> None:
    """A writer rewrites, cuts and removes the file all the while: a picture or a refusal."""
    path = tmp_path / "moving.tif"
    whole = write_scene(path, pixels_of(3, 128, 128, "uint8")).read_bytes()
    done = threading.Event()

    def disturb() -> None:
        rng = np.random.default_rng(2)
        while not done.is_set():
            path.write_bytes(whole[: int(rng.integers(0, len(whole)))])
            path.unlink()
            path.write_bytes(whole)

    writer = threading.Thread(target=disturb)
    writer.start()
    try:
        for _ in range(60):
            for read in (read_image, read_window):
                try:
                    assert read(path).shape == (128, 128, 3)
                except ImageError as error:
                    assert path.name in error.message
    finally:
        done.set()
        writer.join()


def test_loops_of_links_end(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "c").symlink_to(tmp_path / "a" / "b")
    Image.new("RGB", (8, 8)).save(tmp_path / "a" / "b" / "x.png")
    found = find_images([tmp_path])
    assert len({path.resolve() for path in found}) == 1


BATCH = """
import os, resource, sys, time
os.environ["OPENBLAS_NUM_THREADS"] = "1"
from pathlib import Path
from terrahash.archive import open_archive
from terrahash.archive.indexing import index_images
from tests.tiny import tiny_encoder
root = Path(sys.argv[1])
with open_archive(root / "a.terrahash", tiny_encoder()) as archive:
    index_images(archive, [root / "warm"], workers=2)
    before = resource.getrusage(resource.RUSAGE_SELF)
    report = index_images(archive, [root / "bombs"], workers=2)
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert report.added == 0 and len(report.skipped) == int(sys.argv[2]), report
    print(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    print((after.ru_maxrss - before.ru_maxrss) // 1024)
"""


def test_a_batch_of_bombs_takes_little(tmp_path: Path) -> None:
    """Seconds of processor time and MiB of memory, measured in a process of its own."""
    (tmp_path / "warm").mkdir()
    (tmp_path / "bombs").mkdir()
    Image.new("RGB", (32, 32)).save(tmp_path / "warm" / "a.png")
    write_scene(tmp_path / "warm" / "b.tif", pixels_of(3, 64, 64, "uint8"))
    bomb = png_bomb(20_000, 20_000)
    webp = io.BytesIO()
    Image.new("RGB", (16, 16)).save(webp, "WEBP", lossless=True)
    lying = bytearray(webp.getvalue())
    lying[21:25] = struct.pack("<I", (1 << 28) - 1)
    for number in range(20):
        (tmp_path / "bombs" / f"{number}.png").write_bytes(bomb)
        (tmp_path / "bombs" / f"{number}.webp").write_bytes(lying)
    seconds, grown = limited(BATCH, str(tmp_path), "40", gigabytes=6.0).split()
    assert float(seconds) < 40
    assert int(grown) < 400


@pytest.mark.stress
@pytest.mark.parametrize("seed", range(4))
def test_mutations(tmp_path: Path, seed: int) -> None:
    """Bits, bytes and pieces of good files at random: an image or a refusal, in little time."""
    rng = np.random.default_rng(seed)
    corpus = []
    colours = Image.fromarray(pixels_of(3, 24, 24, "uint8").transpose(1, 2, 0))
    for form in ("PNG", "JPEG", "WEBP", "JPEG2000", "GIF", "BMP", "TIFF"):
        for picture in (colours, colours.quantize(16), colours.convert("L")):
            buffer = io.BytesIO()
            (picture.convert("RGB") if form in ("JPEG", "JPEG2000") else picture).save(buffer, form)
            corpus.append(buffer.getvalue())
    for options in ({}, {"compress": "lzw", "predictor": 2}, {"tiled": False}, {"BIGTIFF": "YES"}):
        pixels = pixels_of(3, 64, 64, "uint8")
        corpus.append(write_scene(tmp_path / "seed.tif", pixels, **options).read_bytes())
    path = tmp_path / "mutant.tif"
    for _ in range(2000):
        content = bytearray(corpus[int(rng.integers(len(corpus)))])
        for _ in range(int(rng.integers(1, 8))):
            place = int(rng.integers(len(content)) * rng.random() ** int(rng.integers(0, 4)))
            kind = int(rng.integers(5))
            if kind == 0:
                content[place] ^= 1 << int(rng.integers(8))
            elif kind == 1:
                content[place : place + 4] = rng.bytes(4)
            elif kind == 2:
                content[place : place + 4] = b"\xff" * 4
            elif kind == 3:
                del content[place : place + int(rng.integers(1, 64))]
            else:
                other = corpus[int(rng.integers(len(corpus)))]
                content[place:place] = other[: int(rng.integers(1, 64))]
            content = content or bytearray(b"\0")
        path.write_bytes(content)
        kind_of(path, len(content), None)
        kind_of(path, len(content), Tiling(Length(16)))
        for read in (read_image, read_window):
            try:
                image = read(path)
            except ImageError as error:
                assert path.name in error.message
            else:
                assert image.dtype == np.uint8
                assert image.shape[2] == 3
        outcome(path)
