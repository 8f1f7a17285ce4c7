"""Run by torchrun: fine-tunes a small network and leaves what it learned in an ``.npz`` file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from terrahash.datasets import load_dataset, make_split
from terrahash.learning import inputs as learning_inputs
from terrahash.learning import planning
from terrahash.learning.inputs import ImageInputs
from terrahash.learning.planning import TrainingOptions, plan_training
from terrahash.learning.processes import joined
from terrahash.learning.training import fit_network


def main(tiles: Path, out: Path) -> None:
    """Train DHCL and AHCL."""
    torch.set_num_threads(1)
    # Each process augments in its own way: without it, the results are the same but for rounding.
    learning_inputs.augment = lambda images, generator: images
    planning.has_bfloat16 = lambda device: False
    data = load_dataset(tiles)
    split = make_split(data, train=0.6, seed=0, validation=0.17)
    found: dict[str, NDArray[Any]] = {}
    with joined(torch.device("cpu")) as processes:
        for method in ("dhcl", "ahcl"):
            torch.manual_seed(0)
            options = TrainingOptions(
                method=method,
                bits=16,
                mode="finetune",
                size=32,
                epochs=3,
                device="cpu",
                backbone="resnet10t",
                weights="none",
            )
            plan = plan_training(data, split, options)
            # Statistics of a batch are those of a process's part; pretrained ones stay as they are.
            object.__setattr__(plan.backbone, "pretrained", True)
            inputs = ImageInputs(plan.images.paths, plan.backbone.preprocessing, plan.device)
            fitted = fit_network(plan, inputs, processes=processes)
            found[f"{method} activations"] = fitted.encode(inputs).activations
            found[f"{method} scores"] = np.array([epoch.score for epoch in fitted.history.epochs])
            found |= {
                f"{method} {name}": value.detach().numpy()
                for name, value in fitted.run.objective.state_dict().items()
            }
        if processes.is_first:
            np.savez(out, processes=np.int64(processes.count), **found)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
