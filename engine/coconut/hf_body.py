"""Any causal model of transformers (Llama, Qwen, GPT-2, …) as a body, through its cache.

Guarantees: the same three movements as our own GPT-2, gradients through the cache.
Does not guarantee its speed: every column still goes through every layer whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass
class CacheMemory:
    """A transformers cache and which of its columns are real."""

    cache: Any
    real_BK: Tensor

    def keep(self, rows: Tensor) -> CacheMemory:
        self.cache.batch_select_indices(rows)
        return CacheMemory(self.cache, self.real_BK[rows])


class HuggingFaceBody(nn.Module):
    """A causal model behind the body's interface."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        config: Any = model.config
        self.width: int = config.hidden_size
        self.context: int = config.max_position_embeddings

    def table(self) -> Tensor:
        weight: Tensor = self.model.get_input_embeddings().weight
        return weight

    def logits(self, hidden: Tensor) -> Tensor:
        head: nn.Module = self.model.get_output_embeddings()
        logits: Tensor = head(hidden)
        return logits

    def begin(
        self, x_BPD: Tensor, positions_BP: Tensor, length_B: Tensor, think: bool
    ) -> tuple[CacheMemory, Tensor | None]:
        from transformers import DynamicCache

        columns = x_BPD.shape[1]
        real = torch.arange(columns, device=length_B.device) < length_B[:, None]
        memory = CacheMemory(DynamicCache(), real[:, :0])
        hidden = self.extend(x_BPD, positions_BP, real, memory)
        at = (length_B - 1)[:, None, None].expand(-1, 1, hidden.shape[-1])
        return memory, hidden.gather(1, at)[:, 0] if think else None

    def whole(
        self,
        x_BPD: Tensor,
        positions_BP: Tensor,
        length_B: Tensor,
        x_BRD: Tensor,
        positions_BR: Tensor,
        real_BR: Tensor,
    ) -> tuple[CacheMemory, Tensor]:
        memory, _ = self.begin(x_BPD, positions_BP, length_B, think=False)
        return memory, self.extend(x_BRD, positions_BR, real_BR, memory)

    def extend(self, x_BRD: Tensor, positions_BR: Tensor, real_BR: Tensor, memory: CacheMemory) -> Tensor:
        memory.real_BK = torch.cat([memory.real_BK, real_BR], 1)
        out = self.model.base_model(
            inputs_embeds=x_BRD,
            attention_mask=memory.real_BK.long(),
            position_ids=positions_BR,
            past_key_values=memory.cache,
            use_cache=True,
        )
        hidden: Tensor = out.last_hidden_state
        return hidden


def load_causal_model(name: str) -> HuggingFaceBody:
    """A causal model from a folder or the hub, in fp32 as the source trains."""
    from transformers import AutoModelForCausalLM

    return HuggingFaceBody(AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32))


def widen(body: HuggingFaceBody, rows: int, like: int | None) -> None:
    """Give the table more rows, each a copy of the row `like` where there is one; a tied head follows."""
    model: Any = body.model
    old = model.get_input_embeddings().weight.shape[0]
    model.resize_token_embeddings(rows, mean_resizing=False)
    if like is not None:
        for table in (model.get_input_embeddings().weight, model.get_output_embeddings().weight):
            table.data[old:] = table.data[like]
