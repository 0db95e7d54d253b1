"""The body that a config names, fresh or from a trained critic's folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.config.verify import Critic as CriticConfig
from engine.protocol.durable import read_json
from engine.verify.critic import checkpoint
from engine.verify.critic.body import PretrainedBody, SmallBody
from engine.verify.critic.calibrate import Calibration
from engine.verify.critic.items import Item
from engine.verify.critic.score import energies
from engine.verify.critic.tokens import Vocabulary, make_vocabulary
from engine.verify.step import StepFailed


def fresh_body(cfg: CriticConfig, train: list[Item], seed: int) -> Any:
    """With its weights drawn from the seed."""
    torch.manual_seed(seed)
    if cfg.body == "pretrained":
        return PretrainedBody(cfg)
    texts = {item.text for item in train}
    return SmallBody(cfg, make_vocabulary(sorted(texts), [item.code for item in train]))


@dataclass(frozen=True)
class TrainedCritic:
    """A body with its weights, and what turns its logits into readable ones."""

    body: Any
    calibration: Calibration
    device: str

    def logits(self, items: list[Item]) -> np.ndarray:
        """Of failing, calibrated; the order is the body's."""
        return self.calibration(energies(self.body, items, self.device))


def trained_critic(cfg: CriticConfig, work: Path) -> TrainedCritic:
    """The best checkpoint that `critic.json` names."""
    if cfg.threads is not None:
        torch.set_num_threads(cfg.threads)
    told = read_json(work / "critic.json")
    if told is None:
        raise StepFailed(f"{work / 'critic.json'} does not exist; run train_critic first")
    body: Any = (
        PretrainedBody(cfg) if cfg.body == "pretrained" else SmallBody(cfg, Vocabulary(tuple(told["vocabulary"])))
    )
    state = checkpoint.load(work / told["best"], body.identity())
    body.load_state_dict(state["body"], strict=False)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return TrainedCritic(body.to(device), Calibration(**told.get("calibration", {})), device)
