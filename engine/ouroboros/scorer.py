"""A trained energy, ready to judge steps: loaded from best.pt, calibrated, without gradients."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from engine.config.load import check
from engine.config.ouroboros import OuroborosConfig
from engine.ouroboros import checkpoint
from engine.ouroboros.batches import ChoiceTable, Table
from engine.ouroboros.choices import Choices
from engine.ouroboros.dataset import StoredChoices
from engine.ouroboros.model import Ouroboros, energy
from engine.ouroboros.pairs import Items


@dataclass(frozen=True)
class Scorer:
    """`energies` of steps; `limits` is what the model can read."""

    model: Ouroboros
    temperature: dict[str, float]
    """By task."""
    device: torch.device
    config: OuroborosConfig
    """What it was trained with, which may differ from the config of who uses it."""
    data: str
    """Fingerprint of the data that it was trained on."""
    tokenizer: str | None
    """Fingerprint; None for a model that reads no text."""

    def energies(self, items: Items, at_once: int = 4096) -> NDArray[np.float64]:
        if not len(items):
            return np.zeros(0)
        table = Table(items, self.model.width, self.device)
        parts = []
        with torch.no_grad():
            for start in range(0, len(items), at_once):
                batch = table.batch(np.arange(start, min(start + at_once, len(items))))
                parts.append(energy(self.model(batch), batch, self.temperature["result"]).cpu().numpy())
        return np.concatenate(parts).astype(np.float64)

    def choice_energies(self, stored: StoredChoices, token_budget: int = 16384) -> NDArray[np.float64]:
        """E of choices. A model that reads no text judges what it can, their arithmetic, and that is right in all."""
        c = stored.choices
        if stored.texts is None or self.model.text is None:
            return self.energies(as_items(c))
        table = ChoiceTable(c, stored.texts, self.model.width, self.device)
        found = np.zeros(len(c))
        for task in table.tasks:
            for rows in table.micro_batches(np.flatnonzero(c.task == task), token_budget, 1):
                batch = table.batch(rows)
                with torch.no_grad():
                    found[rows] = energy(self.model(batch), batch, self.temperature[batch.task]).cpu().numpy()
        return found

    def readings(self, items: Items, beam: int) -> list[list[int]]:
        """The `beam` most probable results of each premise, best first; a discriminative model has none of its own."""
        if not self.model.generative or not len(items):
            return [[] for _ in range(len(items))]
        table = Table(items, self.model.width, self.device)
        with torch.no_grad():
            logits_BWC = self.model(table.batch(np.arange(len(items))))
        log_p = torch.log_softmax(logits_BWC.float(), dim=-1).cpu().numpy()
        return [_beam(log_p_WC, beam) for log_p_WC in log_p]


def _beam(log_p_WC: NDArray[np.float32], beam: int) -> list[int]:
    """Numbers by the probability of their digits, which are independent given the premise."""
    kept = [(0.0, 0)]
    for place, log_p_C in enumerate(log_p_WC):
        longer = [(score + float(log_p_C[d]), number + d * 10**place) for score, number in kept for d in range(10)]
        kept = sorted(longer, reverse=True)[:beam]
    return [number for _, number in kept]


def as_items(c: Choices) -> Items:
    return Items(c.op, c.a, c.b, c.equations.result, c.wrong, c.task, c.group, c.problem)


def load(path: Path, device: torch.device) -> Scorer:
    saved = checkpoint.load(path, device)
    config = check(OuroborosConfig, saved["config"], f"{path} (trained with another version of the config)")
    model = Ouroboros(config.model, saved["width"], config.train.energy == "generative", saved["vocabulary"]).to(device)
    model.load_state_dict(saved["model"])
    model.eval()
    return Scorer(model, saved["temperature"], device, config, saved["data"], saved["tokenizer"])
