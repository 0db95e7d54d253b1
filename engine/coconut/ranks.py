"""One process or several under torchrun: who we are, and how gradients meet.

Guarantees: with n processes every micro-batch is shared out row by row, and the step is the one that a single process takes
with the whole micro-batch.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import nn


@dataclass(frozen=True)
class Ranks:
    """This process among its peers."""

    rank: int = 0
    world: int = 1
    device: str = "cpu"

    @property
    def first(self) -> bool:
        return self.rank == 0

    def share(self, rows: list[Any]) -> list[Any]:
        """Our rows of a micro-batch; with fewer rows than ranks some have none."""
        return rows[self.rank :: self.world]

    def wrap(self, model: nn.Module) -> nn.Module:
        if self.world == 1:
            return model
        # A learned pause has no gradient while no row of a step thinks.
        unused = "pause_embedding" in dict(model.named_parameters())
        return nn.parallel.DistributedDataParallel(model, find_unused_parameters=unused)

    def wait(self) -> None:
        if self.world > 1:
            dist.barrier()

    def sum(self, value: float) -> float:
        if self.world == 1:
            return value
        tensor = torch.tensor(value, dtype=torch.double, device=self.device)
        dist.all_reduce(tensor)
        return tensor.item()

    def gather(self, value: Any) -> list[Any]:
        """Every rank's value, in the ranks' order, on every rank."""
        if self.world == 1:
            return [value]
        found: list[Any] = [None] * self.world
        dist.all_gather_object(found, value)
        return found


def unsynced(model: nn.Module, last: bool) -> Any:
    """Gradients meet in the last backward pass of a step only."""
    if last or not isinstance(model, nn.parallel.DistributedDataParallel):
        return nullcontext()
    return model.no_sync()


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """Join the peers that torchrun started, if it did."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Ranks(device=device)
        return
    local = int(os.environ.get("LOCAL_RANK", "0"))
    here = f"cuda:{local}" if device == "cuda" else device
    if device == "cuda":
        torch.cuda.set_device(local)
    dist.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        yield Ranks(dist.get_rank(), world, here)
    finally:
        dist.destroy_process_group()
