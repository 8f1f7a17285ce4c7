"""Records as a benchmark writes them, without running one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from terrahash.benchmark.results import FORMAT, Record

MakeRecord = Callable[..., Record]


@pytest.fixture
def make_record() -> MakeRecord:
    """A result record with every field that reports read; keywords replace fields."""

    def make(**fields: Any) -> Record:
        method, variant = fields.get("method", "dhcl"), fields.get("variant", "corrected")
        bits, seed = fields.get("bits_asked", 16), fields.get("seed", 0)
        value = fields.pop("value", 0.9)
        name = f"{method}-{variant}-{bits}-{seed}"
        record: Record = {
            "format": FORMAT,
            "kind": "result",
            "run": name,
            "request": f"request {name}",
            "data": "ucmerced",
            "data_title": "UC Merced Land Use",
            "images": 2100,
            "image_size": [256, 256],
            "classes": 21,
            "split": "stratified 60-40 validation 0.1",
            "split_asked": "60-40",
            "split_hash": f"hash of seed {seed}",
            "seed": seed,
            "fit": 1134,
            "validation": 126,
            "test": 840,
            "method": method,
            "title": method.upper(),
            "variant": variant,
            "mode": "frozen",
            "backbone": "mobilenetv2_100",
            "weights": "mobilenetv2_100.imagenet.safetensors",
            "weights_asked": None,
            "size": 256,
            "bits": bits,
            "bits_asked": bits,
            "label_bits": 0,
            "epochs_asked": None,
            "protocol": "within-test",
            "database": "network",
            "k": 20,
            "n_queries": 840,
            "n_database": 840,
            "map_at_k": value,
            "map_at_k_asymmetric": value,
            "map_at_k_hits": value,
            "map": value,
            "precision_at_k": value,
            "tie_rule": "expectation over all orders of tied items",
            "distinct_codes": 300,
            "published": {
                "mhcln_map_at_k_index_ties": value,
                "hpsh_first_neighbour_map_at_k": value,
                "dhcl_running_hit_rate_at_k": 0.99,
                "fah_map_at_k_query_included": None,
            },
            "code_statistics": {"dead_bits": 0, "bit_balance": [0.5, 0.25]},
            "precision_recall": [[0.1, 1.0], [0.5, 0.9], [1.0, 0.1]],
            "training": {
                "seconds": 10.0,
                "cpu_seconds": 8.0,
                "epochs": 100,
                "best_epoch": 60,
                "warnings": [],
                "process_cpu_seconds": 12.0,
                "peak_memory": 600 * 1024**2,
            },
            "versions": {"terrahash": "0.1.0", "numpy": "2.4"},
            "machine": "a machine",
        }
        return {**record, **fields}

    return make
