"""The body that a config names, fresh or from a trained critic's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from engine.config.verify import Critic as CriticConfig
from engine.protocol.durable import read_json
from engine.verify.critic import checkpoint
from engine.verify.critic.body import PretrainedBody, SmallBody
from engine.verify.critic.items import Item
from engine.verify.critic.tokens import Vocabulary, make_vocabulary
from engine.verify.step import StepFailed


def fresh_body(cfg: CriticConfig, train: list[Item], seed: int) -> Any:
    """With its weights drawn from the seed."""
    torch.manual_seed(seed)
    if cfg.body == "pretrained":
        return PretrainedBody(cfg)
    texts = {item.text for item in train}
    return SmallBody(cfg, make_vocabulary(sorted(texts), [item.code for item in train]))


def trained_body(cfg: CriticConfig, work: Path) -> Any:
    """The best checkpoint that `critic.json` names."""
    told = read_json(work / "critic.json")
    if told is None:
        raise StepFailed(f"{work / 'critic.json'} does not exist; run train_critic first")
    body: Any = (
        PretrainedBody(cfg) if cfg.body == "pretrained" else SmallBody(cfg, Vocabulary(tuple(told["vocabulary"])))
    )
    state = checkpoint.load(work / told["best"], body.identity())
    body.load_state_dict(state["body"], strict=False)
    return body
