"""Which parameter gets which update: hidden matrices and LoRA factors Muon's, everything else AdamW's.

    groups = param_groups(model, MuGrokfastConfig.baking())

Tables, heads (tied or not), norms, biases, and maps to a single number are AdamW's: an orthogonal update has no meaning for rows
that are looked up one at a time. A matrix that joins q, k and v is split before it is made orthogonal, since each is its own map.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

from engine.config.mugrokfast import MuGrokfastConfig

_FUSED = ("c_attn", "qkv", "qkv_proj", "in_proj_weight")
_HEADS = ("lm_head", "head", "embed_out")


def param_groups(model: nn.Module, config: MuGrokfastConfig, adamw: Iterable[str] = ()) -> list[dict[str, Any]]:
    """Groups for `MuGrokfast`. `adamw`: beginnings of names that are to stay off Muon."""
    tables = _tables(model)
    keep_off = tuple(adamw)
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for name, p in model.named_parameters():
        if not p.requires_grad:
            continue
        is_matrix = (
            p.ndim == 2 and min(p.shape) > 1 and id(p) not in tables and not name.startswith(keep_off or ("\0",))
        )
        parts, dim = _parts(name, tuple(p.shape)) if is_matrix else (1, 0)
        decay = config.weight_decay if p.ndim > 1 else 0.0
        key = (is_matrix, parts, dim, decay)
        lr = config.muon_lr if is_matrix else config.adamw_lr or config.muon_lr
        kind = "muon" if is_matrix else "adamw"
        empty = {"params": [], "kind": kind, "lr": lr, "weight_decay": decay, "parts": parts, "parts_dim": dim}
        found.setdefault(key, empty)["params"].append(p)
    return list(found.values())


def _tables(model: nn.Module) -> set[int]:
    """Embeddings and output heads."""
    found = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    for name, module in model.named_modules():
        if name.rpartition(".")[2] in _HEADS and isinstance(module, nn.Linear):
            found.add(id(module.weight))
        head = getattr(module, "get_output_embeddings", lambda: None)()
        if head is not None and hasattr(head, "weight"):
            found.add(id(head.weight))
    return found


def _parts(name: str, shape: tuple[int, ...]) -> tuple[int, int]:
    """Into how many maps a matrix is split, and along which side. `c_attn` of GPT-2 stores its weight transposed."""
    words = name.split(".")
    if not any(word in _FUSED for word in words):
        return 1, 0
    if words[-1] == "A":  # the inner factor of an adapter is shared by q, k and v
        return 1, 0
    if words[-1] == "B" or shape[0] == 3 * shape[1]:
        return 3, 0
    return (3, 1) if shape[1] == 3 * shape[0] else (1, 0)
