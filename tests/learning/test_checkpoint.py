"""Checkpoints."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from terrahash.learning.checkpoint import Checkpoint


def setup(seed: int) -> tuple[nn.Linear, nn.Linear, torch.optim.Optimizer, torch.Generator]:
    torch.manual_seed(seed)
    network, objective = nn.Linear(3, 2), nn.Linear(2, 1)
    optimizer = torch.optim.AdamW([*network.parameters(), *objective.parameters()])
    return network, objective, optimizer, torch.Generator().manual_seed(seed)


def step(
    network: nn.Module,
    objective: nn.Module,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
) -> None:
    loss = objective(network(torch.rand(5, 3, generator=generator))).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def test_going_on_is_as_if_nothing_had_happened(tmp_path: Path) -> None:
    network, objective, optimizer, generator = setup(0)
    step(network, objective, optimizer, generator)
    checkpoint = Checkpoint(tmp_path / "a.safetensors", {"seed": 0})
    best = {"weight": network.weight.detach() * 2, "bias": network.bias.detach()}
    checkpoint.save(network, objective, optimizer, generator, best, [{"number": 0}])
    step(network, objective, optimizer, generator)

    other = setup(7)
    saved = Checkpoint(tmp_path / "a.safetensors", {"seed": 0}).load()
    assert saved is not None
    assert saved.epochs == [{"number": 0}]
    restored = saved.restore(*other)
    torch.testing.assert_close(restored["weight"], best["weight"])
    step(*other)
    for mine, theirs in zip(network.parameters(), other[0].parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_only_the_same_configuration_is_resumed(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    network, objective, optimizer, generator = setup(0)
    Checkpoint(path, {"seed": 0}).save(network, objective, optimizer, generator, {}, [])
    assert Checkpoint(path, {"seed": 0}).load() is not None
    assert Checkpoint(path, {"seed": 1}).load() is None


def test_damaged_or_missing_files_are_no_checkpoints(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    checkpoint = Checkpoint(path, {})
    assert checkpoint.load() is None
    path.write_bytes(b"torn")
    assert checkpoint.load() is None
    checkpoint.remove()
    checkpoint.remove()
    assert not path.exists()
