"""Do the answers need the thoughts? Three tests, each with an interval over problems. A model passes all, or it is theatre.

- divergence: how far the answer's distribution moves when the thought of another problem stands in place of the own one (total
  variation), and whether it moves away from the truth. A model that ignores its thoughts does not move.
- ablation: accuracy after the own thought less that of the *better* way without one: the same model without its thought, and
  the original model that never learned to think. The interval is paired over problems and must lie above zero.
- correlation: within one problem, over thoughts of mixed quality (own, sampled hot, one token corrupted, another problem's),
  coherence as the frozen baked model judges it, against whether the answer is right. Each part of coherence counts by its rank
  among the thoughts of its problem, so that hard problems and scales play no part. (Right or wrong, not the log-probability of
  the truth: a correlation has no size, and a performer's probabilities follow its thoughts by a hair; see docs/LOG.md.)

Guarantees: nothing here trains or draws from the learning's random stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.config.quietstar_rl import AntiTheater
from engine.quietstar import coherence, exam, statistics
from engine.quietstar.exam import Answers
from engine.quietstar.learner import Batch
from engine.quietstar.statistics import Estimate
from engine.quietstar.thinker import TalkOf, Thinker, truth

HOT = 3.0
"""The temperature of the second of the mixed thoughts: it makes mistakes, and not only such."""


@dataclass(frozen=True)
class Verdict:
    """Of one of the three tests."""

    name: str
    estimate: Estimate
    threshold: float
    must_be_above_zero: bool
    note: str = ""
    also: bool = True
    """A second condition of the test; `note` says which."""

    @property
    def passed(self) -> bool:
        certain = not self.must_be_above_zero or self.estimate.low > 0
        return self.estimate.value > self.threshold and certain and self.also


@dataclass(frozen=True)
class Finding:
    """What the three tests say of a model."""

    tests: tuple[Verdict, ...]
    accuracy: dict[str, float]

    @property
    def passed(self) -> bool:
        return all(test.passed for test in self.tests)

    @property
    def failed(self) -> list[str]:
        return [test.name for test in self.tests if not test.passed]

    def value(self, name: str) -> float:
        return next(test.estimate.value for test in self.tests if test.name == name)

    def to_json(self) -> dict[str, Any]:
        tests = {t.name: {**asdict(t), "passed": t.passed} for t in self.tests}
        return {"passed": self.passed, "tests": tests, "accuracy": self.accuracy}


@dataclass(frozen=True)
class Trial:
    """What the tests are made with: held-out batches, and how the original model answers at once on each of their items."""

    batches: Sequence[Batch]
    original_right_I: Tensor
    thought_tokens: int
    ahead: int


def examine(thinker: Thinker, baked: TalkOf, trial: Trial, cfg: AntiTheater, seed: int) -> Finding:
    """The three tests of one model."""
    thinker.eval()
    seen = exam.answers(thinker, trial.batches, trial.thought_tokens, trial.ahead)
    three = (
        divergence(seen, cfg, seed),
        ablation(seen, trial.original_right_I, cfg, seed),
        correlation(thinker, baked, trial, cfg, seed),
    )
    columns = {"own": seen.own_IV, "without": seen.plain_IV, "swapped": seen.swapped_IV}
    accuracy = {name: float(seen.right(values).mean()) for name, values in columns.items()}
    return Finding(three, accuracy | {"original": float(trial.original_right_I.mean())})


def divergence(seen: Answers, cfg: AntiTheater, seed: int) -> Verdict:
    """Moving is not enough, noise moves an answer too: the own thought must also lead to more right answers than another's."""
    moved_I = (seen.own_IV - seen.swapped_IV).abs().sum(dim=-1) / 2
    better_I = seen.right(seen.own_IV) - seen.right(seen.swapped_IV)
    better = statistics.mean(better_I.numpy(force=True), cfg.bootstrap, seed)
    moved = statistics.mean(moved_I.numpy(force=True), cfg.bootstrap, seed)
    note = f"accuracy after the own thought less that after another's: {better}"
    return Verdict("divergence", moved, cfg.divergence, True, note, also=better.low > 0)


def ablation(seen: Answers, original_right_I: Tensor, cfg: AntiTheater, seed: int) -> Verdict:
    """Against the better of both ways without a thought; the lower bound is the lower of both as well."""
    own = seen.right(seen.own_IV)
    against = {"the same model": seen.right(seen.plain_IV), "the original model": original_right_I.to(own.device)}
    estimates = {
        name: statistics.mean((own - other).numpy(force=True), cfg.bootstrap, seed) for name, other in against.items()
    }
    name, least = min(estimates.items(), key=lambda item: item[1].value)
    low = min(e.low for e in estimates.values())
    estimate = Estimate(least.value, low, least.high, least.problems)
    return Verdict("ablation", estimate, cfg.ablation, True, f"against {name} without a thought")


@torch.no_grad()
def correlation(thinker: Thinker, baked: TalkOf, trial: Trial, cfg: AntiTheater, seed: int) -> Verdict:
    generator = torch.Generator(trial.batches[0].ids_BL.device).manual_seed(seed)
    quality, outcome = [], []
    for batch in trial.batches:
        parts = [
            _judged(thinker, baked, batch, t, trial.ahead) for t in mixed_thoughts(thinker, batch, trial, generator)
        ]
        quality.append(np.stack([p[0] for p in parts], axis=1))
        outcome.append(np.stack([p[1] for p in parts], axis=1))
    parts_IKC, outcome_IK = np.concatenate(quality), np.concatenate(outcome)
    shares = coherence.SHARES.values()
    composite = sum(share * statistics.ranks(parts_IKC[..., c]) for c, share in enumerate(shares))
    estimate = statistics.within(np.asarray(composite), outcome_IK, cfg.bootstrap, seed)
    return Verdict("correlation", estimate, cfg.correlation, False)


def mixed_thoughts(thinker: Thinker, batch: Batch, trial: Trial, generator: torch.Generator) -> list[Tensor]:
    """Thoughts of every quality for the same places."""
    own = thinker.think(batch.ids_BL, batch.at_BJ, trial.thought_tokens, temperature=0.0)
    hot = thinker.think(batch.ids_BL, batch.at_BJ, trial.thought_tokens, HOT, generator)
    return [own, hot, corrupted(own, generator), exam.swapped(own)]


def corrupted(thoughts_BNT: Tensor, generator: torch.Generator) -> Tensor:
    """One token of every thought exchanged for one that stands at the same place in another item's thought."""
    other = thoughts_BNT.roll(1, dims=0)
    where = torch.randint(
        thoughts_BNT.shape[-1], thoughts_BNT.shape[:2], generator=generator, device=thoughts_BNT.device
    )
    return thoughts_BNT.scatter(-1, where[..., None], other.gather(-1, where[..., None]))


def _judged(
    thinker: Thinker, baked: TalkOf, batch: Batch, thoughts: Tensor, ahead: int
) -> tuple[np.ndarray, np.ndarray]:
    """Coherence in its three parts and whether the answer is right, a row an item."""
    found = coherence.coherence(baked, batch.ids_BL, batch.at_BJ, thoughts, ahead)
    parts = torch.stack([getattr(found, name) for name in coherence.SHARES], dim=-1).flatten(0, 1)
    said = thinker.talk(batch.ids_BL, batch.at_BJ, thoughts, 1).logits_BNAV[:, :, 0].argmax(dim=-1)
    right = said == truth(batch.ids_BL, batch.at_BJ, 1)[..., 0]
    return parts.numpy(force=True), right.double().flatten().numpy(force=True)
