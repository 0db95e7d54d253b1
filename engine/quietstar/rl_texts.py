"""What is read while thoughts are learned, and where in it the model thinks.

`TaskTexts`: one problem a text, thought about right before its answer. `SpanTexts`: spans of any token stream, thought about
everywhere or where the model is least sure. Guarantees: the batch of an episode follows from the seed and the episode's number
alone, so that a run that goes on reads what it would have read; held-out texts are none that are learned from.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from engine.config.quietstar_rl import Rl
from engine.quietstar import task
from engine.quietstar.learner import Batch
from engine.quietstar.task import Ints, Problems, World
from engine.quietstar.thinker import Thinker
from engine.quietstar.thoughts import must_fit, places

_AT_ONCE = 128  # texts of a held-out batch
_LEARNING, _HELD_OUT = 11, 12


class Texts(Protocol):
    def batch(self, episode: int) -> Batch: ...
    def held_out(self, items: int) -> list[Batch]: ...
    def thoughts_right(self, items: int, thoughts_IT: Tensor) -> float | None:
        """The share of right thoughts on the same held-out items, where that can be told."""
        ...


class TaskTexts:
    """Problems of the state-tracking task; `split` says which are held out."""

    def __init__(self, seed: int, cfg: Rl, split: task.Split, device: torch.device) -> None:
        self.world, self.seed, self.cfg, self.split, self.device = World(seed), seed, cfg, split, device

    def batch(self, episode: int) -> Batch:
        rng = np.random.default_rng([self.seed, _LEARNING, episode])
        return self._batch(self.world.problems(rng, self.cfg.batch, "train"))

    def held_out(self, items: int) -> list[Batch]:
        problems = self._held_out(items)
        return [self._batch(problems[at : at + _AT_ONCE]) for at in range(0, items, _AT_ONCE)]

    def thoughts_right(self, items: int, thoughts_IT: Tensor) -> float:
        return float(self.world.thought_is_right(self._held_out(items), thoughts_IT.numpy(force=True)).mean())

    def _held_out(self, items: int) -> Problems:
        return self.world.problems(np.random.default_rng([self.seed, _HELD_OUT]), items, self.split)

    def _batch(self, problems: Problems) -> Batch:
        ids = np.concatenate([problems.question_ids(), self.world.answer_ids(problems)], axis=1)
        at = torch.full((len(problems), 1), task.QUESTION_LENGTH - 1)
        return Batch(torch.from_numpy(ids).to(self.device), at.to(self.device))


class SpanTexts:
    """Spans of two token streams, one to learn from, one held out."""

    def __init__(
        self, learn_N: Ints, held_out_N: Ints, thinker: Thinker, cfg: Rl, seed: int, device: torch.device
    ) -> None:
        self.learn_N, self.held_out_N, self.thinker = learn_N, held_out_N, thinker
        self.cfg, self.seed, self.device = cfg, seed, device

    def batch(self, episode: int) -> Batch:
        rng = np.random.default_rng([self.seed, _LEARNING, episode])
        return self._batch(self.learn_N, rng, self.cfg.batch, self.seed * 1_000_003 + episode)

    def held_out(self, items: int) -> list[Batch]:
        """As many spans as hold so many places; the last may bring more."""
        rng, batches, found = np.random.default_rng([self.seed, _HELD_OUT]), [], 0
        while found < items:
            batches.append(self._batch(self.held_out_N, rng, self.cfg.batch, self.seed + len(batches)))
            found += batches[-1].at_BJ.numel()
        return batches

    def thoughts_right(self, items: int, thoughts_IT: Tensor) -> None:
        return None

    def _batch(self, stream_N: Ints, rng: np.random.Generator, count: int, seed: int) -> Batch:
        cfg = self.cfg
        span = min(cfg.span, len(stream_N))
        starts = rng.integers(len(stream_N) - span + 1, size=count)
        ids = torch.from_numpy(np.stack([stream_N[s : s + span] for s in starts])).to(self.device)
        must_fit(span - cfg.ahead - 1, cfg.thought_tokens + 1 + cfg.ahead, self.thinker.reader.context)
        entropy = uncertainty(self.thinker, ids, cfg.ahead)
        generator = torch.Generator().manual_seed(seed)
        return Batch(ids, places(entropy, cfg.positions, cfg.top_share, cfg.random_share, generator))


@torch.no_grad()
def uncertainty(thinker: Thinker, ids_BL: Tensor, ahead: int) -> Tensor:
    """The entropy of the next token without a thought, (B, L); minus infinity where too few true tokens follow."""
    log_p = thinker.reader.logits(thinker.reader.plain(ids_BL)).float().log_softmax(dim=-1)
    entropy = -(log_p.exp() * log_p).sum(dim=-1)
    entropy[:, entropy.shape[1] - ahead :] = -torch.inf
    return entropy


def task_stream(seed: int, problems: int, split: task.Split) -> Ints:
    """Problems with their answers at once, one after the other: a token stream for models of the task's vocabulary."""
    world = World(seed)
    some = world.problems(np.random.default_rng([seed, 13]), problems, split)
    return np.concatenate([some.question_ids(), world.answer_ids(some)], axis=1).reshape(-1)
