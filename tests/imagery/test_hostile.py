"""Broken and hostile files: refused or skipped by name, in bounded time and memory."""

from __future__ import annotations

import contextlib
import io
import resource
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from terrahash.errors import ImageError
from terrahash.imagery import Length, Tiling, read_image
from terrahash.imagery.clock import Clock
from terrahash.imagery.cutting import BlankError, WindowError, read_tiles
from terrahash.imagery.gdal import opened
from terrahash.imagery.inputs import Kind, kind_of
from terrahash.imagery.rendering import Rendering
from terrahash.imagery.scaling import Scaling
from terrahash.imagery.scene import Scene
from terrahash.imagery.tiff import tags
from tests.imagery.conftest import MakeScene, pixels_of, write_scene

SIDE = 64
# What one broken file may take on a busy machine.
MOST_SECONDS = 10.0


def cut_all(path: Path) -> tuple[int, int]:
    """How many tiles were read and how many could not be."""
    tiling = Tiling(Length(SIDE))
    kind_of(path, path.stat().st_size, tiling)
    scene = Scene.open(str(path))
    grid = tiling.grid(scene.width, scene.height, scene.place, path.name)
    rendering = Rendering.of(scene, (), Scaling())
    if scene.place is not None:
        scene.place.footprints(grid.windows())
    good = bad = 0
    for row in read_tiles(rendering, grid.windows(), shown=SIDE, clock=Clock()):
        for tile in row:
            try:
                tile.image(rendering, SIDE, 0.0)
                good += 1
            except BlankError:
                good += 1
            except WindowError:
                bad += 1
    return good, bad


def outcome(path: Path) -> tuple[int, int] | str:
    started = time.monotonic()
    try:
        return cut_all(path)
    except ImageError as error:
        assert path.name in error.message
        return error.message
    finally:
        assert time.monotonic() - started < MOST_SECONDS


