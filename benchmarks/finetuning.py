"""Fine-tuning recipes compared on training images only.

    python benchmarks/finetuning.py ucmerced --method hpsh --batches 60 30

The fold is that of ``tuning.py``: the network is fine-tuned on 60 % of the training part and scored
by the within-test mAP@20 of the rest; test images are not read. Prints a Markdown table, with what
the second recipe and those after it lead the first by, over the same queries.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time

import numpy as np
from numpy.typing import NDArray
from tuning import K, errors, fold

from terrahash.benchmark.measuring import evaluate
from terrahash.learning.inputs import ImageInputs
from terrahash.learning.planning import Plan, TrainingOptions, plan_training
from terrahash.learning.training import fit_network, versions
from terrahash.progress import Silent


def average_precisions(plan: Plan) -> NDArray[np.float64]:
    """``(Q,)`` of the held-out images after a training."""
    read = plan.backbone.preprocessing, plan.device
    fitted = fit_network(plan, ImageInputs(plan.images.paths, *read), reporter=Silent())
    encoded = fitted.encode(ImageInputs(plan.dataset.paths, *read))
    return evaluate(plan, encoded, encoded.codes, "within-test", K).metrics.ap_at_k


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--method", required=True)
    parser.add_argument("--batches", nargs="+", type=int, required=True, help="images a step")
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    images, split = fold(chosen.data, chosen.seed)
    options = TrainingOptions(
        method=chosen.method, bits=chosen.bits, seed=chosen.seed, mode="finetune", device="cpu"
    )
    plan = plan_training(images, split, options)
    print(
        f"{chosen.data}, {chosen.method}, {chosen.bits} bits, seed {chosen.seed}, fold "
        f"{split.hash}, {plan.backbone.name} at {plan.backbone.preprocessing.size} px, "
        f"{versions()}\n\n| images a step | steps an epoch | mAP@{K} | lead | processor s |\n"
        "| ---: | ---: | ---: | ---: | ---: |"
    )
    first: NDArray[np.float64] | None = None
    for size in chosen.batches:
        recipe = dataclasses.replace(plan.recipe, batch_size=size)
        started = time.process_time()
        found = average_precisions(dataclasses.replace(plan, recipe=recipe))
        spent = time.process_time() - started
        first = found if first is None else first
        lead = found - first
        steps = len(plan.fit_rows) // size
        print(
            f"| {size} | {steps} | {found.mean():.3f} "
            f"| {lead.mean():+.3f} ± {errors(lead[None])[0]:.3f} | {spent:.0f} |",
            flush=True,
        )
        print(chosen.method, size, found.mean(), file=sys.stderr)


if __name__ == "__main__":
    main()
