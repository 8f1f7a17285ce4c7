"""Indexing against pure inference: a 16-bit, 4-band COG, and a folder of pictures.

    python benchmarks/indexing.py --model ENCODER [--side 20000] [--compress zstd]
        [--pictures FOLDER [--eager]] [--rounds 3]

Each round measures, in turn: the network alone on tiles that are ready (one image a task on as many
threads as indexing uses), and `index_images` into a new archive, in a process of its own each. The
ratio is that of the medians; on a machine that others use too, that of the tiles per second of
processor time says more. `processor_ms` is the processor time a tile, by stage: what they leave of
`all` is Python between them. The COG (pixel-interleaved blocks of 512) is made once and kept in
--work.

With --eager (needs the extra `train`) a third: a torch DataLoader (a worker process for each core,
batches of 32, Pillow) and an eager loop of the same network, as one writes it without terrahash.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

TILE = 256
BLOCK = 512
BANDS = 4
# Tiles that the network alone is timed on.
INFERENCE_TILES = 1500


def make_cog(path: Path, side: int, compress: str) -> None:
    """Smooth ground with sensor noise, 12 significant bits, a block row at a time."""
    import rasterio

    rng = np.random.default_rng(0)
    plain = path.with_suffix(".plain.tif")
    profile = {
        "driver": "GTiff", "width": side, "height": side, "count": BANDS, "dtype": "uint16",
        "crs": "EPSG:32632", "transform": rasterio.Affine(0.5, 0, 500_000, 0, -0.5, 5_500_000),
        "tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "interleave": "pixel",
        "compress": compress, "BIGTIFF": "YES",
    }  # fmt: skip
    if compress != "none":
        profile["predictor"] = 2
    ground = np.sin(np.arange(side) / 97)[None, :] * 500
    with rasterio.Env(GDAL_NUM_THREADS=2), rasterio.open(plain, "w", **profile) as target:
        for top in range(0, side, BLOCK):
            rows = min(BLOCK, side - top)
            slope = np.cos(np.arange(top, top + rows) / 61)[:, None] * 400
            noise = rng.integers(0, 120, (BANDS, rows, side), dtype=np.uint16)
            bands = 1200 + ground + slope + 100 * np.arange(BANDS)[:, None, None]
            target.write(
                bands.astype(np.uint16) + noise, window=rasterio.windows.Window(0, top, side, rows)
            )
    plain.rename(path)


def inference(model: Path, workers: int) -> dict[str, Any]:
    """The network alone."""
    from terrahash.encoder import Encoder

    encoder = Encoder.load(model)
    size = encoder.preprocessing.size
    images = np.random.default_rng(0).integers(0, 256, (32, size, size, 3), dtype=np.uint8)
    ready = [encoder.preprocessing(image) for image in images]
    from concurrent.futures import ThreadPoolExecutor

    for image in ready[:4]:
        encoder.encode(image)
    started, processor = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda n: encoder.encode(ready[n % 32]), range(INFERENCE_TILES)))
    seconds, processor = time.perf_counter() - started, time.process_time() - processor
    return {
        "tiles_per_second": INFERENCE_TILES / seconds,
        "tiles_per_cpu_second": INFERENCE_TILES / processor,
        "processor_ms": round(processor / INFERENCE_TILES * 1e3, 3),
    }


def indexing(model: Path, source: Path, workers: int) -> dict[str, Any]:
    """End to end, into a new archive."""
    from terrahash.archive import open_archive
    from terrahash.archive.indexing import index_images
    from terrahash.imagery import Length, Tiling
    from terrahash.imagery.scaling import Scaling

    tiling = Tiling(Length(TILE), scaling=Scaling("range", 0, 3000)) if source.is_file() else None
    with tempfile.TemporaryDirectory() as place, open_archive(Path(place, "a"), model) as archive:
        archive.encoder.encode_image(np.zeros((8, 8, 3), np.uint8))
        processor = time.process_time()
        report = index_images(archive, [source], tiling=tiling, workers=workers)
    processor = time.process_time() - processor
    tiles = report.added
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "tiles": tiles,
        "tiles_per_second": tiles / report.seconds,
        "tiles_per_cpu_second": tiles / processor,
        "peak_gib": round(peak, 3),
        "spent": {stage: round(seconds, 1) for stage, seconds in report.spent.items()},
        "processor_ms": {
            **{stage: round(s / tiles * 1e3, 3) for stage, s in report.processor.items()},
            "all": round(processor / tiles * 1e3, 3),
        },
        "skipped": len(report.skipped),
    }


def eager(model: Path, pictures: Path, workers: int) -> dict[str, Any]:
    """The same network in plain torch: a DataLoader with worker processes, an eager loop."""
    import torch
    from PIL import Image
    from safetensors.torch import load_file

    from terrahash.encoder import Encoder
    from terrahash.imagery import find_images
    from terrahash.learning.backbones import load_backbone
    from terrahash.learning.heads import HashHead
    from terrahash.learning.model import ExportedNetwork, HashNetwork

    encoder = Encoder.load(model)
    card, prepared = encoder.card, encoder.preprocessing
    backbone = load_backbone(card["backbone"], "none", size=prepared.size)
    head = HashHead(
        backbone.features,
        encoder.layout.hash_bits,
        hidden=tuple(card["numbers"]["hidden"]),
        classes=len(encoder.classes),
        dropout=card["numbers"]["dropout"],
    )
    network = HashNetwork(backbone.module, head, frozen=False)
    network.load_state_dict(load_file(model / "weights.safetensors"))
    exported = ExportedNetwork(network).eval()
    paths = find_images([pictures])
    mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in (prepared.mean, prepared.std))

    class Pictures(torch.utils.data.Dataset[torch.Tensor]):
        def __len__(self) -> int:
            return len(paths)

        def __getitem__(self, number: int) -> torch.Tensor:
            with Image.open(paths[number]) as image:
                side = prepared.size
                resized = image.convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
            pixels = torch.from_numpy(np.array(resized)).permute(2, 0, 1).float()
            return (pixels - mean) / std

    batches = torch.utils.data.DataLoader(Pictures(), batch_size=32, num_workers=workers)
    with torch.inference_mode():
        exported(torch.zeros(32, 3, prepared.size, prepared.size))
        started = time.perf_counter()
        signs = [(exported(batch)[0] >= 0).numpy() for batch in batches]
        seconds = time.perf_counter() - started
    # It is the same network, or the comparison means nothing.
    codes = encoder.encode_files(paths[:32], workers=workers).activations >= 0
    return {
        "tiles_per_second": len(paths) / seconds,
        "equal_bits": float((codes == signs[0][: len(codes)]).mean()),
        "torch_threads": torch.get_num_threads(),
    }


def own_process(*arguments: str) -> dict[str, Any]:
    """One measurement in a fresh process."""
    done = subprocess.run(
        [sys.executable, __file__, *arguments], stdout=subprocess.PIPE, check=True, text=True
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def main() -> None:
    from terrahash.machine import available_cores

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--compress", choices=["zstd", "deflate", "lzw", "none"], default="zstd")
    parser.add_argument("--pictures", type=Path)
    parser.add_argument(
        "--eager", action="store_true", help="also a DataLoader and an eager loop over --pictures"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--only", choices=["inference", "indexing", "eager"])
    parser.add_argument("--source", type=Path)
    options = parser.parse_args()
    if options.eager and options.pictures is None:
        parser.error("--eager needs --pictures")
    workers = available_cores()
    if options.only == "inference":
        print(json.dumps(inference(options.model, workers)))
        return
    if options.only == "indexing":
        print(json.dumps(indexing(options.model, options.source, workers)))
        return
    if options.only == "eager":
        print(json.dumps(eager(options.model, options.source, workers)))
        return
    source = options.pictures
    if source is None:
        source = options.work / f"terrahash-{options.side}-{options.compress}.tif"
        if not source.exists():
            if shutil.disk_usage(options.work).free < options.side**2 * BANDS * 2:
                sys.exit(f"{options.work} has no room for the scene; choose another --work")
            make_cog(source, options.side, options.compress)
    rounds, plain = [], []
    for _ in range(options.rounds):
        pure = own_process("--model", str(options.model), "--only", "inference")
        whole = own_process(
            "--model", str(options.model), "--only", "indexing", "--source", str(source)
        )
        rounds.append((pure, whole))
        shown = {"inference": pure, "indexing": whole}
        if options.eager:
            shown["eager"] = own_process(
                "--model", str(options.model), "--only", "eager", "--source", str(options.pictures)
            )
            plain.append(shown["eager"]["tiles_per_second"])
        print(json.dumps(shown), file=sys.stderr)
    cpu = [
        statistics.median(part[number]["tiles_per_cpu_second"] for part in rounds)
        for number in range(2)
    ]
    pure_rate = statistics.median(pure["tiles_per_second"] for pure, _ in rounds)
    whole_rate = statistics.median(whole["tiles_per_second"] for _, whole in rounds)
    compared = {
        "eager_tiles_per_second": round(statistics.median(plain), 1),
        "ratio_to_eager": round(whole_rate / statistics.median(plain), 2),
    } if plain else {}  # fmt: skip
    print(json.dumps({
        "source": source.name,
        "workers": workers,
        "tiles": rounds[0][1]["tiles"],
        "inference_tiles_per_second": round(pure_rate, 1),
        "indexing_tiles_per_second": round(whole_rate, 1),
        "ratio": round(whole_rate / pure_rate, 3),
        "cpu_ratio": round(cpu[1] / cpu[0], 3),
        "processor_ms": {
            "network alone": statistics.median(pure["processor_ms"] for pure, _ in rounds),
            **{
                stage: statistics.median(whole["processor_ms"][stage] for _, whole in rounds)
                for stage in rounds[0][1]["processor_ms"]
            },
        },
        "peak_gib": max(whole["peak_gib"] for _, whole in rounds),
        **compared,
        "rounds": options.rounds,
    }, indent=1))  # fmt: skip


if __name__ == "__main__":
    main()
