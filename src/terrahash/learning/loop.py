"""The training loop: one for every gradient-trained method, mode and device."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from terrahash.encoder.encoded import Encoded
from terrahash.errors import TrainingError
from terrahash.learning.checkpoint import Checkpoint, Saved
from terrahash.learning.heads import HashOutput
from terrahash.learning.inputs import Inputs
from terrahash.learning.methods.base import (
    Batch,
    ClosedForm,
    Method,
    Objective,
    Problem,
    Recipe,
)
from terrahash.learning.model import HashNetwork
from terrahash.learning.processes import Processes

# Share of training over which the learning rate warms up.
WARM_UP = 0.25
# Rate at the very start and the very end, relative to the peak.
LOWEST_RATE = 0.01
ENCODING_BATCH = 64
# Without a better validation score for this share of all epochs, training stops.
PATIENCE = 0.4
FEWEST_EPOCHS = 5
# A covariance does not change with more images than this, and they have to fit into memory.
MOST_SOLVED = 50_000

ALONE = Processes()


class Score(NamedTuple):
    """Quality on validation images, higher is better, and the standard error of that mean."""

    score: float
    standard_error: float


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to.

    Attributes:
        terms: mean of each weighted loss term.
        score: of the validation images, higher is better; None without validation images.
        images_per_second: training throughput.
        standard_error: of the score, as a mean over the validation images.
    """

    number: int
    terms: dict[str, float]
    score: float | None
    images_per_second: float
    standard_error: float = 0.0

    @property
    def loss(self) -> float:
        """Sum of the terms."""
        return sum(self.terms.values())


@dataclass
class History:
    """All epochs so far and the one that is kept.

    Kept is the latest whose score is within one standard error of the highest (Breiman et al. 1984,
    for the size of trees): a few validation images cannot tell such epochs apart, and of those the
    latest has seen the most and the smallest learning rate.

    Attributes:
        best: number of the epoch that is kept.
        stopped: why training ended before its time with a fault, if it did.
    """

    epochs: list[Epoch] = field(default_factory=list)
    best: int = -1
    stopped: str | None = None

    def add(self, epoch: Epoch) -> bool:
        """Append an epoch; says whether it is the one to keep so far."""
        self.epochs.append(epoch)
        scores = [(e.score, e.standard_error) for e in self.epochs if e.score is not None]
        highest, error = max(scores, default=(-math.inf, 0.0))
        if epoch.score is not None and epoch.score < highest - error:
            return False
        self.best = epoch.number
        return True

    def to_json(self) -> list[dict[str, Any]]:
        """One object an epoch."""
        return [asdict(epoch) for epoch in self.epochs]


def _scored(epoch: Epoch, validate: Callable[[], Score] | None) -> Epoch:
    return epoch if validate is None else replace(epoch, **validate()._asdict())


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


@dataclass(frozen=True, eq=False, kw_only=True)
class Run:
    """One training: what is trained, on what, and who works on it.

    Attributes:
        network: on the device.
        objective: on the device.
        problem: the training images, which are the first ``len(problem.targets)`` of the inputs.
        generator: source of all random choices but those of layers; a CPU generator.
        bfloat16: run the network under bfloat16 autocast.
        processes: who works on it; all call the same functions at the same time.
    """

    network: HashNetwork
    objective: Objective
    method: Method
    recipe: Recipe
    problem: Problem
    inputs: Inputs
    generator: torch.Generator
    bfloat16: bool = False
    processes: Processes = ALONE

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    @property
    def rows(self) -> Tensor:
        """``(N,)`` positions of the training images."""
        return torch.arange(len(self.problem.targets))

    def features(self, rows: Tensor, load: Callable[[Tensor], Tensor]) -> Tensor:
        """The backbone's features of images, each process computing those of some of them."""
        processes = ALONE if self.network.frozen else self.processes
        with _autocast(self.device, self.bfloat16):
            features = self.network.features(load(processes.part(rows)))
        return processes.gather(features, len(rows))

    def output(self, rows: Tensor, load: Callable[[Tensor], Tensor]) -> HashOutput:
        """What the network says of images."""
        features = self.features(rows, load)
        with _autocast(self.device, self.bfloat16):
            output: HashOutput = self.network.head(features)
        return output.float()

    def all_features(self) -> NDArray[np.float32]:
        """``(N, D)`` features of all inputs in evaluation mode."""
        self.network.eval()
        rows = torch.arange(len(self.inputs))
        with torch.no_grad():
            parts = [self.features(part, self.inputs.clean) for part in rows.split(ENCODING_BATCH)]
        return np.asarray(torch.cat(parts).float().cpu().numpy())

    def outputs(self, rows: Tensor) -> HashOutput:
        """What the network says of any number of images in evaluation mode, on the CPU."""
        self.network.eval()
        with torch.no_grad():
            parts = [self.output(part, self.inputs.clean) for part in rows.split(ENCODING_BATCH)]
        logits = [part.logits.cpu() for part in parts if part.logits is not None]
        return HashOutput(
            torch.cat([part.raw.cpu() for part in parts]),
            torch.cat([part.activations.cpu() for part in parts]),
            torch.cat(logits) if logits else None,
        )

    def encode(self, rows: Tensor, label_codes: NDArray[np.bool_]) -> Encoded:
        """Codes of training or validation images by the network as it is."""
        output = self.outputs(rows)
        logits = None if output.logits is None else output.logits.numpy()
        return Encoded.from_outputs(
            output.activations.numpy(), logits, self.problem.layout, label_codes
        )


