"""The loop itself: hooks, the best epoch, faults, closed forms, and several processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from terrahash.codes import CodeLayout
from terrahash.errors import TrainingError
from terrahash.learning.heads import HashOutput
from terrahash.learning.inputs import FeatureInputs
from terrahash.learning.loop import History, Run, Score, fit, rate_factor
from terrahash.learning.methods import make_method
from terrahash.learning.methods.base import Batch, Method, Mode, Objective, Problem, Recipe
from terrahash.learning.model import HashNetwork
from terrahash.learning.processes import Processes

IMAGES, FEATURES = 60, 8


pytestmark = pytest.mark.usefixtures("one_thread")


@dataclass(frozen=True, kw_only=True)
class Squares(Method):
    """Draws activations to one."""

    name = "squares"
    title = "Squares"
    dropout: float = 0.0
    epochs: int = 4
    learning_rate: float = 1e-3

    def recipe(self, mode: Mode) -> Recipe:
        return Recipe(epochs=self.epochs, batch_size=20, learning_rate=self.learning_rate)

    def objective(self, problem: Problem) -> Objective:
        return SquaresObjective()


class SquaresObjective(Objective):
    """Notes what it is told; becomes infinite in the epoch ``breaks``."""

    epoch: Tensor

    def __init__(self, breaks: int | None = None) -> None:
        super().__init__()
        self.breaks = breaks
        self.told: list[str] = []
        self.register_buffer("epoch", torch.zeros((), dtype=torch.int64))

    def begin_epoch(self, rows: Tensor, progress: float) -> None:
        self.epoch += 1
        self.told.append(f"begin {len(rows)} {progress:g}")

    def forward(self, output: HashOutput, batch: Batch) -> dict[str, Tensor]:
        self.told.append("step")
        distance = (output.activations - 1).square().mean()
        broken = distance * torch.inf if self.epoch == self.breaks else distance * 0
        return {"distance": distance, "strange": broken}

    def end_epoch(self, activations: Callable[[Tensor], Tensor]) -> None:
        self.told.append(f"end {tuple(activations(torch.arange(5)).shape)}")


def a_run(method: Method, objective: Objective | None = None, **changes: Any) -> Run:
    """A head on random features of four classes."""
    random = np.random.default_rng(0)
    labels = np.arange(IMAGES) % 4
    features = random.standard_normal((IMAGES, FEATURES)) + 2 * np.eye(4, FEATURES)[labels]
    problem = Problem(FEATURES, CodeLayout(16), np.asarray(labels[:, None] == np.arange(4)))
    torch.manual_seed(0)
    return Run(
        network=HashNetwork(nn.Identity(), method.head(problem), frozen=True),
        objective=objective or method.objective(problem),
        method=method,
        recipe=method.recipe("frozen"),
        problem=problem,
        inputs=FeatureInputs(features.astype(np.float32), torch.device("cpu")),
        generator=torch.Generator().manual_seed(0),
        **changes,
    )


def test_objectives_are_told_of_epochs() -> None:
    objective = SquaresObjective()
    fit(a_run(Squares(epochs=2), objective))
    assert objective.told == [
        *["begin 60 0", "step", "step", "step", "end (5, 16)"],
        *["begin 60 0.5", "step", "step", "step", "end (5, 16)"],
    ]


def test_network_and_objective_are_left_as_in_the_best_epoch() -> None:
    run = a_run(Squares(epochs=5))
    weights: list[Tensor] = []
    scores = iter([0.1, 0.3, 0.2, 0.28, 0.1])

    def validate() -> Score:
        weights.append(run.network.head.hash.weight.detach().clone())
        return Score(next(scores), 0.01)

    history = fit(run, validate=validate)
    assert history.best == 1
    assert run.network.head.hash.weight.equal(weights[1])
    assert isinstance(run.objective, SquaresObjective)
    assert int(run.objective.epoch) == 2


def test_a_loss_that_is_not_finite_ends_training_with_the_last_good_weights() -> None:
    run = a_run(Squares(epochs=5), SquaresObjective(breaks=3))
    history = fit(run)
    assert len(history.epochs) == 2
    assert history.stopped is not None
    assert "the loss term 'strange' became inf in epoch 3" in history.stopped
    assert "weights of epoch 2 are kept" in history.stopped
    assert torch.isfinite(run.network.head.hash.weight).all()


def test_a_loss_that_is_never_finite_is_an_error() -> None:
    with pytest.raises(TrainingError, match="'strange' became inf in epoch 1"):
        fit(a_run(Squares(), SquaresObjective(breaks=1)))


def test_weights_that_are_not_finite_are_not_kept() -> None:
    class Spoiling(SquaresObjective):
        def end_epoch(self, activations: Callable[[Tensor], Tensor]) -> None:
            if self.epoch == 2:
                run.network.head.hash.bias.data[0] = torch.nan

    run = a_run(Squares(epochs=3), Spoiling())
    history = fit(run)
    assert history.stopped is not None
    assert "the weight 'head.hash.bias' became nan in epoch 2" in history.stopped
    assert torch.isfinite(run.network.head.hash.bias).all()


def test_the_same_seed_gives_the_same_weights() -> None:
    first, second = a_run(make_method("greedyhash")), a_run(make_method("greedyhash"))
    for run in (first, second):
        fit(run)
    assert first.network.head.hash.weight.equal(second.network.head.hash.weight)


def test_closed_forms_fill_the_head_at_once() -> None:
    run = a_run(make_method("lsh"))
    epochs: list[int] = []
    history = fit(
        run, validate=lambda: Score(0.5, 0.0), report=lambda epoch: epochs.append(epoch.number)
    )
    weight, bias = make_method("lsh").solve(  # type: ignore[attr-defined]
        run.inputs.clean(run.rows).numpy(), 16, 0
    )
    assert run.network.head.hash.weight.detach().numpy() == pytest.approx(weight)
    assert run.network.head.hash.bias.detach().numpy() == pytest.approx(bias)
    assert epochs == [0]
    assert history.epochs[0].score == 0.5


def test_without_scores_the_latest_epoch_is_the_best() -> None:
    assert fit(a_run(Squares())).best == 3


def test_the_rate_rises_and_falls() -> None:
    assert rate_factor(0, one_cycle=True) == pytest.approx(0.01)
    assert rate_factor(0.25, one_cycle=True) == pytest.approx(1)
    assert rate_factor(1, one_cycle=True) == pytest.approx(0.01)
    assert rate_factor(0.7, one_cycle=False) == 1


def test_an_empty_history_has_no_best() -> None:
    assert History().best == -1


def test_parts_are_equally_long_and_cover_everything() -> None:
    rows = torch.arange(7)
    parts = [Processes(rank, 3).part(rows) for rank in range(3)]
    assert [len(part) for part in parts] == [3, 3, 3]
    assert torch.cat(parts)[:7].equal(rows)
    assert [len(Processes(rank, 4).part(rows[:1])) for rank in range(4)] == [1, 1, 1, 1]


@pytest.mark.slow
def test_two_processes_give_what_one_gives(tiles: Path, tmp_path: Path) -> None:
    """Proxies, AHCL's tables and the network, fine-tuned by torchrun with gloo."""
    script = Path(__file__).with_name("torchrun_training.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    results = []
    for count in (1, 2):
        out = tmp_path / f"{count}.npz"
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(count)]
        subprocess.run(
            [sys.executable, *launcher, str(script), str(tiles), str(out)],
            check=True,
            env=environment,
            capture_output=True,
            timeout=250,
        )
        with np.load(out) as stored:
            results.append(dict(stored))
    alone, together = results
    assert alone["processes"] == 1
    assert together["processes"] == 2
    for name in alone.keys() - {"processes"}:
        np.testing.assert_allclose(together[name], alone[name], rtol=0.02, atol=2e-3, err_msg=name)
