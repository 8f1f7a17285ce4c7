"""The training loop: one for every gradient-trained method, mode and device."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from terrahash.encoder.encoded import Encoded
from terrahash.errors import TrainingError
from terrahash.learning.checkpoint import Checkpoint
from terrahash.learning.inputs import Inputs
from terrahash.learning.methods.base import Batch, Method, Objective, Problem, Recipe
from terrahash.learning.model import HashNetwork

# Share of training over which the learning rate warms up.
WARM_UP = 0.25
# Rate at the very start and the very end, relative to the peak.
LOWEST_RATE = 0.01
ENCODING_BATCH = 64
# Without a better validation score for this share of all epochs, training stops.
PATIENCE = 0.4
FEWEST_EPOCHS = 5


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to.

    Attributes:
        terms: mean of each weighted loss term.
        score: of the validation images, higher is better; None without validation images.
        images_per_second: training throughput.
    """

    number: int
    terms: dict[str, float]
    score: float | None
    images_per_second: float

    @property
    def loss(self) -> float:
        """Sum of the terms."""
        return sum(self.terms.values())


@dataclass
class History:
    """All epochs so far and the best of them by validation score; of equals, the latest."""

    epochs: list[Epoch] = field(default_factory=list)
    best: int = -1

    def add(self, epoch: Epoch) -> bool:
        """Append an epoch; says whether it is the best so far."""
        self.epochs.append(epoch)
        scores = [-math.inf if each.score is None else each.score for each in self.epochs]
        if scores[-1] < max(scores):
            return False
        self.best = epoch.number
        return True

    def to_json(self) -> list[dict[str, Any]]:
        """One object an epoch."""
        return [asdict(epoch) for epoch in self.epochs]


def rate_factor(progress: float, *, one_cycle: bool) -> float:
    """Learning rate relative to its peak at a progress of 0…1: linear rise, cosine fall."""
    if not one_cycle:
        return 1.0
    if progress < WARM_UP:
        return LOWEST_RATE + (1 - LOWEST_RATE) * progress / WARM_UP
    fall = (progress - WARM_UP) / (1 - WARM_UP)
    return LOWEST_RATE + (1 - LOWEST_RATE) * 0.5 * (1 + math.cos(math.pi * fall))


def make_optimizer(
    network: HashNetwork, objective: Objective, recipe: Recipe
) -> torch.optim.Optimizer:
    """AdamW with the recipe's rates for head, backbone and proxies."""
    groups = [
        (network.head.parameters(), recipe.learning_rate),
        (network.backbone.parameters(), recipe.backbone_learning_rate),
        (objective.parameters(), recipe.proxy_learning_rate),
    ]
    chosen = []
    for parameters, rate in groups:
        trained = [parameter for parameter in parameters if parameter.requires_grad]
        if trained:
            chosen.append({"params": trained, "lr": rate, "peak": rate})
    return torch.optim.AdamW(chosen, weight_decay=recipe.weight_decay)


