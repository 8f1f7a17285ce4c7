"""The map of an archive in a real browser: drawn, looked at closely, clicked, read by machines."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from terrahash.archive import Archive
from terrahash.archive.map import write_map
from terrahash.archive.thumbnails import COLUMN, encode
from tests.service.test_page import AXE, CHROMIUM, FLAGS

from .conftest import LAYOUT, random_codes

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="a browser: apt-get install chromium"),
]
RED = (214, 40, 40)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("map")
    with Archive.create(folder / "a.terrahash", LAYOUT) as archive:
        keeper = archive.keeper(64)
        assert keeper is not None
        image = encode(np.full((64, 64, 3), RED, np.uint8), 64)
        names = keeper.keep([image, None, None, None])
        keeper.close()
        archive.add_codes(
            random_codes(4),
            sources=["one.tif", "</script><b>two.tif", "three.tif", "four.tif"],
            labels=["harbor", "ice", "ice", None],
            bboxes=[(9, 49, 11, 51), (-10, 30, -9, 31), (20, 60, 20.01, 60.01), (5, 40, 7, 42)],
            columns={COLUMN: names},
        )
        write_map(archive, folder / "map.html")
    return folder / "map.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    assert shutil.which(CHROMIUM or "")
    with sync_api.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(params=["light", "dark"])
def page(browser: Browser, written: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    context = browser.new_context(
        viewport={"width": 1000, "height": 700}, color_scheme=request.param
    )
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: said.type == "error" and complaints.append(said.text))
    page.on("request", lambda asked: asked.url.startswith("http") and complaints.append(asked.url))
    page.goto(written.as_uri())
    page.wait_for_function("!waiting")
    yield page
    context.close()
    assert complaints == []


def pixel(page: Page, longitude: float, latitude: float) -> list[int]:
    """Colour of the map at a place."""
    found: list[int] = page.evaluate(
        "([v, u]) => { paint(); return [...pen.getImageData("
        "toX(v) * devicePixelRatio, toY(u) * devicePixelRatio, 1, 1).data.slice(0, 3)] }",
        [longitude, latitude],
    )
    return found


def test_land_sea_and_footprints_differ(page: Page) -> None:
    land, sea, tile = pixel(page, 3, 47), pixel(page, -7, 47), pixel(page, 10, 50)
    assert len({tuple(colour) for colour in (land, sea, tile)}) == 3
    page.evaluate("[lon, lat] = [-7, 47]; zoom = 2000")
    assert pixel(page, -7.1, 47.1) != sea, "a coarse coastline is not shown closely"


def test_a_click_tells_of_a_tile(page: Page) -> None:
    x, y = page.evaluate("[toX(10), toY(50)]")
    page.mouse.move(x, y)
    page.wait_for_selector("#tip:visible")
    assert page.inner_text("#tip") == "harbor · one.tif"
    page.mouse.click(x, y)
    page.wait_for_selector("#about:visible")
    assert "one.tif" in page.inner_text("#about")
    assert page.evaluate("$('picture').decode().then(() => $('picture').naturalWidth)") == 64
    page.keyboard.press("Escape")
    assert page.is_hidden("#about")
    x, y = page.evaluate("[toX(-9.5), toY(30.5)]")
    page.mouse.click(x, y)
    assert "</script><b>two.tif" in page.inner_text("#about")
    assert page.is_hidden("#picture")


def test_labels_can_be_hidden(page: Page) -> None:
    shown = pixel(page, 10, 50)
    page.click("#legend label:has-text('harbor')")
    assert pixel(page, 10, 50) != shown
    assert page.evaluate("at(toX(10), toY(50))") == -1
    page.dblclick("#legend label:has-text('ice')")
    assert page.evaluate("[...hidden].length") == 2


def test_tiny_footprints_are_seen(page: Page) -> None:
    before = pixel(page, 20.005, 60.005)
    page.click("#legend label:has-text('ice')")
    assert pixel(page, 20.005, 60.005) != before


def test_moving_and_zooming(page: Page) -> None:
    zoom, lon = page.evaluate("[zoom, lon]")
    page.mouse.move(500, 350)
    page.mouse.wheel(0, -300)
    page.wait_for_function(f"zoom > {zoom} * 1.5")
    page.mouse.down()
    page.mouse.move(600, 350)
    page.mouse.up()
    assert page.evaluate("lon") < lon
    page.keyboard.press("0")
    assert page.evaluate("[zoom, lon]") == pytest.approx([zoom, lon])


def test_machines_can_read_it(page: Page) -> None:
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run().then(r => r.violations.map(v => v.id + ': ' + v.help))")
    assert found == []
