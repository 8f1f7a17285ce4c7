"""The processes of one training run: one alone, or those that ``torchrun`` started.

The backbone's work is divided: each process computes the features of its part of a batch, and the
features are gathered. All that follows, head, objective, proxies and tables, every process does
alike on the whole batch, so that a loss over pairs or triplets is the same however many they are.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed


def is_first_process() -> bool:
    """Whether this process is the one that writes and reports."""
    return int(os.environ.get("RANK", "0")) == 0


@dataclass(frozen=True)
class Processes:
    """Who works on this training run.

    Attributes:
        rank: of this process.
        count: of all processes.
    """

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process saves checkpoints and reports."""
        return self.rank == 0

    def part(self, rows: Tensor) -> Tensor:
        """This process's part of ``(n,)`` rows; all parts are equally long, so some rows may come
        twice."""
        if self.count == 1:
            return rows
        each = -(-len(rows) // self.count)
        padded = rows.repeat(-(-each * self.count // len(rows)))[: each * self.count]
        return padded[self.rank * each : (self.rank + 1) * each]

    def gather(self, part: Tensor, length: int) -> Tensor:
        """The whole ``(length, D)`` from each process's part, with the gradient of the own part.

        Every process must compute the same loss from it; :meth:`sum_gradients` then gives the
        gradient of that loss.
        """
        if self.count == 1:
            return part
        whole: Tensor = _Gather.apply(part.contiguous(), self)  # type: ignore[no-untyped-call]
        return whole[:length]

    def sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Add up the gradients of parameters whose input was divided."""
        if self.count == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        for gradient, part in zip(
            gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True
        ):
            gradient.copy_(part.view_as(gradient))

    def agree(self, tensors: Iterable[Tensor]) -> None:
        """Take over the first process's values, so that rounding cannot drive processes apart."""
        if self.count > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, 0)

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            distributed.barrier()


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, part: Tensor, processes: Processes) -> Tensor:
        context.processes = processes
        parts = [torch.empty_like(part) for _ in range(processes.count)]
        distributed.all_gather(parts, part)
        return torch.cat(parts)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0].chunk(context.processes.count)[context.processes.rank], None


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """Join the processes that ``torchrun`` started, each on a GPU of its own where there are any;
    without ``torchrun`` this process is alone."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes()
        return
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Processes(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()