def fit(
    run: Run,
    *,
    validate: Callable[[], Score] | None = None,
    checkpoint: Checkpoint | None = None,
    saved: Saved | None = None,
    report: Callable[[Epoch], None] | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> History:
    """Train and leave network and objective as they were after the best epoch.

    A loss or weight that is not finite ends the training; the history then says so.

    Args:
        run: what to train.
        validate: how good the network is, as it is, on validation images.
        checkpoint: where to save after each epoch.
        saved: what to resume from.
        report: called after each epoch.
        on_step: called with (steps done, steps in all) of the epoch.

    Raises:
        TrainingError: if a loss or weight is not finite before the first epoch is over.
    """
    if isinstance(run.method, ClosedForm):
        return _solve(run, run.method, validate, report)
    optimizer = make_optimizer(run.network, run.objective, run.recipe)
    history = History()
    trained = nn.ModuleDict({"network": run.network, "objective": run.objective})
    best = _snapshot(trained)
    patience = max(FEWEST_EPOCHS, math.ceil(PATIENCE * run.recipe.epochs))
    if saved is not None:
        best = saved.restore(run.network, run.objective, optimizer, run.generator)
        for record in saved.epochs:
            history.add(Epoch(**record))
    run.processes.agree(trained.state_dict().values())
    try:
        while len(history.epochs) < run.recipe.epochs:
            number = len(history.epochs)
            started = time.perf_counter()
            try:
                terms, seen = _run_epoch(run, optimizer, number, on_step)
                _check_finite(run.network.state_dict(), number, "the weight")
            except _NotFiniteError as error:
                if not history.epochs:
                    raise TrainingError(str(error), "lower the learning rate") from None
                history.stopped = f"{error}; the weights of epoch {history.best + 1} are kept"
                break
            speed = seen / (time.perf_counter() - started)
            epoch = _scored(Epoch(number, terms, None, speed), validate)
            if history.add(epoch):
                best = _snapshot(trained)
            if checkpoint is not None and run.processes.is_first and checkpoint.is_due():
                checkpoint.save(
                    run.network,
                    run.objective,
                    optimizer,
                    run.generator,
                    best,
                    history.to_json(),
                )
            if report is not None:
                report(epoch)
            if number - history.best >= patience:
                break
    finally:
        trained.load_state_dict(best)
    return history


def _solve(
    run: Run,
    method: ClosedForm,
    validate: Callable[[], Score] | None,
    report: Callable[[Epoch], None] | None,
) -> History:
    """Compute the hash layer from the training features."""
    started = time.perf_counter()
    rows = torch.randperm(len(run.rows), generator=run.generator)[:MOST_SOLVED].sort().values
    with torch.no_grad():
        parts = [run.network.features(run.inputs.clean(part)) for part in rows.split(1024)]
        weight, bias = method.solve(
            torch.cat(parts).float().cpu().numpy(),
            run.problem.layout.hash_bits,
            run.generator.initial_seed(),
        )
        run.network.head.hash.weight.copy_(torch.from_numpy(weight))
        run.network.head.hash.bias.copy_(torch.from_numpy(bias))
    speed = len(rows) / (time.perf_counter() - started)
    history = History()
    history.add(_scored(Epoch(0, {}, None, speed), validate))
    if report is not None:
        report(history.epochs[0])
    return history


def _run_epoch(
    run: Run,
    optimizer: torch.optim.Optimizer,
    number: int,
    on_step: Callable[[int, int], None] | None,
) -> tuple[dict[str, float], int]:
    """One pass over the training images: mean of each term, and images seen."""
    recipe, device, objective = run.recipe, run.device, run.objective
    targets = torch.from_numpy(run.problem.targets).to(device)
    batches = list(run.method.batches(run.problem, recipe.batch_size, run.generator))
    objective.begin_epoch(torch.cat(batches).unique().to(device), number / recipe.epochs)
    # Each process augments in its own way; dropout in the head has to be the same in all.
    drawn = int(torch.randint(2**32, (), generator=run.generator))
    augmenting = torch.Generator().manual_seed(drawn + run.processes.rank)
    torch.manual_seed(drawn)
    run.network.train()
    sums: dict[str, Tensor] = {}
    seen = 0
    for step, indices in enumerate(batches):
        progress = (number + step / len(batches)) / recipe.epochs
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * rate_factor(progress, one_cycle=recipe.one_cycle)
        output = run.output(indices, lambda rows: run.inputs.augmented(rows, augmenting))
        terms = objective(output, Batch(targets[indices.to(device)], indices.to(device)))
        _check_finite(terms, number, "the loss term")
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        if not run.network.frozen:
            run.processes.sum_gradients(run.network.backbone.parameters())
        for group in optimizer.param_groups:
            nn.utils.clip_grad_value_(group["params"], recipe.clip_value)
        optimizer.step()
        for name, term in terms.items():
            sums[name] = sums.get(name, torch.zeros((), device=device)) + term.detach()
        seen += len(indices)
        if on_step is not None:
            on_step(step + 1, len(batches))
    objective.end_epoch(lambda rows: run.outputs(rows.cpu()).activations)
    run.processes.agree([*run.network.state_dict().values(), *objective.state_dict().values()])
    return {name: float(total) / len(batches) for name, total in sums.items()}, seen


def _autocast(device: torch.device, enabled: bool) -> AbstractContextManager[Any]:
    if not enabled:
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def _snapshot(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


class _NotFiniteError(Exception):
    """A loss term or a weight is infinite or not a number."""


def _check_finite(values: dict[str, Tensor], epoch: int, kind: str) -> None:
    for name, value in values.items():
        if not torch.isfinite(value).all():
            culprit = value.detach()[~torch.isfinite(value)].flatten()[0]
            raise _NotFiniteError(f"{kind} '{name}' became {float(culprit)} in epoch {epoch + 1}")
