"""Take the pictures of docs/service.md from a running service of the demo's scenes.

    terrahash serve --demo --port 8123
    python scripts/screenshots.py http://127.0.0.1:8123/ PICTURE docs/images

Needs playwright and Debian's chromium.
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
]  # fmt: skip
DESKTOP: ViewportSize = {"width": 1360, "height": 820}
PHONE: ViewportSize = {"width": 390, "height": 820}
Scheme = Literal["dark", "light"]
# Until the map has been drawn, milliseconds; and for anything else, on a busy machine.
DRAWN = 4000
PATIENCE = 120_000
# Colours of the page itself, which cover flat areas; the rest of 256 is for pictures.
FLAT = 72
# Those of small dots and lines: how precise an answer is expected to be.
SMALL = ((183, 121, 31), (179, 65, 47), (229, 180, 84), (240, 138, 118), (194, 65, 12))


def main(address: str, picture: str, target: str) -> None:
    """Write one PNG for each state."""
    folder = Path(target)
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = opened(browser, address, "light")
        page.set_input_files("#file", picture)
        page.wait_for_selector(".query-picture img")
        page.wait_for_timeout(DRAWN)
        save(page, folder / "service-search.png")
        page = opened(browser, address + "#id=300&k=200", "dark")
        for number in (2, 4):
            page.hover(f".card:nth-child({number})")
            page.click(f".card:nth-child({number}) .more-like")
            page.wait_for_timeout(1500)
        page.hover(".card:nth-child(5)")
        page.click(".card:nth-child(5) .where")
        page.wait_for_timeout(DRAWN)
        save(page, folder / "service-map.png")
        page = opened(browser, address + "#id=300&where=label+!%3D+'freeway'", "light")
        page.hover(".card:nth-child(2)")
        page.click(".card:nth-child(2) .side")
        page.wait_for_timeout(1500)
        save(page, folder / "service-compare.png")
        page = opened(browser, address + "#id=300", "dark", PHONE)
        page.wait_for_timeout(DRAWN)
        save(page, folder / "service-narrow.png")
        browser.close()


def opened(
    browser: Browser, address: str, scheme: Scheme, viewport: ViewportSize = DESKTOP
) -> Page:
    """A page whose tiles are there."""
    context = browser.new_context(viewport=viewport, color_scheme=scheme)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector(".card")
    page.wait_for_timeout(1000)
    return page


def save(page: Page, path: Path) -> None:
    """A PNG of few colours: small enough for a repository, exact where areas are flat."""
    with Image.open(io.BytesIO(page.screenshot())) as shot:
        image = shot.convert("RGB")
    counted = sorted(image.getcolors(image.width * image.height) or [], reverse=True)[:FLAT]
    kept = [*(colour for _, colour in counted), *SMALL]
    palette = [part for colour in kept for part in colour]
    palette += (image.quantize(256 - len(kept)).getpalette() or [])[: 768 - len(palette)]
    chosen = Image.new("P", (1, 1))
    chosen.putpalette(palette)
    image.quantize(palette=chosen, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
