"""The page in a real browser: every way to query, filters, map, refining, links, export, errors."""

from __future__ import annotations

import csv
import io
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from terrahash.service import Settings
from tests.service.conftest import READ_TOKEN
from tests.service.live import live

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
)  # fmt: skip
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="a browser: apt-get install chromium"),
]
# A busy machine draws slowly; nothing here waits for a fixed time.
PATIENCE = 60_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    with sync_api.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def address(made: Path) -> Iterator[str]:
    with live(Settings(archive=made)) as served:
        yield f"http://{served}/"


class Watched:
    """A page whose complaints and requests are kept.

    Attributes:
        page: the page.
        complaints: errors on the console and uncaught ones.
        elsewhere: requests to other hosts.
    """

    def __init__(self, browser: Browser, address: str, **options: Any) -> None:
        self.address = address
        context = browser.new_context(accept_downloads=True, **options)
        context.set_default_timeout(PATIENCE)
        self.page: Page = context.new_page()
        self.complaints: list[str] = []
        self.elsewhere: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._console)
        self.page.on("request", self._request)

    def _console(self, message: Any) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def _request(self, request: Any) -> None:
        if not request.url.startswith((self.address, "blob:", "data:")):
            self.elsewhere.append(request.url)

    def open(self, state: str = "") -> Page:
        """Go to the page in a state, and wait for its tiles."""
        self.page.goto(self.address + state)
        self.page.wait_for_selector(".card, .empty")
        self.settle()
        return self.page

    def settle(self) -> None:
        """Wait for the answer to the last step."""
        self.page.wait_for_selector('.gallery[aria-busy="false"]')

    def ids(self) -> list[int]:
        """Ids of the tiles in the gallery."""
        numbers: list[int] = self.page.eval_on_selector_all(
            ".card", "cards => cards.map(card => Number(card.dataset.id))"
        )
        return numbers

    def api(self, path: str) -> Any:
        """What the service says."""
        return self.page.evaluate("async path => (await fetch('api/v1/' + path)).json()", path)


@pytest.fixture
def watched(browser: Browser, address: str) -> Iterator[Watched]:
    made = Watched(browser, address, viewport={"width": 1440, "height": 900})
    yield made
    made.page.context.close()
    assert made.complaints == []
    assert made.elsewhere == []


def until(page: Page, expression: str, argument: Any = None) -> None:
    """Wait for an expression; Playwright's own way needs ``eval``, which the page forbids."""
    deadline = time.monotonic() + PATIENCE / 1000
    while not page.evaluate(expression, argument):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(50)


def query_shown(page: Page) -> None:
    page.wait_for_selector(".query-picture")
    page.wait_for_selector('.gallery[aria-busy="false"]')


def test_browse_then_click_a_tile(watched: Watched) -> None:
    page = watched.open()
    assert "80 tiles" in page.inner_text("#title")
    first = watched.ids()[0]
    page.click(".card:first-child .card-main")
    query_shown(page)
    until(page, "document.querySelector('#title').textContent.includes('like')")
    hits = watched.api(f"items/{first}/similar?k=48")["hits"]
    assert watched.ids() == [hit["id"] for hit in hits]
    assert f"id={first}" in page.url
    page.click("#home")
    until(page, "document.querySelector('#title').textContent.includes('look through')")


def test_query_by_file_and_reopen_its_link(watched: Watched, tiles: Path) -> None:
    page = watched.open()
    page.set_input_files("#file", str(tiles / "rows" / "rows02.png"))
    query_shown(page)
    assert page.locator(".query-name").inner_text()
    found = watched.ids()
    assert len(found) == 48
    link = page.url
    assert "code=" in link
    page.goto("about:blank")
    page.goto(link)
    page.wait_for_selector(".card")
    watched.settle()
    assert watched.ids() == found


