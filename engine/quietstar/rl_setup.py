"""Everything that learning by reward needs, built from a config and the baked model's file.

Guarantees: the reference is made of the baked weights before anything learns; which parameter learns at which rate is decided
here and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from engine.config.quietstar import QuietstarConfig
from engine.config.quietstar_rl import Rl
from engine.quietstar import exam, model_file, task
from engine.quietstar.body import Body
from engine.quietstar.errors import ModelFileError, ThoughtError
from engine.quietstar.heads import watch_logits
from engine.quietstar.learner import Learner
from engine.quietstar.names import BAKED, CHAMPION
from engine.quietstar.reference import Frozen, Reference
from engine.quietstar.rl_texts import SpanTexts, TaskTexts, Texts, task_stream
from engine.quietstar.rollback import Rollback
from engine.quietstar.theater import Trial
from engine.quietstar.thinker import Thinker
from engine.training.mugrokfast.groups import param_groups
from engine.training.mugrokfast.optimizer import MuGrokfast


@dataclass(frozen=True)
class Setup:
    learner: Learner
    baked: Reference
    original: Thinker
    texts: Texts
    final_texts: Texts
    rollback: Rollback
    baked_sha: str

    @property
    def thinker(self) -> Thinker:
        return self.learner.thinker

    def trial(self, items: int, cfg: Rl, final: bool = False) -> Trial:
        """Held-out batches and how the original model answers them at once."""
        batches = (self.final_texts if final else self.texts).held_out(items)
        return Trial(batches, exam.direct(self.original, batches), thought_tokens(cfg, cfg.episodes), cfg.ahead)


def build(cfg: QuietstarConfig, work: Path) -> Setup:
    """From what `champion` and `bake` left."""
    rl = cfg.rl
    device = torch.device(
        "cuda" if rl.device == "auto" and torch.cuda.is_available() else rl.device.replace("auto", "cpu")
    )
    baked_file = model_file.load(work / BAKED, "bake", device)
    original = model_file.load(work / CHAMPION, "champion", device)
    must_think(baked_file.body, work / BAKED)
    baked = Frozen(baked_file.body, task.THINK_ID, task.END_ID)
    torch.manual_seed(cfg.seed)  # of the mixing head's first weights
    thinker = Thinker(baked_file.body, task.THINK_ID, task.END_ID)
    generator = torch.Generator(device)
    learner = Learner(
        thinker, baked.talk, optimizer_of(thinker, rl), rl, rl.optimizer.kl_coefficient, generator, cfg.seed
    )
    original_thinker = Frozen(original.body, task.THINK_ID, task.END_ID).thinker
    texts, final = (texts_of(cfg, thinker, split, device) for split in ("val", "test"))
    sha = model_file.sha256(work / BAKED)
    return Setup(learner, baked, original_thinker, texts, final, Rollback(learner, cfg.antitheater.rollbacks), sha)


def must_think(body: Body, path: Path) -> None:
    """Refuse a model whose table has no rows for <think> and </think>."""
    if body.size.vocabulary <= max(task.THINK_ID, task.END_ID):
        raise ThoughtError(
            f"{path} has no thinking tokens: its table has {body.size.vocabulary} rows, </think> would be row {task.END_ID}."
            " Bake it first (python -m engine.quietstar.bake)"
        )


def texts_of(cfg: QuietstarConfig, thinker: Thinker, split: task.Split, device: torch.device) -> Texts:
    if cfg.rl.positions == "answer":
        return TaskTexts(cfg.seed, cfg.rl, split, device)
    learn, held_out = (task_stream(cfg.seed, 4000, s) for s in ("train", split))
    return SpanTexts(learn, held_out, thinker, cfg.rl, cfg.seed, device)


def optimizer_of(thinker: Thinker, cfg: Rl) -> torch.optim.Optimizer:
    """MuGrokfast; the mixing head beside the tables, the edges in a fast group of their own."""
    rate = cfg.optimizer.adamw_lr or cfg.optimizer.muon_lr
    groups = param_groups(thinker.body, cfg.optimizer)
    for part, factor in ((thinker.mixing, 1.0), (thinker.edges, cfg.edges_rate)):
        groups.append(_adamw_group(part, rate * factor))
    clip = watch_logits(thinker.body, cfg.optimizer.qk_clip_threshold)
    return MuGrokfast(groups, cfg.optimizer, after_step=clip)


def _adamw_group(part: nn.Module, rate: float) -> dict[str, Any]:
    return {
        "params": list(part.parameters()),
        "kind": "adamw",
        "lr": rate,
        "weight_decay": 0.0,
        "parts": 1,
        "parts_dim": 0,
    }


def thought_tokens(cfg: Rl, episode: int) -> int:
    """How long thoughts are at an episode: the curriculum's word, else always the same."""
    length = cfg.thought_tokens
    for stage in cfg.curriculum:
        if episode >= stage.begins * cfg.episodes:
            length = stage.thought_tokens
    return length


def load_enhanced(path: Path, device: torch.device) -> Thinker:
    """The enhanced model with its mixing head and its edges."""
    saved = model_file.load(path, "rl", device)
    if "thinking" not in saved.more:
        raise ModelFileError(f"{path} was never taught to think: run the step `rl` (python -m engine.quietstar.rl)")
    thinker = Thinker(saved.body, task.THINK_ID, task.END_ID).to(device)
    missing, unexpected = thinker.load_state_dict(saved.more["thinking"], strict=False)
    if unexpected or any(not name.startswith("body.") for name in missing):
        raise ModelFileError(f"{path} has another mixing head than this version: run the step `rl` again")
    return thinker