LAYOUTS: dict[str, dict[str, Any]] = {
    "deflate": {},
    "lzw-predictor": {"compress": "lzw", "predictor": 2},
    "zstd-pixel": {"compress": "zstd", "interleave": "pixel"},
    "strips": {"tiled": False, "compress": "deflate"},
    "raw": {"compress": None},
    "jpeg": {"compress": "jpeg", "photometric": "ycbcr", "interleave": "pixel"},
    "big": {"BIGTIFF": "YES"},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_truncated_at_every_tenth(make_scene: MakeScene, layout: str) -> None:
    path = make_scene("cut.tif", pixels_of(3, 256, 256, "uint8"), overviews=(2,), **LAYOUTS[layout])
    whole = path.read_bytes()
    assert outcome(path) == (16, 0)
    for tenth in range(10):
        path.write_bytes(whole[: len(whole) * tenth // 10])
        found = outcome(path)
        if isinstance(found, tuple):
            assert sum(found) == 16


@pytest.mark.parametrize("layout", LAYOUTS)
def test_flipped_bits(make_scene: MakeScene, layout: str) -> None:
    path = make_scene("bits.tif", pixels_of(3, 256, 256, "uint8"), **LAYOUTS[layout])
    whole = path.read_bytes()
    rng = np.random.default_rng(7)
    for _ in range(25):
        content = bytearray(whole)
        # Half of them where the header and the tags are.
        for place in (int(rng.integers(0, 400)), int(rng.integers(0, len(content)))):
            content[place] ^= 1 << int(rng.integers(0, 8))
        path.write_bytes(content)
        outcome(path)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "JPEG2000", "GIF", "BMP"])
def test_pictures_with_flipped_bits_and_cut_short(tmp_path: Path, form: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(pixels_of(3, 64, 64, "uint8").transpose(1, 2, 0)).save(buffer, form)
    whole = buffer.getvalue()
    rng = np.random.default_rng(3)
    path = tmp_path / "odd.jp2"
    for attempt in range(40):
        content = bytearray(whole)
        if attempt % 2:
            content = content[: len(content) * (attempt // 2) // 20]
        else:
            content[int(rng.integers(0, len(content)))] ^= 1 << int(rng.integers(0, 8))
        path.write_bytes(content)
        with contextlib.suppress(ImageError):
            read_image(path)
        kind_of(path, len(content), None)
        kind_of(path, len(content), Tiling(Length(16)))


def tiff_of(entries: dict[int, tuple[str, int]], data: bytes = b"") -> bytes:
    """A little-endian TIFF of one-valued tags; its data begins at byte 8."""
    kinds = {"H": 3, "I": 4}
    place = 8 + len(data)
    body = struct.pack("<H", len(entries))
    for tag, (form, value) in sorted(entries.items()):
        body += struct.pack("<HHI", tag, kinds[form], 1) + struct.pack("<" + form, value).ljust(
            4, b"\0"
        )
    return b"II*\0" + struct.pack("<I", place) + data + body + struct.pack("<I", 0)


def plain_tags(width: int, height: int, **more: Any) -> dict[int, tuple[str, int]]:
    return {
        256: ("I", width), 257: ("I", height), 258: ("H", 8), 259: ("H", 1), 262: ("H", 1),
        273: ("I", 8), 277: ("H", 1), 278: ("I", height), 279: ("I", 16),
    } | more.get("tags", {})  # fmt: skip


@pytest.mark.parametrize(
    ("width", "height"),
    [(0, 0), (0, 64), (64, 0), (2**31 - 1, 2**31 - 1), (2**32 - 1, 1), (2**18, 2**18 + 1)],
)
def test_absurd_dimensions(tmp_path: Path, width: int, height: int) -> None:
    path = tmp_path / "absurd.tif"
    path.write_bytes(tiff_of(plain_tags(width, height), b"\0" * 16))
    assert isinstance(outcome(path), str)
    with pytest.raises(ImageError, match="absurd"):
        read_image(path)


def test_no_bands_and_too_many(tmp_path: Path) -> None:
    path = tmp_path / "bands.tif"
    for samples in (0, 65535):
        path.write_bytes(tiff_of(plain_tags(64, 64, tags={277: ("H", samples)}), b"\0" * 16))
        outcome(path)


def test_directories_that_loop_or_lead_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "loop.tif"
    content = bytearray(tiff_of(plain_tags(64, 64), b"\0" * 16))
    content[-4:] = struct.pack("<I", 24)
    path.write_bytes(content)
    outcome(path)
    for head in (b"II*\0", b"II*\0\xff\xff\xff\xff", b"II+\0\x08\0\0\0" + b"\xff" * 8, b"MM\0*"):
        path.write_bytes(head)
        tags(path)
        assert isinstance(outcome(path), str)
    path.write_bytes(b"II*\0\x08\0\0\0\xff\xff" + b"\x01" * 100)
    assert isinstance(outcome(path), str)


def limited(code: str, *arguments: str, gigabytes: float = 3.0) -> str:
    """Run code in a process with little memory."""

    def limit() -> None:
        size = int(gigabytes * 2**30)
        resource.setrlimit(resource.RLIMIT_AS, (size, size))

    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True,
        preexec_fn=limit, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


READ = """
import os, resource, sys, time
os.environ["OPENBLAS_NUM_THREADS"] = "1"
from pathlib import Path
from terrahash.errors import ImageError
from terrahash.imagery import read_image
from terrahash.imagery.scene import Scene
from terrahash.imagery import gdal
import numpy
gdal.rasterio()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for name in sys.argv[1:]:
    for read in (lambda: read_image(Path(name)), lambda: Scene.open(name)):
        try:
            read()
        except ImageError as error:
            print("refused", error.message.split(": ", 1)[1][:60])
        else:
            print("read")
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print("grown", grown // 1024)
"""


def png_bomb(width: int, height: int) -> bytes:
    """A PNG whose pixels pack a thousandfold."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    packer = zlib.compressobj(1)
    rows = b"".join(packer.compress(b"\0" * (width * 3 + 1)) for _ in range(min(height, 2000)))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", rows + packer.flush())
        + chunk(b"IEND", b"")
    )


def test_bombs(tmp_path: Path) -> None:
    png = tmp_path / "bomb.png"
    png.write_bytes(png_bomb(20_000, 20_000))
    text = tmp_path / "text.png"
    text.write_bytes(png_bomb(64, 64)[:33] + _compressed_text() + png_bomb(64, 64)[33:])
    webp = tmp_path / "bomb.webp"
    Image.new("RGB", (16, 16)).save(webp, lossless=True)
    content = bytearray(webp.read_bytes())
    content[21:25] = struct.pack("<I", (1 << 28) - 1)
    webp.write_bytes(content)
    sparse = write_sparse(tmp_path / "sparse.tif", 200_000)
    block = write_sparse(tmp_path / "block.tif", 16_384, tiled=False, blockysize=16_384)
    jpeg = tmp_path / "jpeg.tif"
    jpeg.write_bytes(jpeg_in_tiff(60_000))
    out = limited(READ, *map(str, (png, webp, sparse, block, jpeg, text))).splitlines()
    read = [number for number, line in enumerate(out[:-1]) if not line.startswith("refused")]
    # GDAL reads the one huge strip row by row, and passes over the text of the last file.
    assert set(read) <= {7, 11}, out
    assert int(out[-1].removeprefix("grown ")) < 400


def _compressed_text() -> bytes:
    data = b"Comment\0\0" + zlib.compress(b"\0" * (64 << 20), 1)
    return (
        struct.pack(">I", len(data))
        + b"zTXt"
        + data
        + struct.pack(">I", zlib.crc32(b"zTXt" + data))
    )


def write_sparse(path: Path, side: int, **options: Any) -> Path:
    """A GeoTIFF that claims many pixels and holds none."""
    import rasterio

    profile = {"tiled": True, "blockxsize": 512, "blockysize": 512} | options
    with rasterio.open(
        path, "w", driver="GTiff", width=side, height=side, count=3, dtype="uint8", sparse_ok=True,
        crs="EPSG:3857", transform=rasterio.Affine(2, 0, 0, 0, -2, 0), compress="deflate",
        BIGTIFF="YES", interleave="pixel", **profile,
    ):  # fmt: skip
        pass
    return path


def jpeg_in_tiff(side: int) -> bytes:
    """A TIFF of one strip that is a JPEG of other dimensions than the TIFF says."""
    buffer = io.BytesIO()
    Image.new("L", (64, 64)).save(buffer, "JPEG")
    data = bytearray(buffer.getvalue())
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", side, side)
    entries = plain_tags(side, side, tags={259: ("H", 7), 279: ("I", len(data))})
    return tiff_of(entries, bytes(data))


def test_values_that_are_no_numbers(make_scene: MakeScene) -> None:
    pixels = np.full((3, 128, 128), np.nan, np.float32)
    assert outcome(make_scene("nan.tif", pixels)) == (4, 0)
    pixels[:, ::2] = np.inf
    pixels[:, ::4] = -np.inf
    assert outcome(make_scene("inf.tif", pixels)) == (4, 0)
    pixels[:, 5] = 3e38
    assert outcome(make_scene("max.tif", pixels)) == (4, 0)


def test_an_unknown_crs_is_no_place(make_scene: MakeScene) -> None:
    path = make_scene("crs.tif", pixels_of(3, 64, 64))
    content = path.read_bytes()
    code = struct.pack("<H", 32632)
    assert code in content
    path.write_bytes(content.replace(code, struct.pack("<H", 32999)))
    assert Scene.open(str(path)).place is None


VRT = """<VRTDataset rasterXSize="64" rasterYSize="64"><VRTRasterBand dataType="Byte" band="1">
<SimpleSource><SourceFilename relativeToVRT="0">{0}</SourceFilename><SourceBand>1</SourceBand>
</SimpleSource></VRTRasterBand></VRTDataset>"""


@contextlib.contextmanager
def listener() -> Iterator[tuple[str, list[str]]]:
    """A server that notes who calls."""
    calls: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            calls.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", calls
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("suffix", [".tif", ".vrt", ".jp2", ".png", ".xml"])
def test_files_that_point_elsewhere_stay_closed(tmp_path: Path, suffix: str) -> None:
    secret = write_scene(tmp_path / "secret.tif", pixels_of(1, 64, 64, "uint8"))
    path = tmp_path / f"vrt{suffix}"
    with listener() as (address, calls):
        for target in (str(secret), f"/vsicurl/{address}/a.tif", "/etc/passwd"):
            path.write_text(VRT.format(target))
            assert isinstance(outcome(path), str)
            with pytest.raises(ImageError, match="vrt"):
                read_image(path)
        path.write_text(f'<GDAL_WMS><Service name="TMS"><ServerUrl>{address}</ServerUrl>'
                        "</Service></GDAL_WMS>")  # fmt: skip
        assert isinstance(outcome(path), str)
        assert calls == []


@pytest.mark.parametrize("name", ["/vsicurl/http://127.0.0.1:1/a.tif", "/vsizip/a.zip/b.tif"])
def test_file_systems_of_gdal_stay_closed(name: str) -> None:
    with pytest.raises(ImageError, match="/vsi"):
        Scene.open(name)


def test_files_beside_are_not_opened(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "a.tif", pixels_of(3, 256, 256, "uint8"), crs=None)
    secret = write_scene(tmp_path / "secret.tif", pixels_of(3, 64, 64, "uint8"))
    with listener() as (address, calls):
        remote = VRT.format(f"/vsicurl/{address}/a.tif")
        for beside in ("a.tif.ovr", "a.tif.msk", "a.ovr"):
            (tmp_path / beside).write_text(remote)
        (tmp_path / "a.tif.aux.xml").write_text(
            "<PAMDataset><Metadata domain='OVERVIEWS'>"
            f"<MDI key='OVERVIEW_FILE'>{secret}</MDI></Metadata></PAMDataset>"
        )
        (tmp_path / "a.tfw").write_text("10\n0\n0\n-10\n500000\n5500000\n")
        scene = Scene.open(str(path))
        assert (scene.overviews, scene.mask, scene.place) == ((), "", None)
        assert outcome(path) == (16, 0)
        assert calls == []


@pytest.mark.parametrize("remote", [True, False])
def test_overviews_in_another_file_are_refused(tmp_path: Path, remote: bool) -> None:
    import rasterio

    path = write_scene(tmp_path / "a.tif", pixels_of(3, 256, 256, "uint8"))
    secret = write_scene(tmp_path / "secret.tif", pixels_of(3, 64, 64, "uint8"))
    with listener() as (address, calls):
        target = f"/vsicurl/{address}/a.tif" if remote else str(secret)
        with rasterio.open(path, "r+") as dataset:
            dataset.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=target)
        assert b"OVERVIEW_FILE" in path.read_bytes()
        found = outcome(path)
        assert isinstance(found, str)
        assert "other files" in found
        assert calls == []


def test_the_network_is_closed_while_a_file_is_open(make_scene: MakeScene) -> None:
    import rasterio

    path = make_scene("a.tif", pixels_of(1, 64, 64, "uint8"))
    with listener() as (address, calls), opened(str(path)):
        with pytest.raises(rasterio.errors.RasterioIOError):
            rasterio.open(f"/vsicurl/{address}/a.tif")
        assert calls == []


def test_headers_that_fuzzing_found(tmp_path: Path) -> None:
    path = tmp_path / "found.tif"
    signature = b"\0\0\0\x0cjP  \r\n\x87\n"
    for content in (
        b"II+\0\x08\0\0\0" + b"\xff" * 7 + b"\x7f",
        signature + b"\0\0\0\1ftyp" + b"\x7f" + b"\xff" * 7 + b"\0" * 300_000,
        signature + b"\0\0\0\1jp2h" + b"\x7f" + b"\xff" * 7 + b"\0" * 300_000,
    ):
        path.write_bytes(content)
        kind_of(path, len(content), None)
        assert isinstance(outcome(path), str)
        with pytest.raises(ImageError):
            read_image(path)


def test_kinds(make_scene: MakeScene, tmp_path: Path) -> None:
    placed = make_scene("a.tif", pixels_of(3, 64, 64))
    assert kind_of(placed, 1, None) is Kind.PLACED
    assert kind_of(placed, 1, Tiling(Length(32))) is Kind.SCENE
    assert kind_of(placed, 1, Tiling(Length(64))) is Kind.PLACED
    plain = tmp_path / "b.tif"
    Image.new("RGB", (64, 64)).save(plain)
    assert kind_of(plain, 1, None) is Kind.PICTURE
    assert kind_of(plain, 1, Tiling(Length(32))) is Kind.SCENE
    large = make_scene("c.tif", pixels_of(1, 1100, 64))
    assert kind_of(large, 1, None) is Kind.SCENE
    assert kind_of(large, 1, Tiling(Length(8), bands=())) is Kind.SCENE
