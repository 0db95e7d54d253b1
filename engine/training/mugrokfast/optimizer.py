"""MuGrokfast: the slow part of the gradient strengthened (Grokfast), then Muon for matrices and AdamW for the rest.

    optimizer = MuGrokfast(param_groups(model, config), config)

Per step, for every parameter with a gradient g:
  1. ema <- alpha ema + (1 - alpha) g (the first: ema = g), g' = g + lambda ema. With lambda 0 no average exists.
  2. matrices: m <- m + (1 - mu)(g' - m), u = g' + mu (m - g'), O = orthogonal(u), W <- (1 - lr wd) W - lr s O, where
     s = 0.2 sqrt(max(rows, columns)), the size of AdamW's updates;
  3. the rest: AdamW, fused.
  4. `clip`, if given, bounds the attention logits that it saw (`qk_clip.py`).

Guarantees: an ordinary `torch.optim.Optimizer` (schedulers set `lr` of its groups, DDP's averaged gradients fit); gradients are
read, never changed; saved and loaded state goes on with the same bits; a gradient of zeros moves nothing but by decay.
Does not: sharded (DTensor), sparse or complex parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw

from engine.config.mugrokfast import MuGrokfastConfig
from engine.training.mugrokfast import probe
from engine.training.mugrokfast.newton_schulz import normalised, orthogonal

_MOST_STACKED = 1 << 26  # numbers of one stack: half a gigabyte at its widest moment


class MuGrokfast(torch.optim.Optimizer):
    """See the module's page. `after_step` is called at the end of every step: QK-clip's place."""

    def __init__(
        self, groups: list[dict[str, Any]], config: MuGrokfastConfig, after_step: Callable[[], Any] | None = None
    ) -> None:
        if not all(isinstance(group, dict) and "kind" in group for group in groups):
            raise TypeError(
                "MuGrokfast needs param_groups(model, config): from tensors alone it can't tell a table from a map"
            )
        self.after_step = after_step
        said = config.model_dump(include={"grokfast_lambda", "grokfast_alpha", "momentum", "nesterov", "ns_steps"})
        more = {"betas": config.betas, "eps": config.eps, "ns_dtype": config.ns_dtype, "ns_batched": config.ns_batched}
        super().__init__(groups, {"lr": config.muon_lr, **said, **more, "ways": {}})
        for group in self.param_groups:
            group["ways"] = dict(group["ways"])  # not the default's one dict
            for p in group["params"]:
                if group["kind"] == "muon" and p.ndim != 2:
                    raise ValueError(f"Muon updates matrices; a parameter of shape {tuple(p.shape)} belongs to AdamW")

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            for p in params:
                if p.grad.is_sparse or p.is_complex():
                    raise RuntimeError(f"MuGrokfast takes dense real gradients; one of shape {tuple(p.shape)} is not")
            if params and group["kind"] == "muon":
                self._update_matrices(group, params)
            elif params:
                self._update_others(group, params)
        if self.after_step is not None:
            self.after_step()
        return loss

    # Matrices

    def _update_matrices(self, group: dict[str, Any], params: list[Tensor]) -> None:
        by_shape: dict[tuple[int, int], list[Tensor]] = {}
        for p in params:
            by_shape.setdefault(_part_shape(p, group), []).append(p)
        self._choose_ways(group, by_shape)
        for shape, members in by_shape.items():
            dtype_name, batched = group["ways"][_key(shape)]
            dtype = getattr(torch, dtype_name)
            together = max(1, _MOST_STACKED // (shape[0] * shape[1])) if batched else 1
            for at in range(0, len(members), together):
                self._update_alike(group, members[at : at + together], dtype)

    def _choose_ways(self, group: dict[str, Any], by_shape: dict[tuple[int, int], list[Tensor]]) -> None:
        new = [shape for shape in by_shape if _key(shape) not in group["ways"]]
        if not new:
            return
        ways: dict[str, list[object]] = {}
        for shape in new:
            members = by_shape[shape]
            asked = None if group["ns_dtype"] == "probe" else group["ns_dtype"]
            way = probe.choose(shape, len(members) * group["parts"], members[0].device, asked, group["ns_batched"])
            ways[_key(shape)] = [way.dtype, way.batched]
        group["ways"].update(probe.agreed(ways))

    def _update_alike(self, group: dict[str, Any], params: list[Tensor], dtype: torch.dtype) -> None:
        """One matrix while its numbers are in the cache, or a stack of one shape."""
        n, dim = group["parts"], group["parts_dim"]
        views = [view for p in params for view in (p.chunk(n, dim) if n > 1 else (p,))]
        directions = [self._direction(p, group) for p in params]
        pieces = [piece for u in directions for piece in (u.chunk(n, dim) if n > 1 else (u,))]
        lr, rows_columns = group["lr"], views[0].shape
        size = -lr * 0.2 * max(rows_columns) ** 0.5
        decay = 1 - lr * group["weight_decay"]
        if len(pieces) > 1 and len(params) > 1:
            done = orthogonal(normalised(torch.stack(pieces), dtype), group["ns_steps"]).unbind()
        else:
            done = tuple(orthogonal(normalised(piece, dtype), group["ns_steps"]) for piece in pieces)
        for view, update in zip(views, done, strict=True):
            if decay != 1:
                view.mul_(decay)
            view.add_(update, alpha=size)

    def _direction(self, p: Tensor, group: dict[str, Any]) -> Tensor:
        """Grokfast, then momentum: the matrix that is made orthogonal."""
        state, mu = self.state[p], group["momentum"]
        strengthened = self._strengthened(p, group)
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(p)
        momentum = state["momentum"].lerp_(strengthened, 1 - mu)
        if not group["nesterov"]:
            return momentum
        own = strengthened is not p.grad  # a tensor of ours may be overwritten, a gradient may not
        return strengthened.lerp_(momentum, mu) if own else strengthened.lerp(momentum, mu)

    def _strengthened(self, p: Tensor, group: dict[str, Any]) -> Tensor:
        assert p.grad is not None
        weight = group["grokfast_lambda"]
        if weight == 0:
            return p.grad
        state = self.state[p]
        if "grokfast" not in state:
            state["grokfast"] = p.grad.clone()
        else:
            state["grokfast"].lerp_(p.grad, 1 - group["grokfast_alpha"])
        return torch.add(p.grad, state["grokfast"], alpha=weight)

    # Everything else

    def _update_others(self, group: dict[str, Any], params: list[Tensor]) -> None:
        for p in params:
            state = self.state[p]
            if "step" not in state:
                state["step"] = torch.zeros((), dtype=torch.float32, device=p.device)
                state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(p), torch.zeros_like(p)
        beta1, beta2 = group["betas"]
        adamw(
            params,
            [self._strengthened(p, group) for p in params],
            [self.state[p]["exp_avg"] for p in params],
            [self.state[p]["exp_avg_sq"] for p in params],
            [],
            [self.state[p]["step"] for p in params],
            fused=True,
            amsgrad=False,
            beta1=beta1,
            beta2=beta2,
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )


def _part_shape(p: Tensor, group: dict[str, Any]) -> tuple[int, int]:
    rows, columns = p.shape
    n, dim = group["parts"], group["parts_dim"]
    return (rows // n, columns) if dim == 0 else (rows, columns // n)


def _key(shape: tuple[int, int]) -> str:
    return f"{shape[0]}x{shape[1]}"
