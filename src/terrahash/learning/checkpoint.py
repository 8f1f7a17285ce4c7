"""Interrupted training goes on where its last whole epoch ended. No pickle: safetensors."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

# Epochs of a frozen backbone take a fraction of a second; saving each would double their time.
SECONDS_BETWEEN_SAVES = 10.0


@dataclass(frozen=True)
class Saved:
    """The contents of a checkpoint file."""

    tensors: Mapping[str, Tensor]
    epochs: list[dict[str, Any]]
    groups: list[dict[str, Any]]

    def restore(
        self,
        network: nn.Module,
        objective: nn.Module,
        optimizer: torch.optim.Optimizer,
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """Put everything back as it was; returns the weights of the best epoch."""
        network.load_state_dict(self._part("network."))
        objective.load_state_dict(self._part("objective."))
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in self._part("optimizer.").items():
            index, key = name.split(".", 1)
            state.setdefault(int(index), {})[key] = tensor
        optimizer.load_state_dict({"state": state, "param_groups": self.groups})
        generator.set_state(self.tensors["rng.generator"])
        torch.set_rng_state(self.tensors["rng.torch"])
        return self._part("best.")

    def _part(self, prefix: str) -> dict[str, Tensor]:
        return {
            name.removeprefix(prefix): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(prefix)
        }


class Checkpoint:
    """A checkpoint file that belongs to one configuration.

    Args:
        path: of the file; replaced as a whole after each epoch.
        configuration: everything that the result depends on; a file of another configuration is
            not resumed from.
    """

    def __init__(self, path: Path, configuration: Mapping[str, Any]) -> None:
        self.path = path
        self._configuration = json.dumps(configuration, sort_keys=True)
        self._saved_at = time.monotonic()

    def is_due(self) -> bool:
        """Whether enough time has passed since the last save for another one."""
        return time.monotonic() - self._saved_at >= SECONDS_BETWEEN_SAVES

    def save(
        self,
        network: nn.Module,
        objective: nn.Module,
        optimizer: torch.optim.Optimizer,
        generator: torch.Generator,
        best: Mapping[str, Tensor],
        epochs: list[dict[str, Any]],
    ) -> None:
        """Write the state after a whole epoch."""
        optimizer_state = optimizer.state_dict()
        tensors = {
            **{f"network.{name}": value for name, value in network.state_dict().items()},
            **{f"objective.{name}": value for name, value in objective.state_dict().items()},
            **{f"best.{name}": value for name, value in best.items()},
            **{
                f"optimizer.{index}.{key}": value
                for index, entry in optimizer_state["state"].items()
                for key, value in entry.items()
            },
            "rng.generator": generator.get_state(),
            "rng.torch": torch.get_rng_state(),
        }
        metadata = {
            "configuration": self._configuration,
            "epochs": json.dumps(epochs),
            "groups": json.dumps(optimizer_state["param_groups"]),
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        scratch = self.path.with_suffix(".tmp")
        save_file(
            {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()},
            scratch,
            metadata,
        )
        scratch.replace(self.path)
        self._saved_at = time.monotonic()

    def load(self) -> Saved | None:
        """What was saved, or None if there is nothing sound of this configuration."""
        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, framework="pt") as file:
                metadata = file.metadata()
                if metadata.get("configuration") != self._configuration:
                    return None
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError):
            return None
        return Saved(tensors, json.loads(metadata["epochs"]), json.loads(metadata["groups"]))

    def remove(self) -> None:
        """Delete the file: training is done."""
        self.path.unlink(missing_ok=True)
