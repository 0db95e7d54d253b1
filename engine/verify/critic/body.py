"""Two bodies behind one interface: token numbers in, the logit of failing out. Energy is its sigmoid: 0 passes, 1 fails.

Letters: B items, T positions, D width.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from engine.config.ouroboros import Model as RopeConfig
from engine.config.verify import Critic as CriticConfig
from engine.ouroboros.model import Block, Rotary
from engine.verify.critic.tokens import PAD, Vocabulary, encode
from engine.verify.step import StepFailed


class Body(Protocol):
    """What the loop trains."""

    def forward(self, ids_BT: Tensor, length_B: Tensor) -> Tensor: ...

    def look(self, ids_BT: Tensor, length_B: Tensor) -> tuple[Tensor, Tensor | None]: ...

    def encode(self, text: str, code: str) -> list[int]: ...

    def identity(self) -> dict[str, Any]:
        """What a checkpoint of this body must share with it."""
        ...


class SmallBody(nn.Module):
    """Phase 7's blocks over a program's tokens; the head sees the first position, the mean and the maximum."""

    def __init__(self, cfg: CriticConfig, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.cfg, self.vocabulary = cfg, vocabulary
        self._number = vocabulary.number
        rope = RopeConfig(dim=cfg.dim, layers=cfg.layers, heads=cfg.heads, dropout=cfg.dropout)
        self.embed = nn.Embedding(len(vocabulary.words), cfg.dim, padding_idx=PAD)
        nn.init.normal_(self.embed.weight, std=0.3)
        self.rotary = Rotary(cfg.dim // cfg.heads)
        self.blocks = nn.ModuleList(Block(rope, self.rotary) for _ in range(cfg.layers))
        self.norm = nn.RMSNorm(cfg.dim)
        self.drop = nn.Dropout(cfg.dropout)
        self.energy = nn.Sequential(nn.Linear(3 * cfg.dim, cfg.dim), nn.GELU(), nn.Linear(cfg.dim, 1))
        self.fault = nn.Linear(cfg.dim, 1)
        nn.init.constant_(self.fault.bias, -3.0)  # faults are rare
        self.fault_weight = nn.Parameter(torch.ones(()))

    def forward(self, ids_BT: Tensor, length_B: Tensor) -> Tensor:
        return self.look(ids_BT, length_B)[0]

    def look(self, ids_BT: Tensor, length_B: Tensor) -> tuple[Tensor, Tensor]:
        """The logit of failing, and that of a fault at each position; the second feeds the first."""
        T = ids_BT.size(1)
        real_BT = torch.arange(T, device=ids_BT.device)[None, :] < length_B[:, None]
        hidden_BTD = self.drop(self.embed(ids_BT))
        self.rotary.grow(T)
        for block in self.blocks:
            hidden_BTD = block(hidden_BTD, real_BT[:, None, None, :])
        hidden_BTD = self.norm(hidden_BTD)
        mask_BT1 = real_BT[..., None]
        mean_BD = (hidden_BTD * mask_BT1).sum(1) / length_B[:, None]
        most_BD = hidden_BTD.masked_fill(~mask_BT1, -1e4).amax(1)
        fault_BT = self.fault(hidden_BTD)[..., 0].float()
        worst_B = fault_BT.masked_fill(~real_BT, -1e4).logsumexp(1)
        logit_B1 = self.energy(torch.cat([hidden_BTD[:, 0], mean_BD, most_BD], dim=-1))
        return logit_B1[:, 0].float() + self.fault_weight * worst_B, fault_BT

    def encode(self, text: str, code: str) -> list[int]:
        return encode(text, code, self._number, self.cfg.max_length)

    def identity(self) -> dict[str, Any]:
        return {
            "body": "small",
            "vocabulary": self.vocabulary.hash,
            **self.cfg.model_dump(include={"dim", "layers", "heads", "max_length"}),
        }


class PretrainedBody(nn.Module):
    """A causal language model or an encoder with frozen lower layers (or LoRA), and an MLP over what has seen all of the text:
    a causal model's last real position, an encoder's first. Weights in 32 bits: steps of 2e-5 are lost in 16."""

    def __init__(self, cfg: CriticConfig) -> None:
        super().__init__()
        from transformers import AutoModel, AutoTokenizer

        self.cfg = cfg
        self.tokenizer: Any = AutoTokenizer.from_pretrained(cfg.model)
        self.model: Any = AutoModel.from_pretrained(cfg.model, dtype=torch.float32)
        self.reads_first = hasattr(self.model, "encoder")
        if cfg.lora_rank is not None:
            self._lora(cfg.lora_rank)
        else:
            freeze_below(self.model, cfg.trainable_layers)
        width = self.model.config.hidden_size
        self.energy = nn.Sequential(nn.Linear(width, cfg.head_dim), nn.GELU(), nn.Linear(cfg.head_dim, 1))

    def _lora(self, rank: int) -> None:
        try:
            import peft
        except ImportError:
            raise StepFailed(
                "critic.lora_rank needs peft: pip install 'peft>=0.17', or set critic.lora_rank=null"
            ) from None
        self.model = peft.get_peft_model(
            self.model, peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear")
        )

    def look(self, ids_BT: Tensor, length_B: Tensor) -> tuple[Tensor, None]:
        """No positions of its own: the head reads the last one."""
        return self.forward(ids_BT, length_B), None

    def forward(self, ids_BT: Tensor, length_B: Tensor) -> Tensor:
        real_BT = (torch.arange(ids_BT.size(1), device=ids_BT.device)[None, :] < length_B[:, None]).long()
        hidden_BTD = self.model(input_ids=ids_BT, attention_mask=real_BT).last_hidden_state
        at_B = torch.zeros_like(length_B) if self.reads_first else length_B - 1
        read_BD = hidden_BTD[torch.arange(len(ids_BT), device=ids_BT.device), at_B]
        with torch.autocast(ids_BT.device.type, enabled=False):  # rounded logits tie, and ties pick nobody
            logit: Tensor = self.energy(read_BD.float())
        return logit[:, 0]

    def encode(self, text: str, code: str) -> list[int]:
        """`[CLS] prompt [SEP] code` where the tokenizer has such marks, else a line between."""
        prompt = self.tokenizer.encode(text + "\n", add_special_tokens=False)[: self.cfg.max_length // 2]
        program = self.tokenizer.encode(code, add_special_tokens=False)
        first, between = self.tokenizer.cls_token_id, self.tokenizer.sep_token_id
        marked = [] if first is None or between is None else [first, *prompt, between]
        return [*(marked or prompt), *program][: self.cfg.max_length]

    def identity(self) -> dict[str, Any]:
        return {
            "body": "pretrained",
            "vocabulary": str(len(self.tokenizer)),
            **self.cfg.model_dump(include={"model", "trainable_layers", "lora_rank", "head_dim", "max_length"}),
        }


def freeze_below(model: Any, trainable_layers: int) -> None:
    """Everything but the top layers and the last norm."""
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    layers = model.layers if hasattr(model, "layers") else model.encoder.layer
    for layer in list(layers)[len(layers) - trainable_layers :]:
        for parameter in layer.parameters():
            parameter.requires_grad_(True)
    if hasattr(model, "norm"):
        for parameter in model.norm.parameters():
            parameter.requires_grad_(True)
