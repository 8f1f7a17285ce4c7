"""What each published bug costs: every switch of every method turned alone, and all at once.

    python benchmarks/switches.py ucmerced --bits 32 --seeds 0 1 2

Trains heads on frozen features of the 60-40 split with the seed of the run, and prints a Markdown
table of the tie-aware within-test mAP@20, with the number of distinct codes of the test images.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterator

import numpy as np

import terrahash
from terrahash.benchmark.measuring import evaluate, train_head
from terrahash.learning.backbones import load_backbone
from terrahash.learning.methods import METHODS
from terrahash.learning.methods.base import Method
from terrahash.learning.planning import TrainingOptions, plan_training
from terrahash.learning.training import versions
from terrahash.progress import Silent

# Not bugs, but choices that the specification asks to compare.
CHOICES = {
    "dhcl": [{"proxy_loss": "anchor"}],
    "mhcln": [{"balance": "bit"}],
    "hpsh": [{"sampling": "uniform"}, {"quantized": "nothing"}],
}


def candidates(names: list[str]) -> Iterator[tuple[str, Method]]:
    """What to compare, with a name for each."""
    for name in names:
        kind = METHODS[name]
        yield f"{kind.title} corrected", kind()
        turned = [{switch: value} for switch, value in kind.published_switches.items()]
        if len(turned) == 1:  # the published variant is the same
            turned = []
        for numbers in [*turned, *CHOICES.get(name, [])]:
            said = ", ".join(f"{key} = {value}" for key, value in numbers.items())
            yield f"… {said}", dataclasses.replace(kind(), **numbers)
        if kind.published_switches:
            yield f"{kind.title} published", kind.published()


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--methods", nargs="+", default=["dhcl", "mhcln", "hpsh", "ahcl"])
    parser.add_argument("--bits", type=int, default=32)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    data = terrahash.load_dataset(arguments.data)
    backbone = load_backbone()
    print(
        f"{arguments.data}, {arguments.bits} bits, 60-40, seeds {arguments.seeds}, frozen "
        f"{backbone.name} at {backbone.preprocessing.size} px, {versions()}\n"
    )
    print("| | stored bits | mAP@20 | distinct codes |\n| --- | --- | --- | --- |")
    for said, method in candidates(arguments.methods):
        values = []
        for seed in arguments.seeds:
            split = terrahash.make_split(data, train=0.6, seed=seed)
            options = TrainingOptions(method=method.name, bits=arguments.bits, seed=seed)
            plan = plan_training(data, split, options, numbers=method, backbone=backbone)
            encoded = train_head(plan, Silent()).encoded
            result = evaluate(plan, encoded, encoded.codes, "within-test", 20)
            values.append((result.metrics.map_at_k, result.statistics.distinct_codes))
            print(said, seed, values[-1], file=sys.stderr, flush=True)
        maps, distinct = np.array(values).T
        print(
            f"| {said} | {plan.problem.layout.bits} "
            f"| {maps.mean():.3f} ± {maps.std(ddof=len(maps) > 1):.3f} | {distinct.mean():.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