def test_query_by_drop_and_by_paste(watched: Watched, tiles: Path) -> None:
    page = watched.open()
    data = list((tiles / "checks" / "checks04.png").read_bytes())
    make = """data => {
        const carried = new DataTransfer();
        carried.items.add(new File([new Uint8Array(data)], "a.png", { type: "image/png" }));
        return carried; }"""
    carried = page.evaluate_handle(make, data)
    page.dispatch_event("body", "dragenter", {"dataTransfer": carried})
    page.wait_for_selector("#veil:visible")
    page.dispatch_event("body", "drop", {"dataTransfer": carried})
    query_shown(page)
    assert page.is_hidden("#veil")
    dropped = watched.ids()
    page.click(".query-clear")
    page.wait_for_selector(".query-picture", state="detached")
    page.evaluate(
        """carried => document.dispatchEvent(
            new ClipboardEvent("paste", { clipboardData: carried, bubbles: true }))""",
        carried,
    )
    query_shown(page)
    assert watched.ids() == dropped


def test_a_raster_is_shown_as_the_encoder_saw_it(watched: Watched, tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio", reason="pip install 'terrahash[geo]'")
    path = tmp_path / "scene.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=48, height=48, count=4, dtype="uint16",
        crs="EPSG:32632", transform=rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000),
    ) as file:  # fmt: skip
        file.write(np.random.default_rng(0).integers(0, 9000, (4, 48, 48)).astype(np.uint16))
    page = watched.open()
    page.set_input_files("#file", str(path))
    page.wait_for_selector(".query-picture img[src^='data:']")
    until(page, "document.querySelector('.query-picture img').naturalWidth === 48")
    watched.settle()
    assert "unsure bits count less" in page.inner_text("#facts")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    page.click(".facets label:has-text('rows')")
    until(page, "document.querySelectorAll('.card').length === 20")
    assert not [url for url in sent if "search/image" in url], "the picture was sent again"


def test_a_picture_is_shown_before_its_answer(watched: Watched, tiles: Path) -> None:
    page = watched.open()
    held: list[Any] = []
    page.route("**/search/image*", lambda route: held.append(route))
    page.set_input_files("#file", str(tiles / "rows" / "rows02.png"))
    page.wait_for_selector(".query-picture img")
    assert "Searching" in page.inner_text("#query")
    until(page, "document.querySelector('.query-picture img').naturalWidth === 48")
    page.wait_for_timeout(100)
    held[0].continue_()
    page.wait_for_selector(".query-name")


def test_filters_narrow_and_are_in_the_link(watched: Watched) -> None:
    page = watched.open("#id=1")
    page.click(".facets label:has-text('rows')")
    until(page, "document.querySelectorAll('.card').length === 20")
    assert "label=rows" in page.url
    page.fill("#after", "2023-01-01")
    page.dispatch_event("#after", "change")
    until(page, "document.querySelectorAll('.card').length < 20")
    expected = watched.api("items/1/similar?k=48&label=rows&after=2023-01-01")["hits"]
    assert watched.ids() == [hit["id"] for hit in expected]
    page.go_back()
    until(page, "document.querySelectorAll('.card').length === 20")
    page.click("#clear-filters")
    until(page, "document.querySelectorAll('.card').length === 48")
    page.click("#condition summary")
    page.fill("#where", "label = 'curves'")
    page.press("#where", "Enter")
    until(page, "document.querySelectorAll('.card').length === 20")


def test_radius_page_and_ranking(watched: Watched) -> None:
    page = watched.open("#id=1")
    page.fill("#radius", "2")
    page.dispatch_event("#radius", "change")
    until(page, "location.hash.includes('radius=2')")
    watched.settle()
    near = [hit["id"] for hit in watched.api("items/1/similar?k=48&radius=2")["hits"]]
    until(page, "n => document.querySelectorAll('.card').length === n", len(near))
    assert watched.ids() == near
    page.goto(watched.address + "#id=1&k=24")
    page.reload()
    page.wait_for_selector("#more:visible")
    page.click("#more")
    until(page, "document.querySelectorAll('.card').length === 48")
    assert watched.ids() == [hit["id"] for hit in watched.api("items/1/similar?k=48")["hits"]]
    page.click("#fine")
    until(page, "location.hash.includes('ranking=plain')")


