"""Codes of real tiles and augmented copies of them by a trained encoder (see search.py).

    python benchmarks/trained_codes.py MODEL IMAGES --out trained.npz [--copies 12] [--seed 0]

Copies are turned by quarters, flipped, cut to 70 to 100 % of each side, and lit by ± 20 %.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from terrahash.encoder import Encoded, Encoder
from terrahash.imagery import find_images, read_image
from terrahash.progress import Terminal


def altered(image: NDArray[np.uint8], seed: list[int]) -> NDArray[np.uint8]:
    """A copy of ``(H, W, 3) uint8`` as another flight might have seen it."""
    rng = np.random.default_rng(seed)
    height, width = image.shape[:2]
    part_h, part_w = (max(32, int(side * rng.uniform(0.7, 1))) for side in (height, width))
    top, left = (int(rng.integers(0, n + 1)) for n in (height - part_h, width - part_w))
    copy = image[top : top + part_h, left : left + part_w]
    copy = np.rot90(copy, int(rng.integers(4)))
    if rng.random() < 0.5:
        copy = copy[::-1]
    lit = copy.astype(np.float32) * rng.uniform(0.8, 1.2)
    return np.clip(lit, 0, 255).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--out", type=Path, default=Path("trained.npz"))
    parser.add_argument("--copies", type=int, default=12, help="of each tile, itself among them")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    encoder = Encoder.load(options.model)
    paths = find_images([options.images])
    items = [(row, copy) for row in range(len(paths)) for copy in range(options.copies)]

    def load(item: tuple[int, int]) -> NDArray[np.uint8]:
        image = read_image(paths[item[0]])
        return image if item[1] == 0 else altered(image, [options.seed, *item])

    codes, origins = [], []
    with Terminal() as terminal:
        for done, (item, outcome) in enumerate(encoder.stream(items, load), start=1):
            if isinstance(outcome, Encoded):
                codes.append(outcome.codes)
                origins.append(item[0])
            terminal.advance("encoding", done, len(items))
    np.savez(options.out, codes=np.concatenate(codes), origins=np.array(origins, np.int64))


if __name__ == "__main__":
    main()
