"""The same search for every method's numbers, on training images only.

    python benchmarks/tuning.py ucmerced --out tuning.jsonl

The 60 % training part of the split is itself split 60-40: heads are trained on the first part
(frozen features) and scored by the within-test mAP@20 of the second, at several code lengths;
test images are not read. Each method is tried with first numbers and with the same points of a
scrambled Sobol sequence, in its learning rate, the dropout of its head, and one number of its own.
A trial is taken if it leads over the same queries at every code length by more than the standard
error of its lead there: so much that a small fold and one length cannot mislead.
Stopped, it goes on where it was; trials of other data are kept apart by what is recorded with them.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import functools
import json
import math
import multiprocessing
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import terrahash
from terrahash.benchmark.measuring import evaluate, train_head
from terrahash.learning.backbones import load_backbone
from terrahash.learning.features import extract_features
from terrahash.learning.methods import METHODS
from terrahash.learning.methods.base import Method
from terrahash.learning.planning import TrainingOptions, plan_training
from terrahash.learning.training import versions
from terrahash.machine import available_cores
from terrahash.progress import Silent

# What every search starts from, whatever the methods' numbers have become by it since.
FIRST: dict[str, float] = {"learning_rate": 1e-3, "dropout": 0.3}
# The number of its own that is searched, and its first value; up to eight times more or less.
OWN: dict[str, tuple[str, float] | None] = {
    "dhcl": ("scale", 4.0),
    "mhcln": ("margin", 0.2),
    "hpsh": ("quantization", 0.1),
    "ahcl": ("classification", 20.0),
    "adsh": None,
    "dpsh": ("quantization", 0.1),
    "hashnet": ("alpha", 0.3),
    "greedyhash": ("quantization", 0.1),
    "csq": ("quantization", 1e-4),
    "orthohash": ("scale", 8.0),
}
OWN_FACTOR = 8.0
LEARNING_RATES = (2e-4, 2e-2)
DROPOUTS = (0.0, 0.5)
K = 20


def candidate(name: str, trial: int, seed: int) -> Method:
    """The method with the first numbers as trial 0, else with those of a point."""
    method, own = METHODS[name](), OWN[name]
    numbers: dict[str, Any] = {**FIRST, **({own[0]: own[1]} if own else {})}
    if trial > 0:
        points = torch.quasirandom.SobolEngine(3, scramble=True, seed=seed).draw(trial)
        rate, dropout, factor = points[-1].tolist()
        low, high = (math.log(bound) for bound in LEARNING_RATES)
        numbers["learning_rate"] = round(math.exp(low + rate * (high - low)), 6)
        numbers["dropout"] = round(DROPOUTS[0] + dropout * (DROPOUTS[1] - DROPOUTS[0]), 2)
        if own:
            numbers[own[0]] = float(f"{own[1] * OWN_FACTOR ** (2 * factor - 1):.3g}")
    return dataclasses.replace(method, **numbers)


@functools.cache
def fold(data: str, seed: int) -> tuple[terrahash.Dataset, terrahash.Split]:
    """The training part of the split, and its own split."""
    whole = terrahash.load_dataset(data)
    split = terrahash.make_split(whole, train=0.6, seed=seed)
    part = whole.subset(np.concatenate([split.indices("fit"), split.indices("validation")]))
    return part, terrahash.make_split(part, train=0.6, seed=seed)


def run(data: str, name: str, trial: int, bits: int, seed: int) -> dict[str, Any]:
    """One trial."""
    torch.set_num_threads(1)
    images, split = fold(data, seed)
    method = candidate(name, trial, seed)
    options = TrainingOptions(method=name, bits=bits, seed=seed, device="cpu")
    plan = plan_training(images, split, options, numbers=method, backbone=load_backbone())
    encoded = train_head(plan, Silent()).encoded
    result = evaluate(plan, encoded, encoded.codes, "within-test", K).metrics
    return {
        **key(data, name, trial, bits, seed, method),
        "fold": split.hash,
        "map_at_k": round(result.map_at_k, 5),
        "average_precisions": np.round(result.ap_at_k, 4).tolist(),
        "versions": versions(),
    }


def key(data: str, name: str, trial: int, bits: int, seed: int, method: Method) -> dict[str, Any]:
    """What a trial is told from others by."""
    return {
        "data": data,
        "method": name,
        "trial": trial,
        "bits": bits,
        "seed": seed,
        "numbers": json.loads(json.dumps(dataclasses.asdict(method))),
    }


def table(records: list[dict[str, Any]]) -> str:
    """The trial that each method takes, or else its best one, beside its first, in Markdown."""
    lengths = sorted({record["bits"] for record in records})
    lines = [
        f"| method | first | trial | leads at {lengths} bits | taken | numbers |",
        "| --- | ---: | ---: | --- | --- | --- |",
    ]
    for name, own in OWN.items():
        found = {(r["trial"], r["bits"]): r for r in records if r["method"] == name}
        trials = [t for t, _ in found if all((t, bits) in found for bits in lengths)]
        if 0 not in trials or len(trials) < 2:
            continue
        scores = {
            trial: np.array([found[trial, bits]["average_precisions"] for bits in lengths])
            for trial in trials
        }
        leads = {trial: each - scores[0] for trial, each in scores.items() if trial}
        clear = [trial for trial, lead in leads.items() if (lead.mean(1) > errors(lead)).all()]
        chosen = max(clear or leads, key=lambda trial: float(leads[trial].mean()))
        lead = leads[chosen]
        shown = ", ".join(
            f"{mean:+.3f} ± {error:.3f}"
            for mean, error in zip(lead.mean(1), errors(lead), strict=True)
        )
        numbers = found[chosen, lengths[0]]["numbers"]
        searched = [*FIRST, *([own[0]] if own else [])]
        lines.append(
            f"| {METHODS[name].title} | {scores[0].mean():.3f} | {scores[chosen].mean():.3f} "
            f"| {shown} | {'yes' if clear else 'no'} "
            f"| {', '.join(f'{each} {numbers[each]:g}' for each in searched)} |"
        )
    return "\n".join(lines)


def errors(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard errors of the means of ``(L, Q)`` rows."""
    return np.asarray(values.std(axis=1) / math.sqrt(values.shape[1]))


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--methods", nargs="+", default=list(OWN))
    parser.add_argument("--trials", type=int, default=8, help="beside the first numbers")
    parser.add_argument("--bits", nargs="+", type=int, default=[16, 32, 64])
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    done = [json.loads(line) for line in chosen.out.open()] if chosen.out.exists() else []
    wanted = [
        (chosen.data, name, trial, bits, chosen.seed)
        for bits in chosen.bits
        for trial in range(chosen.trials + 1)
        for name in chosen.methods
    ]
    keys = [key(*each, candidate(each[1], each[2], chosen.seed)) for each in wanted]
    found = [{name: record[name] for name in keys[0]} for record in done]
    missing = [each for each, mine in zip(wanted, keys, strict=True) if mine not in found]
    images, _ = fold(chosen.data, chosen.seed)
    # Once, before several processes want them.
    extract_features(load_backbone(), images.paths, images.digests())
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(available_cores(), context) as pool:
        for future in concurrent.futures.as_completed(pool.submit(run, *each) for each in missing):
            record = future.result()
            with chosen.out.open("a") as file:
                file.write(json.dumps(record) + "\n")
            done.append(record)
            print(record["method"], record["trial"], record["map_at_k"], file=sys.stderr)
    print(table([record for record in done if {n: record[n] for n in keys[0]} in keys]))


if __name__ == "__main__":
    main()
