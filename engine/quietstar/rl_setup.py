"""Everything that learning by reward needs, built from a config and the baked model's file.

Guarantees: the reference is made of the baked weights before anything learns; which parameter learns at which rate is decided
here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from engine.config.quietstar import QuietstarConfig
from engine.config.quietstar_rl import Rl
from engine.quietstar import exam, examples, loading, model_file, task
from engine.quietstar.benchmarks import Tongue
from engine.quietstar.errors import ModelFileError, ThoughtError
from engine.quietstar.examples import Example
from engine.quietstar.heads import watch_logits
from engine.quietstar.language import TextLanguage
from engine.quietstar.learner import Learner
from engine.quietstar.loading import Loaded
from engine.quietstar.lora import Lora, attach
from engine.quietstar.names import BAKED, CHAMPION, EXAMPLES
from engine.quietstar.reader import reader_of
from engine.quietstar.reference import Frozen, Reference, Switched
from engine.quietstar.rl_texts import SpanTexts, TaskTexts, Texts, task_stream
from engine.quietstar.rollback import Rollback
from engine.quietstar.stage import targets_of
from engine.quietstar.task import Ints
from engine.quietstar.theater import Trial
from engine.quietstar.thinker import Thinker
from engine.quietstar.tokens import make_room
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
    loaded: Loaded
    """The baked model's file: its language and what is known of it. Its model is the one that learns."""
    lora: Lora | None = None

    @property
    def thinker(self) -> Thinker:
        return self.learner.thinker

    @property
    def tongue(self) -> Tongue | None:
        language = self.loaded.language
        return language.tokenizer if isinstance(language, TextLanguage) else None

    def trial(self, items: int, cfg: Rl, final: bool = False) -> Trial:
        """Held-out batches and how the original model answers them at once."""
        batches = (self.final_texts if final else self.texts).held_out(items)
        return Trial(batches, exam.direct(self.original, batches), thought_tokens(cfg, cfg.episodes), cfg.ahead)


def build(cfg: QuietstarConfig, work: Path) -> Setup:
    """From what `champion` and `bake` left."""
    rl, device = cfg.rl, device_of(cfg.rl)
    loaded = loading.load(work / BAKED, "bake", device)
    start, end = edges_of(loaded, work / BAKED)
    baked: Reference | None = None if rl.lora_rank else Frozen(loaded.model, start, end)
    lora = adapters(loaded, rl, cfg.seed) if rl.lora_rank else None
    torch.manual_seed(cfg.seed)  # of the mixing head's first weights
    thinker = Thinker(loaded.model, start, end)
    if lora is not None:
        baked = Switched(thinker, lora)
    assert baked is not None
    generator = torch.Generator(device)
    learner = Learner(
        thinker, baked.talk, optimizer_of(thinker, rl), rl, rl.optimizer.kl_coefficient, generator, cfg.seed
    )
    original = original_of(work, loaded, start, end, device)
    texts, final = (texts_of(cfg, work, loaded, thinker, split, device) for split in ("val", "test"))
    rollback = Rollback(learner, cfg.antitheater.rollbacks)
    return Setup(learner, baked, original, texts, final, rollback, model_file.sha256(work / BAKED), loaded, lora)


def adapters(loaded: Loaded, cfg: Rl, seed: int) -> Lora:
    rank = cfg.lora_rank or 1
    targets = cfg.lora_targets or targets_of(loaded.model)
    return attach(loaded.model, rank, 2 * rank, targets, generator=torch.Generator().manual_seed(seed))


def device_of(cfg: Rl) -> torch.device:
    return torch.device(cfg.device if cfg.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu")


def original_of(work: Path, baked: Loaded, start: int, end: int, device: torch.device) -> Thinker:
    """The champion: how it answers at once. Its table gets the rows that baking gave the baked one; it never reads them."""
    champion = loading.load(work / CHAMPION, "champion", device)
    make_room(champion.model, baked.language.size)
    return Frozen(champion.model, start, end).thinker


def edges_of(loaded: Loaded, path: Path) -> tuple[int, int]:
    """The ids of <think> and </think>, or a refusal where the table has no rows for them."""
    if isinstance(loaded.language, TextLanguage):
        start, end = loaded.language.thinking[:2]
    else:
        start, end = task.THINK_ID, task.END_ID
    rows = reader_of(loaded.model).table.num_embeddings
    if rows <= max(start, end):
        raise ThoughtError(
            f"{path} has no thinking tokens: its table has {rows} rows, </think> would be row {end}."
            " Bake it first (python -m engine.quietstar.bake)"
        )
    return start, end


def texts_of(
    cfg: QuietstarConfig, work: Path, loaded: Loaded, thinker: Thinker, split: task.Split, device: torch.device
) -> Texts:
    """The task's problems; else the reasoning examples as running text, the reasoning left out: that is the thoughts' part."""
    if cfg.rl.positions == "answer":
        return TaskTexts(cfg.seed, cfg.rl, split, device)
    if not isinstance(loaded.language, TextLanguage):
        learn, held_out = (task_stream(cfg.seed, 4000, s) for s in ("train", split))
    else:
        parts = examples.split(examples.read(work / EXAMPLES), cfg.seed)
        half = len(parts.val) // 2  # what is looked at while it learns, and what judges in the end
        held = parts.val[:half] if split == "val" else parts.val[half:]
        learn, held_out = (stream_of(loaded.language, some) for some in (parts.train, held))
    return SpanTexts(learn, held_out, thinker, cfg.rl, cfg.seed, device)


def stream_of(language: TextLanguage, some: Sequence[Example]) -> Ints:
    ids = [i for e in some for i in (*language.question(e), *language.response(replace(e, reasoning="")))]
    return np.array(ids, dtype=np.int64)


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
    loaded = loading.load(path, "rl", device)
    if "thinking" not in loaded.more:
        raise ModelFileError(f"{path} was never taught to think: run the step `rl` (python -m engine.quietstar.rl)")
    thinker = Thinker(loaded.model, *edges_of(loaded, path)).to(device)
    missing, unexpected = thinker.load_state_dict(loaded.more["thinking"], strict=False)
    if unexpected or any(not name.startswith("body.") for name in missing):
        raise ModelFileError(f"{path} has another mixing head than this version: run the step `rl` again")
    return thinker
