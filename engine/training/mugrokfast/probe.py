"""Which way of computing is faster on this machine, for the shapes at hand: a few milliseconds, once, at the first step.

On CPUs with bfloat16 units one matrix at a time in bfloat16 wins for large matrices and a stack in float32 for small ones; on a
GPU a stack saves the launches. What was chosen stands in the optimizer's state, so a resumed run computes the same way.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor

_SAMPLE = 8  # matrices of one shape that stand for all of them
_TRIES = 3
_GAIN = 1.15  # bfloat16 must be this much faster to be worth its rounding


@dataclass(frozen=True)
class Way:
    """How matrices of one shape are orthogonalised."""

    dtype: str
    batched: bool


def choose(shape: tuple[int, int], count: int, device: torch.device, dtype: str | None, batched: bool | None) -> Way:
    """The faster way for `count` matrices of a shape; what is given is not probed."""
    stack = torch.randn(min(count, _SAMPLE), *shape, device=device)
    if batched is None:
        whole = stack if dtype in (None, "float64") else stack.to(getattr(torch, dtype))
        batched = count > 1 and _seconds(whole, True) < _seconds(whole, False)
    if dtype is None:
        if device.type == "cuda":
            dtype = "bfloat16"
        else:
            slow, fast = _seconds(stack, batched), _seconds(stack.bfloat16(), batched)
            dtype = "bfloat16" if fast * _GAIN < slow else "float32"
    return Way(dtype, batched)


def _seconds(stack: Tensor, batched: bool) -> float:
    """The time of one product of each matrix with its transpose, the best of a few."""
    best = float("inf")
    for _ in range(_TRIES):
        _wait(stack)
        began = time.perf_counter()
        if batched:
            stack @ stack.mT
        else:
            for matrix in stack:
                matrix @ matrix.mT
        _wait(stack)
        best = min(best, time.perf_counter() - began)
    return best


def _wait(tensor: Tensor) -> None:
    if tensor.is_cuda:
        torch.cuda.synchronize(tensor.device)


def agreed(ways: dict[str, list[object]]) -> dict[str, list[object]]:
    """What rank 0 chose, on every rank: replicas must compute the same bits."""
    import torch.distributed as dist

    if not (dist.is_available() and dist.is_initialized()):
        return ways
    box = [ways]
    dist.broadcast_object_list(box, src=0)
    return box[0]
