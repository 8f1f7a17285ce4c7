"""Codes of a data set with labels and roles, for benchmarks/refine.py.

python benchmarks/role_codes.py ucmerced MODEL --out codes.npz
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from terrahash.datasets import Split, load_dataset
from terrahash.encoder import Encoder

ROLES = {"fit": "train", "validation": "val", "test": "test"}


def main() -> None:
    parser = argparse.ArgumentParser(description="Codes of a data set with labels and roles.")
    parser.add_argument("data")
    parser.add_argument("model", type=Path)
    parser.add_argument("--out", type=Path, default=Path("codes.npz"))
    options = parser.parse_args()
    dataset = load_dataset(options.data)
    encoder = Encoder.load(options.model)
    split = Split.load(options.model / "split.txt", dataset)
    encoded = encoder.encode_files(dataset.paths)
    np.savez(
        options.out,
        codes=encoded.codes,
        labels=dataset.targets.argmax(axis=1),
        roles=np.array([ROLES[role] for role in split.roles]),
        layout=json.dumps(encoder.layout.to_json()),
        magnitudes=encoded.magnitudes,
    )


if __name__ == "__main__":
    main()