def test_refine_with_thumbs(watched: Watched) -> None:
    page = watched.open("#id=1")
    up, down = watched.ids()[2], watched.ids()[-1]
    page.hover(f".card[data-id='{up}']")
    page.click(f".card[data-id='{up}'] .more-like")
    page.wait_for_selector("#examples:visible")
    page.hover(f".card[data-id='{down}']")
    page.click(f".card[data-id='{down}'] .less")
    until(page, "document.querySelectorAll('#examples li').length === 2")
    assert "refined" in page.inner_text("#title")
    assert f"up={up}" in page.url
    assert f"down={down}" in page.url
    page.click("#examples .text")
    page.wait_for_selector("#examples", state="hidden")


def test_compare_bit_by_bit(watched: Watched) -> None:
    page = watched.open("#id=1")
    page.hover(".card:nth-child(30)")
    page.click(".card:nth-child(30) .side")
    page.wait_for_selector("#compare[open]")
    tile = watched.api("items/1/similar?k=48")["hits"][29]
    told = page.inner_text("#compare-title")
    assert f"{tile['distance']:g} of 13 bits differ" in told
    assert page.locator("#compare .bits-view .differs").count() == tile["distance"]
    for picture in page.locator("#compare .frame img").all():
        picture.evaluate("image => image.decode()")
        assert picture.evaluate("image => image.naturalWidth") == 48
    page.keyboard.press("ArrowRight")
    until(page, "n => document.querySelector('#compare').textContent.includes(n)",
                           "Rank 31")  # fmt: skip
    page.keyboard.press("Escape")
    page.wait_for_selector("#compare[open]", state="detached")


