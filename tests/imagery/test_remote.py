"""Scenes behind http, from servers that fail, stall and lie."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from terrahash.errors import ImageError
from terrahash.imagery import Length, Tiling, gdal, read_window
from terrahash.imagery.clock import Clock
from terrahash.imagery.cutting import read_tiles
from terrahash.imagery.rendering import Rendering
from terrahash.imagery.scaling import Scaling
from terrahash.imagery.scene import Scene
from tests.imagery.conftest import write_scene
from tests.imagery.server import Behaviour, serving

SIDE = 128


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a scene of noise, whose blocks do not pack."""
    folder = tmp_path_factory.mktemp("served")
    noise = np.random.default_rng(0).integers(0, 256, (3, 1024, 1024), dtype=np.uint8)
    write_scene(folder / "a.tif", noise, interleave="pixel")
    return folder


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time-outs that a test can wait for; nothing remembered of other servers."""
    options = {
        "GDAL_HTTP_LOW_SPEED_TIME": 1, "GDAL_HTTP_TIMEOUT": 5, "GDAL_HTTP_RETRY_DELAY": 0.05,
    }  # fmt: skip
    for name, value in options.items():
        monkeypatch.setitem(gdal._REMOTE, name, value)


def tiles(source: str, windows: np.ndarray | None = None) -> dict[tuple[int, ...], np.ndarray]:
    scene = Scene.open(source)
    grid = Tiling(Length(SIDE)).grid(scene.width, scene.height, scene.place, source)
    rendering = Rendering.of(scene, (), Scaling())
    windows = grid.windows() if windows is None else windows
    rows = read_tiles(rendering, windows, shown=SIDE, clock=Clock())
    return {tile.window: tile.image(rendering, SIDE, 0) for row in rows for tile in row}


def same(source: str, folder: Path) -> bool:
    here, there = tiles(str(folder / "a.tif")), tiles(source)
    return here.keys() == there.keys() and all(
        np.array_equal(image, there[window]) for window, image in here.items()
    )


def test_only_the_bytes_that_are_needed(folder: Path) -> None:
    behaviour = Behaviour()
    with serving(folder, behaviour) as address:
        assert same(f"{address}/a.tif", folder)
    size = (folder / "a.tif").stat().st_size
    assert behaviour.sent <= 1.3 * size
    assert behaviour.requests < 60
    behaviour = Behaviour()
    with serving(folder, behaviour) as address:
        found = tiles(f"{address}/a.tif", np.array([[256, 256, 128, 128], [384, 256, 128, 128]]))
    assert len(found) == 2
    # Two blocks of 64, and the header once.
    assert behaviour.sent <= 1.3 * size * 2 / 64 + gdal._REMOTE["GDAL_INGESTED_BYTES_AT_OPEN"]


@pytest.mark.parametrize("every", [10, 4])
def test_a_server_that_fails_now_and_then(folder: Path, every: int) -> None:
    with serving(folder, Behaviour(fail_every=every)) as address:
        assert same(f"{address}/a.tif", folder)


def test_connections_that_break(folder: Path) -> None:
    with serving(folder, Behaviour(cut_every=5)) as address:
        assert same(f"{address}/a.tif", folder)


@pytest.mark.parametrize("after", [0, 3])
def test_a_server_that_stalls_is_given_up(folder: Path, after: int) -> None:
    started = time.monotonic()
    with (
        serving(folder, Behaviour(stall=30, stall_after=after)) as address,
        pytest.raises(ImageError, match="127"),
    ):
        tiles(f"{address}/a.tif")
    assert time.monotonic() - started < 40


@pytest.mark.parametrize("lie", [1 << 40, 1000, -1000, -200_000])
def test_a_server_that_lies_about_sizes(folder: Path, lie: int) -> None:
    started = time.monotonic()
    with serving(folder, Behaviour(lie=lie)) as address:
        try:
            found = tiles(f"{address}/a.tif")
        except ImageError as error:
            assert "a.tif" in error.message
        else:
            here = tiles(str(folder / "a.tif"))
            assert all(np.array_equal(image, here[window]) for window, image in found.items())
    assert time.monotonic() - started < 40


def test_a_server_that_is_not_there_or_lacks_the_file(folder: Path) -> None:
    with serving(folder, Behaviour()) as address, pytest.raises(ImageError, match=r"b\.tif"):
        tiles(f"{address}/b.tif")
    with pytest.raises(ImageError, match=r"c\.tif"):
        tiles(f"{address}/c.tif")


def test_s3(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    behaviour = Behaviour()
    with serving(folder.parent, behaviour) as address:
        monkeypatch.setenv("AWS_S3_ENDPOINT", address.removeprefix("http://"))
        monkeypatch.setenv("AWS_HTTPS", "NO")
        monkeypatch.setenv("AWS_VIRTUAL_HOSTING", "FALSE")
        monkeypatch.setenv("AWS_NO_SIGN_REQUEST", "YES")
        assert same(f"s3://{folder.name}/a.tif", folder)
    assert f"/{folder.name}/a.tif" in behaviour.paths


def test_only_the_address_that_was_given_is_reached(folder: Path) -> None:
    import rasterio

    behaviour = Behaviour()
    with serving(folder, behaviour) as address, gdal.opened(f"{address}/a.tif"):
        before = behaviour.requests
        with pytest.raises(rasterio.errors.RasterioIOError):
            rasterio.open(f"/vsicurl/{address}/other.tif")
        assert behaviour.requests == before


def test_a_window_is_shown_from_afar(folder: Path) -> None:
    with serving(folder, Behaviour()) as address:
        shown = read_window(f"{address}/a.tif", (100, 50, 64, 64))
    np.testing.assert_array_equal(shown, read_window(folder / "a.tif", (100, 50, 64, 64)))
