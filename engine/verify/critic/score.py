"""Logits of failing for many programs, in 32-bit: rounded sigmoids tie, and a tie picks whoever was generated first."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from engine.verify.critic.batches import Encoded, collate
from engine.verify.critic.items import Item

_TOKENS = 16_384


@torch.no_grad()
def energies(body: Any, items: list[Item], device: str = "cpu") -> np.ndarray:
    """One logit an item, in the items' order. The sigmoid of it is the energy."""
    body.eval()
    encoded = [Encoded(body.encode(i.text, i.code), i.failed, 0) for i in items]
    order = sorted(range(len(items)), key=lambda at: len(encoded[at].ids))
    logits = np.zeros(len(items), dtype=np.float64)
    start = 0
    while start < len(order):
        end = start + 1
        while end < len(order) and (end + 1 - start) * len(encoded[order[end]].ids) <= _TOKENS:
            end += 1
        batch = collate([encoded[at] for at in order[start:end]], device)
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            logit_B = body(batch.ids_BT, batch.length_B)
        logits[order[start:end]] = logit_B.float().cpu().numpy()
        start = end
    return logits