def fit(
    network: HashNetwork,
    objective: Objective,
    *,
    method: Method,
    recipe: Recipe,
    problem: Problem,
    inputs: Inputs,
    generator: torch.Generator,
    bfloat16: bool = False,
    validate: Callable[[], float] | None = None,
    checkpoint: Checkpoint | None = None,
    report: Callable[[Epoch], None] | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> History:
    """Train and leave the network with the weights of the best epoch.

    Args:
        network: on the device.
        objective: on the device.
        problem: the training images, which are the first ``len(problem.targets)`` of the inputs.
        generator: source of all random choices; a CPU generator.
        bfloat16: run the network under bfloat16 autocast.
        validate: score of the network as it is, on validation images; higher is better.
        checkpoint: where to save after each epoch, and to resume from.
        report: called after each epoch.
        on_step: called with (steps done, steps in all) of the epoch.

    Raises:
        TrainingError: if a loss term is not finite; the network keeps the best weights so far.
    """
    optimizer = make_optimizer(network, objective, recipe)
    history = History()
    best = _snapshot(network)
    patience = max(FEWEST_EPOCHS, math.ceil(PATIENCE * recipe.epochs))
    if checkpoint is not None and (saved := checkpoint.load()) is not None:
        best = saved.restore(network, objective, optimizer, generator)
        for record in saved.epochs:
            history.add(Epoch(**record))
    try:
        for number in range(len(history.epochs), recipe.epochs):
            started = time.perf_counter()
            terms, seen = _run_epoch(
                network,
                objective,
                optimizer,
                number=number,
                method=method,
                recipe=recipe,
                problem=problem,
                inputs=inputs,
                generator=generator,
                bfloat16=bfloat16,
                on_step=on_step,
            )
            speed = seen / (time.perf_counter() - started)
            score = validate() if validate is not None else None
            epoch = Epoch(number, terms, score, speed)
            if history.add(epoch):
                best = _snapshot(network)
            if checkpoint is not None and checkpoint.is_due():
                checkpoint.save(network, objective, optimizer, generator, best, history.to_json())
            if report is not None:
                report(epoch)
            if number - history.best >= patience:
                break
    finally:
        network.load_state_dict(best)
    return history


def _run_epoch(
    network: HashNetwork,
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    *,
    number: int,
    method: Method,
    recipe: Recipe,
    problem: Problem,
    inputs: Inputs,
    generator: torch.Generator,
    bfloat16: bool,
    on_step: Callable[[int, int], None] | None,
) -> tuple[dict[str, float], int]:
    """One pass over the training images: mean of each term, and images seen."""
    device = next(network.parameters()).device
    targets = torch.from_numpy(problem.targets).to(device)
    network.train()
    sums: dict[str, Tensor] = {}
    seen = 0
    batches = list(method.batches(problem, recipe.batch_size, generator))
    for step, indices in enumerate(batches):
        progress = (number + step / len(batches)) / recipe.epochs
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * rate_factor(progress, one_cycle=recipe.one_cycle)
        with _autocast(device, bfloat16):
            output = network(inputs.augmented(indices, generator)).float()
        terms = objective(output, Batch(targets[indices.to(device)], indices.to(device)))
        _check_finite(terms, number)
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        for group in optimizer.param_groups:
            nn.utils.clip_grad_value_(group["params"], recipe.clip_value)
        optimizer.step()
        for name, term in terms.items():
            sums[name] = sums.get(name, torch.zeros((), device=device)) + term.detach()
        seen += len(indices)
        if on_step is not None:
            on_step(step + 1, len(batches))
    return {name: float(total) / len(batches) for name, total in sums.items()}, seen


def encode(
    network: HashNetwork,
    inputs: Inputs,
    indices: Tensor,
    problem: Problem,
    label_codes: np.ndarray[Any, np.dtype[np.bool_]],
    *,
    bfloat16: bool = False,
) -> Encoded:
    """Codes of training or validation images by the network as it is, in evaluation mode."""
    network.eval()
    parts = []
    device = next(network.parameters()).device
    with torch.no_grad(), _autocast(device, bfloat16):
        for part in indices.split(ENCODING_BATCH):
            output = network(inputs.clean(part)).float()
            logits = None if output.logits is None else output.logits.cpu().numpy()
            activations = output.activations.cpu().numpy()
            parts.append(Encoded.from_outputs(activations, logits, problem.layout, label_codes))
    return Encoded.concatenate(parts)


def _autocast(device: torch.device, enabled: bool) -> AbstractContextManager[Any]:
    if not enabled:
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def _snapshot(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def _check_finite(terms: dict[str, Tensor], epoch: int) -> None:
    for name, term in terms.items():
        if not torch.isfinite(term):
            raise TrainingError(
                f"the loss term '{name}' became {float(term)} in epoch {epoch + 1}",
                "lower the learning rate; the weights of the best epoch so far are kept",
            )
