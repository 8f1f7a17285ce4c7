"""How long after a picture is dropped on the page its first answers are on the screen.

    python benchmarks/first_answer.py --model MODEL --pictures FOLDER --tiles 1000000 --drops 15

Makes an archive of seeded random codes whose tiles are windows of a folder's pictures, serves it,
opens the page in headless Chromium (all on the same machine) and drops one picture after another.
Prints one JSON object: medians over the drops of the milliseconds until the first tile is there,
until its picture is painted, and until every picture in the window is; and, as the service measured
them, of encoding and search.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import sync_playwright

from terrahash.archive import Archive
from terrahash.encoder import Encoder
from terrahash.imagery import find_images

SERVE = "from terrahash.cli import main; main()"
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
    "--disable-background-networking", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
)  # fmt: skip
BATCH = 250_000
# Side of a tile and how many tiles of one picture lie a pixel apart in each direction, at most.
SIDE, SHIFTS = 200, 32
# Drops before those that count: the browser compiles the page's code, the service its kernels.
WARMING = 3
# What happens in the page, from the drop to the paint that shows an answer.
DROP = """async ({ data, type }) => {
  for (const card of document.querySelectorAll(".card")) card.dataset.old = "1";
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], "query", { type }));
  const painted = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const loaded = (card) => {
    const image = card.querySelector("img");
    return image.complete && image.naturalWidth > 0;
  };
  const visible = (card) => card.getBoundingClientRect().top < innerHeight;
  const times = {};
  const started = performance.now();
  const note = (name) => { times[name] ??= performance.now() - started; };
  document.body.dispatchEvent(
    new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
  while (!times.window && performance.now() - started < 20000) {
    await painted();
    const cards = [...document.querySelectorAll(".card:not([data-old])")];
    if (!cards.length) continue;
    note("tile");
    if (loaded(cards[0])) note("picture");
    if (cards.filter(visible).every(loaded)) note("window");
  }
  return times;
}"""


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--archive", type=Path, help="kept here; made if it is not there")
    parser.add_argument("--tiles", type=int, default=1_000_000)
    parser.add_argument("--drops", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("needs chromium: apt-get install chromium")
    pictures = [found for found in find_images([chosen.pictures]) if found.suffix != ".jp2"]
    with tempfile.TemporaryDirectory() as folder:
        path = chosen.archive or Path(folder) / "tiles.terrahash"
        if not path.exists():
            make(path, chosen.model, pictures, chosen.tiles, chosen.seed)
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, "serve", "--archive", str(path), "--port", "0"],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        address = process.stderr.readline().split()[3]
        # Somebody reads the log, as in real use.
        subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL)
        try:
            times = drops(chromium, address, pictures, chosen.drops, chosen.seed)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
    medians = {
        f"{name}_ms_p50": round(statistics.median(one[name] for one in times)) for name in times[0]
    }
    print(
        json.dumps(
            {
                "tiles": chosen.tiles,
                "drops": chosen.drops,
                "seed": chosen.seed,
                **medians,
                "picture_ms": [round(one["picture"]) for one in times],
                "processors": os.cpu_count(),
                "load_before": round(os.getloadavg()[2], 1),
                "python": platform.python_version(),
            }
        )
    )


def make(path: Path, model: Path, pictures: list[Path], tiles: int, seed: int) -> None:
    """An archive of random codes that says it holds the pictures, many times."""
    layout = Encoder.load(model).layout
    rng = np.random.default_rng(seed)
    sources = [str(picture.absolute()) for picture in pictures]
    labels = [picture.parent.name for picture in pictures]
    with Archive.create(path, layout, encoder_folder=model) as archive:
        for start in range(0, tiles, BATCH):
            rows = range(start, min(start + BATCH, tiles))
            archive.add_codes(
                np.packbits(rng.random((len(rows), layout.bits)) < 0.5, axis=1),
                sources=[sources[row % len(sources)] for row in rows],
                labels=[labels[row % len(labels)] for row in rows],
                windows=[window(row // len(sources)) for row in rows],
            )
        archive.compact()


def window(number: int) -> tuple[int, int, int, int]:
    """One of the tiles of a picture."""
    y, x = divmod(number, SHIFTS)
    return x, y, SIDE, SIDE


def drops(
    chromium: str, address: str, pictures: list[Path], count: int, seed: int
) -> list[dict[str, float]]:
    """Milliseconds of each step, for each drop that counts."""
    chosen = np.random.default_rng(seed).permutation(len(pictures))[: WARMING + count]
    times: list[dict[str, float]] = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        told: list[Any] = []
        page.on("response", lambda one: told.append(one) if "search/image" in one.url else None)
        page.set_default_timeout(120_000)
        page.goto(address, wait_until="commit")
        page.wait_for_selector(".card")
        page.wait_for_timeout(3000)
        for number in chosen.tolist():
            data = base64.b64encode(pictures[number].read_bytes()).decode()
            found: dict[str, float] = page.evaluate(DROP, {"data": data, "type": "image/png"})
            said = told[-1].json()["milliseconds"]
            times.append({**found, "encode": said["encode"], "search": said["search"]})
            page.wait_for_timeout(1500)
        browser.close()
    return times[WARMING:]


if __name__ == "__main__":
    main()
