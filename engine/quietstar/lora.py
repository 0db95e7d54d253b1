"""LoRA of our own: a low-rank change beside frozen matrices, with a switch.

    lora = attach(model, rank=16, alpha=32, targets=("q", "k", "v", "o"))    # names of linear modules, their last part
    with lora.off(): teacher = model(ids)                                    # the model as it was, to the bit
    with lora.scaled(0.5): half = model(ids)                                 # half-baked
    undo = lora.merge(0.5)                                                   # W += 0.5 * alpha/r * B A; undo() restores the bits
    lora.detach(0.5)                                                         # merged for good, plain modules again

Guarantees: right after `attach` the model computes what it did (B = 0); `off()` gives the base's very numbers; a merge that
`merged_difference` measures above a tolerance is undone by `merge_checked`. Only A and B get gradients.
Knows `nn.Linear` and GPT-2's `Conv1D` (the same map, its weight transposed).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LoraError(Exception):
    """An adapter that can't be attached or merged. The message names the module and the reason."""


class Adapter(nn.Module):
    """A frozen linear map plus strength * alpha/r * B A. Letters: R rank, I in, O out."""

    def __init__(self, base: nn.Module, rank: int, alpha: float, dropout: float, generator: torch.Generator | None):
        super().__init__()
        weight = base.weight
        self.transposed = _is_conv1d(base)
        out_dim, in_dim = weight.shape[::-1] if self.transposed else weight.shape
        self.base, self.dropout, self.strength = base, dropout, 1.0
        self.scale = alpha / rank
        drawn = torch.randn(rank, in_dim, generator=generator) / math.sqrt(in_dim)
        self.A = nn.Parameter(drawn.to(weight))
        self.B = nn.Parameter(torch.zeros(out_dim, rank, dtype=weight.dtype, device=weight.device))
        self.register_buffer("gain_O", None)
        """What QK-clip made of the rows of base and change together; the base itself, which is the teacher, stays."""

    @property
    def weight(self) -> Tensor:
        """The base's weight: code that asks a linear module for its dtype, shape or device finds it."""
        return self.base.weight

    @property
    def bias(self) -> Tensor | None:
        return getattr(self.base, "bias", None)

    def forward(self, x: Tensor) -> Tensor:
        y = self.base(x)
        if self.strength == 0:
            return y
        drops = self.dropout and self.training and torch.is_grad_enabled()  # a teacher or a judge drops nothing
        inner = F.dropout(x, self.dropout) if drops else x
        change = F.linear(F.linear(inner, self.A), self.B) * self.scale
        if self.gain_O is not None:
            change = self.gain_O * (y + change) - y
        return y + change * self.strength

    def delta_OI(self, strength: float = 1.0) -> Tensor:
        """What is added to the weight, as (out, in)."""
        delta = (self.B @ self.A) * self.scale
        if self.gain_O is not None:
            base = self.base.weight.T if self.transposed else self.base.weight
            delta = self.gain_O[:, None] * (base + delta) - base
        return delta * strength

    @torch.no_grad()
    def add_to_base(self, strength: float) -> None:
        delta = self.delta_OI(strength)
        self.base.weight.add_(delta.T if self.transposed else delta)
        if self.gain_O is not None and self.bias is not None:
            self.bias.add_((self.gain_O - 1) * self.bias * strength)

    @torch.no_grad()
    def scale_rows(self, first: int, end: int, factor: Tensor | float) -> None:
        """Shrink some rows of what the student sees: the change is made smaller or negative, the base is not touched."""
        if self.gain_O is None:
            self.gain_O = torch.ones(len(self.B), dtype=self.B.dtype, device=self.B.device)
        self.gain_O[first:end] *= factor


def _is_conv1d(module: nn.Module) -> bool:
    return type(module).__name__ == "Conv1D"  # of transformers, which is not imported for a question


