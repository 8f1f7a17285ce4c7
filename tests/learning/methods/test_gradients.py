"""Gradients of every objective against differences, in float64."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from terrahash.learning.heads import HashOutput, signs
from terrahash.learning.methods import METHODS
from terrahash.learning.methods.base import Method, Problem

from .conftest import batch_of

ROWS = [0, 1, 2, 10, 11, 12, 20, 21, 22]


def methods() -> list[Method]:
    """Each method as corrected and as published, and with each of its ablations."""
    every = [each() for each in METHODS.values() if each.needs_labels]
    every += [each.published() for each in METHODS.values() if each.published_switches]
    ablations = [
        ("mhcln", {"balance": "bit"}),
        ("hpsh", {"sampling": "uniform", "quantized": "nothing"}),
        ("dhcl", {"proxy_loss": "anchor", "anchor_scale": 4.0}),
    ]
    every += [dataclasses.replace(METHODS[name](), **numbers) for name, numbers in ablations]
    return [
        dataclasses.replace(each, images_per_class=3) if each.name == "hpsh" else each
        for each in every
    ]


def activate(method: Method, problem: Problem, raw: Tensor) -> Tensor:
    """The activations of a head for these raw values."""
    activation = method.head(problem).activation
    if activation == "tanh":
        return raw.tanh()
    return 2 * raw.sigmoid() - 1 if activation == "sigmoid" else raw


@pytest.mark.parametrize("method", methods(), ids=lambda method: f"{method.name} {method.variant}")
@pytest.mark.parametrize("kind", ["balanced", "label_sets"])
def test_gradients(method: Method, kind: str, request: pytest.FixtureRequest) -> None:
    problem: Problem = request.getfixturevalue(kind)
    if kind == "label_sets" and method.name in ("dhcl", "orthohash"):
        pytest.skip("takes one class an image")
    torch.manual_seed(0)
    objective = method.objective(problem).double()
    objective.begin_epoch(torch.arange(60), 0.3)
    raw = torch.randn(9, 16, dtype=torch.float64, requires_grad=True)
    logits = torch.randn(9, 6, dtype=torch.float64, requires_grad=True)
    batch = batch_of(problem, ROWS)
    names = [name for name, value in objective.named_parameters() if value.requires_grad]
    parameters = [
        dict(objective.named_parameters())[name].detach().requires_grad_() for name in names
    ]

    def terms(raw: Tensor, logits: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
        torch.manual_seed(1)  # draws are not differentiated
        output = HashOutput(raw, activate(method, problem, raw), logits)
        state = dict(zip(names, values, strict=True))
        return tuple(functional_call(objective, state, (output, batch)).values())

    inputs = (raw, logits, *parameters)
    assert torch.autograd.gradcheck(terms, inputs, eps=1e-6, atol=1e-5, fast_mode=True)


def test_signs_pass_the_gradient_straight_through() -> None:
    values = torch.tensor([-0.3, 0.0, 2.0], requires_grad=True)
    out = signs(values)
    assert out.tolist() == [-1, 1, 1]
    (out * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [1, 2, 3]