def test_keys_walk_and_act(watched: Watched) -> None:
    page = watched.open("#id=1")
    page.focus(".card:first-child .card-main")
    page.keyboard.press("ArrowRight")
    second = watched.ids()[1]
    focused = "Number(document.activeElement.closest('.card').dataset.id)"
    assert page.evaluate(focused) == second
    page.keyboard.press("c")
    page.wait_for_selector("#compare[open]")
    page.keyboard.press("Escape")
    page.focus(f".card[data-id='{second}'] .card-main")
    page.keyboard.press("u")
    page.wait_for_selector("#examples:visible")
    page.keyboard.press("?")
    page.wait_for_selector("#help[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector("#help[open]", state="detached")


def test_map_and_gallery_keep_step(watched: Watched) -> None:
    page = watched.open("#id=1")
    page.wait_for_selector(".maplibregl-canvas")
    canvas = page.locator(".maplibregl-canvas").bounding_box()
    assert canvas is not None
    page.hover(".card:nth-child(3)")
    page.click(".card:nth-child(3) .where")
    middle = (canvas["x"] + canvas["width"] / 2, canvas["y"] + canvas["height"] / 2)
    # The tile that was asked for comes to the middle of the map, and answers there.
    for _ in range(60):
        page.mouse.move(middle[0] + 3, middle[1] + 3)
        page.wait_for_timeout(250)
        page.mouse.move(middle[0], middle[1])
        if page.locator(".peek").count():
            break
    assert page.locator(".card.on").count() == 1
    assert page.locator(".card.on").get_attribute("data-id") == str(watched.ids()[2])


def test_the_whole_result_comes_back_on_the_map(watched: Watched) -> None:
    page = watched.open("#id=1")
    page.wait_for_selector(".fit")
    scale = "document.querySelector('.maplibregl-ctrl-scale')?.textContent ?? ''"
    until(page, rf"/[0-9]{{3,}}\s*km/.test({scale})")
    page.hover(".card:nth-child(3)")
    page.click(".card:nth-child(3) .where")
    until(page, rf"/\d\s*m$/.test({scale})")
    page.click(".fit")
    until(page, rf"/[0-9]{{3,}}\s*km/.test({scale})")


def test_a_telephone_keeps_the_query_in_sight(browser: Browser, address: str) -> None:
    watched = Watched(browser, address, viewport={"width": 390, "height": 844})
    page = watched.open("#id=1")
    page.wait_for_selector("#mini img:visible")
    page.click("#mini")
    page.wait_for_selector(".query-picture:visible")
    page.context.close()


def test_draw_a_box(watched: Watched) -> None:
    page = watched.open("#id=1")
    page.wait_for_selector(".maplibregl-canvas")
    until(page, "!document.querySelector('#draw').disabled")
    page.wait_for_timeout(1500)
    canvas = page.locator(".maplibregl-canvas").bounding_box()
    assert canvas is not None
    page.click("#draw")
    page.wait_for_selector("#map.drawing")
    x, y = canvas["x"] + canvas["width"] / 2, canvas["y"] + canvas["height"] / 2
    page.mouse.move(x, canvas["y"] + 60)
    page.mouse.down()
    page.mouse.move(canvas["x"] + canvas["width"] - 60, y, steps=4)
    page.mouse.up()
    page.wait_for_selector("#box:visible")
    watched.settle()
    box = page.evaluate("new URLSearchParams(location.hash.slice(1)).get('bbox')")
    west, south, east, north = map(float, box.split(","))
    assert west < east
    assert south < north
    expected = watched.api(f"items/1/similar?k=48&bbox={box}")["hits"]
    until(page, "n => document.querySelectorAll('.card').length === n",
                           max(1, len(expected)))  # fmt: skip
    assert 0 < len(expected) < 80


def test_export_is_what_is_shown(watched: Watched, tmp_path: Path) -> None:
    page = watched.open("#id=1&k=24")
    saved = {}
    for format_ in ("csv", "geojson", "stac", "png"):
        page.click("#export")
        with page.expect_download() as waiting:
            page.click(f"[data-format={format_}]")
        path = tmp_path / format_
        waiting.value.save_as(path)
        saved[format_] = path
    ids = watched.ids()
    rows = list(csv.DictReader(io.StringIO(saved["csv"].read_text())))
    assert [int(row["id"]) for row in rows] == ids
    features = json.loads(saved["geojson"].read_text())["features"]
    assert [feature["id"] for feature in features] == ids
    assert all(feature["geometry"]["type"] == "Polygon" for feature in features)
    items = json.loads(saved["stac"].read_text())["features"]
    assert all(one["stac_version"] and one["assets"]["image"]["href"] for one in items)
    with Image.open(saved["png"]) as picture:
        assert picture.width > 1000


def test_errors_are_told_with_a_remedy(browser: Browser, address: str, tmp_path: Path) -> None:
    watched = Watched(browser, address)
    page = watched.open()
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"not a picture")
    page.set_input_files("#file", str(bad))
    page.wait_for_selector("#notice:visible")
    assert "known format" in page.inner_text("#notice")
    page.click("#condition summary")
    page.fill("#where", "nothing = 1")
    page.press("#where", "Enter")
    until(page, "document.querySelector('#notice').textContent.includes('nothing')")
    page.goto(address + "#id=999999")
    page.reload()
    until(page, "document.querySelector('#notice').textContent.includes('999999')")
    page.context.close()


def test_a_way_out_of_every_dead_end(browser: Browser, address: str) -> None:
    watched = Watched(browser, address)
    page = watched.open("#id=1&label=rows&radius=0&after=2300-01-01")
    page.wait_for_selector(".empty")
    assert page.locator(".facets input:checked").count() == 1
    page.click(".empty button:has-text('Any radius')")
    until(page, "!location.hash.includes('radius')")
    page.wait_for_selector(".empty")
    page.click(".empty button:has-text('Clear the filters')")
    page.wait_for_selector(".card")
    page.goto(address + "#id=999999&where=nothing+%3D+1")
    page.reload()
    page.click("#notice button:has-text('Remove the condition')")
    until(page, "document.querySelector('#notice').textContent.includes('999999')")
    page.click("#notice button:has-text('Start over')")
    until(page, "document.querySelector('#title').textContent.includes('80 tiles')")
    page.context.close()