@dataclass
class Lora:
    """The adapters of one model, by the names of the modules that they stand for."""

    model: nn.Module
    rank: int
    alpha: float
    adapters: dict[str, Adapter] = field(default_factory=dict)

    def parameters(self) -> Iterator[nn.Parameter]:
        for adapter in self.adapters.values():
            yield from (adapter.A, adapter.B)

    @contextmanager
    def scaled(self, strength: float) -> Iterator[None]:
        before = {name: adapter.strength for name, adapter in self.adapters.items()}
        self.set_strength(strength)
        try:
            yield
        finally:
            for name, adapter in self.adapters.items():
                adapter.strength = before[name]

    def off(self) -> Any:
        """The model without its adapters, while the context lasts."""
        return self.scaled(0.0)

    def set_strength(self, strength: float) -> None:
        for adapter in self.adapters.values():
            adapter.strength = strength

    def merge(self, strength: float = 1.0) -> Callable[[], None]:
        """Add the change to the weights and switch the adapters off; what is returned restores the very bits."""
        before = {
            name: [p.detach().clone() for p in adapter.base.parameters()] for name, adapter in self.adapters.items()
        }
        strengths = {name: adapter.strength for name, adapter in self.adapters.items()}
        for adapter in self.adapters.values():
            adapter.add_to_base(strength)
            adapter.strength = 0.0

        def undo() -> None:
            with torch.no_grad():
                for name, adapter in self.adapters.items():
                    for p, was in zip(adapter.base.parameters(), before[name], strict=True):
                        p.copy_(was)
                    adapter.strength = strengths[name]

        return undo

    def merge_checked(self, logits_of: Callable[[], Tensor], strength: float = 1.0, tolerance: float = 1e-5) -> float:
        """Merge and compare with the adapters' own logits; the relative difference, or LoraError with the merge undone."""
        with torch.no_grad(), self.scaled(strength):
            beside = logits_of()
        undo = self.merge(strength)
        with torch.no_grad():
            difference = merged_difference(beside, logits_of())
        if not difference <= tolerance:
            undo()
            raise LoraError(
                f"merged weights give other logits than the adapter (relative difference {difference:.1e}, allowed "
                f"{tolerance:.0e}); the merge was undone. Merge in float32, or allow more."
            )
        return difference

    def detach(self, strength: float | None = None) -> nn.Module:
        """Plain modules again, merged at a strength where one is given; the model itself, trainable as before."""
        for name, adapter in self.adapters.items():
            if strength:
                adapter.add_to_base(strength)
            _put(self.model, name, adapter.base)
        self.adapters = {}
        for p in self.model.parameters():
            p.requires_grad_(True)
        return self.model

    def state(self) -> dict[str, Tensor]:
        """A, B and gains by name, for a checkpoint."""
        found = {}
        for name, adapter in self.adapters.items():
            found |= {f"{name}.A": adapter.A.detach(), f"{name}.B": adapter.B.detach()}
            if adapter.gain_O is not None:
                found[f"{name}.gain_O"] = adapter.gain_O
        return found

    @torch.no_grad()
    def load(self, state: dict[str, Tensor]) -> None:
        for name, adapter in self.adapters.items():
            adapter.gain_O = torch.ones_like(adapter.B[:, 0]) if f"{name}.gain_O" in state else None
        mine = self.state()
        if wrong := sorted(set(mine) ^ set(state)):
            raise LoraError(f"the adapter saved is of another model: {wrong[0]} stands on one side only")
        for name, value in mine.items():
            if value.shape != state[name].shape:
                raise LoraError(f"{name} is {tuple(value.shape)} here and {tuple(state[name].shape)} in what was saved")
            value.copy_(state[name])


def merged_difference(adapter_logits: Tensor, merged_logits: Tensor) -> float:
    """The largest difference over the largest logit."""
    return ((adapter_logits - merged_logits).abs().max() / adapter_logits.abs().max().clamp_min(1e-30)).item()


def attach(
    model: nn.Module,
    rank: int,
    alpha: float,
    targets: Iterable[str],
    dropout: float = 0.0,
    generator: torch.Generator | None = None,
) -> Lora:
    """Wrap every linear module whose last name is a target; all else is frozen."""
    named = _linear_modules(model, set(targets))
    lora = Lora(model, rank, alpha)
    for p in model.parameters():
        p.requires_grad_(False)
    for name, module in named:
        adapter = Adapter(module, rank, alpha, dropout, generator)
        adapter.train(module.training)
        _put(model, name, adapter)
        lora.adapters[name] = adapter
    return lora


def _linear_modules(model: nn.Module, targets: set[str]) -> list[tuple[str, nn.Module]]:
    """The modules of these last names, each of them linear; LoraError where one is not, or where a name has none."""
    named = [(name, module) for name, module in model.named_modules() if _last(name) in targets]
    for name, module in named:
        if not _is_linear(module):
            raise LoraError(f"{name} is a {type(module).__name__}; an adapter stands beside linear maps only")
    if missing := sorted(targets - {_last(name) for name, _ in named}):
        have = sorted({_last(name) for name, module in model.named_modules() if _is_linear(module)})
        raise LoraError(f"the model has no module {missing[0]!r}; its linear ones are: {', '.join(have)}")
    return named


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear) or _is_conv1d(module)


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _put(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, module)
