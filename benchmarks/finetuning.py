"""Fine-tuning recipes compared on training images only, for several methods alike.

    python benchmarks/finetuning.py ucmerced --rates 1e-3/3e-4/cold 3e-4/3e-4 1e-4/1e-4

The fold is that of ``tuning.py``: networks are fine-tuned on 60 % of the training part and scored
by the within-test mAP@20 of the rest; test images are not read. A recipe is the peak rates of head
and backbone; with ``cold`` the head is not trained first on the features of the unchanged backbone.
Prints a row a training, in Markdown.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import time

from tuning import K, fold

from terrahash.benchmark.measuring import evaluate
from terrahash.learning.inputs import ImageInputs
from terrahash.learning.planning import Plan, TrainingOptions, plan_training
from terrahash.learning.training import fit_network, versions
from terrahash.progress import Silent


def changed(plan: Plan, rates: str, share: float) -> Plan:
    """A plan with other rates of head and backbone, and a share of its epochs."""
    head, backbone, *cold = rates.split("/")
    recipe = dataclasses.replace(
        plan.recipe,
        epochs=math.ceil(share * plan.recipe.epochs),
        learning_rate=float(head),
        backbone_learning_rate=float(backbone),
    )
    return dataclasses.replace(
        plan, recipe=recipe, head_recipe=None if cold else plan.method.recipe("frozen")
    )


def score(plan: Plan) -> float:
    """The mAP@20 of the held-out images after a training."""
    read = plan.backbone.preprocessing, plan.device
    fitted = fit_network(plan, ImageInputs(plan.images.paths, *read), reporter=Silent())
    encoded = fitted.encode(ImageInputs(plan.dataset.paths, *read))
    return evaluate(plan, encoded, encoded.codes, "within-test", K).metrics.map_at_k


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--rates", nargs="+", required=True, help="head/backbone or …/cold")
    parser.add_argument("--methods", nargs="+", default=["hpsh", "mhcln", "ahcl", "dhcl"])
    parser.add_argument("--share", type=float, default=1.0, help="of each method's epochs")
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    images, split = fold(chosen.data, chosen.seed)
    print(
        f"{chosen.data}, {chosen.bits} bits, seed {chosen.seed}, fold {split.hash}, "
        f"{versions()}\n\n| method | head/backbone | epochs | mAP@{K} | processor s |\n"
        "| --- | --- | ---: | ---: | ---: |"
    )
    for rates in chosen.rates:
        for name in chosen.methods:
            options = TrainingOptions(
                method=name, bits=chosen.bits, seed=chosen.seed, mode="finetune", device="cpu"
            )
            plan = changed(plan_training(images, split, options), rates, chosen.share)
            started = time.process_time()
            found = score(plan)
            spent = time.process_time() - started
            print(
                f"| {plan.method.title} | {rates} | {plan.recipe.epochs} | {found:.3f} "
                f"| {spent:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