def test_archives_without_tiles_pictures_encoder_or_places(
    browser: Browser, tmp_path: Path
) -> None:
    from terrahash.archive import Archive
    from terrahash.codes import CodeLayout

    path = tmp_path / "bare"
    with Archive.create(path, CodeLayout(64)) as archive, live(Settings(archive=path)) as served:
        watched = Watched(browser, f"http://{served}/")
        page = watched.page
        page.goto(watched.address)
        page.wait_for_selector(".empty")
        assert "No tiles yet" in page.inner_text(".empty")
        assert watched.complaints == []
        archive.add_codes(np.arange(80, dtype=np.uint8).reshape(10, 8))
        page.goto("about:blank")
        page = watched.open("#id=1")
        assert watched.ids()[0] == 1
        page.wait_for_selector(".card:first-child svg.bits")
        page.wait_for_selector(".query-picture svg.bits")
        assert page.is_disabled("#choose")
        # No tile has a place: no map, and no filter by area.
        assert page.is_hidden("#place")
        assert page.is_hidden("#area")
        assert "like tile 1" in page.inner_text("#title")
        page.hover(".card:nth-child(2)")
        page.click(".card:nth-child(2) .side")
        page.wait_for_selector("#compare .frame svg.bits")
        page.context.close()


def test_a_guarded_page_asks_for_the_token(browser: Browser, made: Path) -> None:
    with live(Settings(archive=made, token=READ_TOKEN)) as served:
        watched = Watched(browser, f"http://{served}/")
        page = watched.page
        page.goto(watched.address)
        page.wait_for_selector("#sign-in[open]")
        page.fill("#token", "wrong")
        page.press("#token", "Enter")
        page.wait_for_selector("#sign-in-error:visible")
        page.fill("#token", READ_TOKEN)
        page.press("#token", "Enter")
        page.wait_for_selector(".card")
        page.locator(".card img").first.evaluate("image => image.decode()")
        page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_no_serious_accessibility_fault(
    browser: Browser, address: str, scheme: Any, width: int
) -> None:
    watched = Watched(
        browser, address, viewport={"width": width, "height": 844}, color_scheme=scheme,
        bypass_csp=True,
    )  # fmt: skip
    page = watched.open("#id=1")
    page.add_script_tag(path=str(AXE))
    views = ["panel", "results", "place"] if width < 720 else ["all"]
    faults = []
    for view in views:
        if view != "all":
            page.click(f"#tabs [data-view={view}]")
        faults += _serious(page)
    if width > 720:
        page.hover(".card:nth-child(3)")
        page.click(".card:nth-child(3) .side")
        page.wait_for_selector("#compare[open]")
        faults += _serious(page)
        page.keyboard.press("Escape")
        page.click("#help-open")
        faults += _serious(page)
    page.context.close()
    assert faults == []


def _serious(page: Page) -> list[str]:
    found = page.evaluate("async () => (await axe.run()).violations")
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:200]} {one['nodes'][0]['failureSummary']}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


def test_a_tile_s_text_is_never_markup(browser: Browser, made: Path, tmp_path: Path) -> None:
    from terrahash.archive import open_archive

    path = tmp_path / "hostile"
    shutil.copytree(made, path)
    text = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    with open_archive(path) as archive:
        archive.update([1, 2], labels=[text, text], columns={"note": [text, None]})
    with live(Settings(archive=path)) as served:
        watched = Watched(browser, f"http://{served}/")
        page = watched.open("#id=1")
        page.hover(".card:nth-child(1)")
        page.click(".card:nth-child(1) .side")
        page.wait_for_selector("#compare[open]")
        assert page.locator(".card-name").first.inner_text()
        assert "owned" not in page.title()
        assert page.locator(".card-name img, .card-name script").count() == 0
        page.context.close()
