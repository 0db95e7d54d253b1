"""Find the wrong step by its energy and mend it; leave alone what has a low energy.

    python -m engine.ouroboros.correct --preset smoke
    python -m engine.ouroboros.correct --preset cpu

Each step in turn: carry the results so far into it; if its energy is above the threshold, propose replacements and keep
the one with the least energy, if that is below the threshold and lower by `correct.drop`; else abstain: the step stays
as it was, doubted but not replaced. Proposals are the model's own most likely results (a beam over digits) and, for a
model that reads the question, the other operators and the other numbers of the question, computed.

Measured on held-out problems: the share of wrong solutions made right, the share of correct ones changed (false
corrections) and how many steps were judged for it; beside it, what picking and voting among `correct.candidates`
solutions of the same problems reach.
Does not claim anything about the mistakes that a language model makes: the errors here are made, their kind is named.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from engine import runlog
from engine.config.load import load_config, work_dir
from engine.config.ouroboros import OuroborosConfig
from engine.ouroboros import best_of_n, edges, scorer
from engine.ouroboros.dataset import Dataset, open_dataset, write_json
from engine.ouroboros.judge import Judge, Placed, items_of, judge_of
from engine.ouroboros.metrics import Estimate, mean
from engine.ouroboros.solutions import KINDS, Limits, Solution, Step, corrupted, held_out, numbers_of, result_of
from engine.ouroboros.train import pick_device


@dataclass
class _Open:
    """A solution under correction."""

    given: Solution
    done: list[Step] = field(default_factory=list)
    changed: bool = False
    judged: int = 0
    stuck: bool = False
    """A mended result made a later step impossible: the solution stays as it was given."""

    @property
    def next_step(self) -> Step:
        return self.given.steps[len(self.done)]

    def place(self, step: Step) -> Placed:
        return Placed(self.given.question, tuple(self.done), step)

    def result(self) -> Corrected:
        if self.stuck:
            return Corrected(self.given, False, self.judged)
        final = self.done[-1].claimed
        mended = replace(self.given, steps=tuple(self.done), final=final)
        return Corrected(mended, self.changed or final != self.given.final, self.judged)


@dataclass(frozen=True)
class Corrected:
    """`changed` False: there was nothing to object, or no proposal was good enough."""

    solution: Solution
    changed: bool
    judged: int
    """Steps whose energy was asked for, proposals included: what the correction cost."""


@dataclass(frozen=True)
class Policy:
    threshold: float
    drop: float
    beam: int


def correct(judge: Judge, solutions: Sequence[Solution], policy: Policy, limits: Limits) -> list[Corrected]:
    """All solutions side by side, one step of each at a time, so that the model judges many steps at once."""
    states = [_Open(s) for s in solutions]
    for at in range(max(len(s.steps) for s in solutions)):
        active = [s for s in states if not s.stuck and at < len(s.given.steps)]
        _advance(judge, active, policy, limits)
    return [s.result() for s in states]


def _advance(judge: Judge, active: Sequence[_Open], policy: Policy, limits: Limits) -> None:
    steps = [_carried(s) for s in active]
    judged = [(s, step) for s, step in zip(active, steps, strict=True) if step is not None]
    for state, step in zip(active, steps, strict=True):
        state.stuck = step is None
    doubted = []
    energies = judge.energies([s.place(step) for s, step in judged])
    for (state, step), energy in zip(judged, energies, strict=True):
        state.judged += 1
        if energy > policy.threshold:
            doubted.append((state, step, float(energy)))
        else:
            state.changed |= step != state.next_step
            state.done.append(step)
    _mend(judge, doubted, policy, limits)


def _mend(judge: Judge, doubted: Sequence[tuple[_Open, Step, float]], policy: Policy, limits: Limits) -> None:
    readings = judge.scorer.readings(items_of([step for _, step, _ in doubted]), policy.beam)
    proposals = [
        _proposals(judge, state, step, read, limits) for (state, step, _), read in zip(doubted, readings, strict=True)
    ]
    placed = [s.place(p) for (s, _, _), found in zip(doubted, proposals, strict=True) for p in found]
    energies = np.split(judge.energies(placed), np.cumsum([len(p) for p in proposals])[:-1]) if doubted else []
    for (state, step, before), found, after in zip(doubted, proposals, energies, strict=True):
        state.judged += len(found)
        best = int(np.argmin(after)) if len(found) else -1
        if best < 0 or after[best] > min(policy.threshold, before - policy.drop):
            state.done.append(step)  # better a known doubt than an unknown mistake
            state.changed |= step != state.given.steps[len(state.done) - 1]
        else:
            state.done.append(found[best])
            state.changed = True


def _carried(state: _Open) -> Step | None:
    """The next step on the mended results; its own claim is computed again only where they moved."""
    step = state.next_step
    a = step.a if step.a_from is None else state.done[step.a_from].claimed
    b = step.b if step.b_from is None else state.done[step.b_from].claimed
    moved = any(
        source is not None and state.done[source].claimed != state.given.steps[source].claimed
        for source in (step.a_from, step.b_from)
    )
    if not moved or (a, b) == (step.a, step.b):
        return step
    result = result_of(step.op, a, b)
    return None if result is None else replace(step, a=a, b=b, claimed=result)


def _proposals(judge: Judge, state: _Open, step: Step, readings: Sequence[int], limits: Limits) -> list[Step]:
    found = [replace(step, claimed=r) for r in readings]
    if judge.tokenizer is not None:
        variants = [replace(step, op=op) for op in range(4)]
        variants += [replace(step, b=n, b_from=None) for n in numbers_of(state.given.question)]
        found += [replace(v, claimed=v.true) for v in variants if v.true is not None]
    return [p for p in dict.fromkeys(found) if p != step and limits.hold([p])]


def right(found: Solution, truth: Solution) -> bool:
    """The final answer is right and so is every step's arithmetic."""
    return found.final == truth.final and all(s.true == s.claimed for s in found.steps)


@dataclass(frozen=True)
class Outcome:
    """Shares of solutions that end right and that were changed, with intervals; `judged`: mean steps judged for one."""

    solutions: int
    corrected: Estimate
    changed: Estimate
    judged: float


def measure(
    judge: Judge, given: Sequence[Solution], truths: dict[int, Solution], policy: Policy, limits: Limits, resamples: int
) -> Outcome:
    found = correct(judge, given, policy, limits)
    good = np.array([right(c.solution, truths[c.solution.problem]) for c in found], dtype=float)
    changed = np.array([c.changed for c in found], dtype=float)
    judged = float(np.mean([c.judged for c in found]))
    return Outcome(len(found), mean(good, resamples), mean(changed, resamples), judged)


def main(argv: list[str]) -> int:
    cfg = load_config(OuroborosConfig, phase="phase7-ouroboros", argv=argv)
    out = work_dir("phase7-ouroboros", cfg)
    if cfg.train.threads is not None:
        torch.set_num_threads(cfg.train.threads)
    data = open_dataset(out)
    judge = judge_of(scorer.load(out / "best.pt", pick_device(cfg.train.device)), data)
    told = report(judge, data, cfg)
    write_json(out / "correct.json", told)
    runlog.artifact(out / "correct.json")
    return 0


def report(judge: Judge, data: Dataset, cfg: OuroborosConfig) -> dict[str, object]:
    """Every kind of error, the correct solutions, and the comparison at equal cost; printed, logged, returned."""
    limits = Limits(data.meta["limits"]["operand"], data.meta["limits"]["result"])
    policy = Policy(cfg.correct.threshold, cfg.correct.drop, cfg.correct.beam)
    correct_ones = held_out(data.folder / "problems.jsonl", "test", cfg.evaluate.solutions, limits)
    truths = {s.problem: s for s in correct_ones}
    told: dict[str, object] = {}
    clean = measure(judge, correct_ones, truths, policy, limits, cfg.evaluate.bootstrap)
    _tell(told, "correct/false_corrections", clean.changed, clean.solutions)
    for kind, given in corrupted(correct_ones, cfg.seed, limits).items():
        name = kind.replace(" ", "_")
        if given:
            outcome = measure(judge, given, truths, policy, limits, cfg.evaluate.bootstrap)
            _tell(told, f"correct/{KINDS[kind]}_{name}_corrected", outcome.corrected, outcome.solutions)
            _tell(told, f"correct/{KINDS[kind]}_{name}_changed", outcome.changed, outcome.solutions)
            told[f"correct/{KINDS[kind]}_{name}_steps_judged"] = outcome.judged
    for name, estimate in compare(judge, correct_ones, cfg, policy, limits).items():
        _tell(told, f"best_of_n/{name}", estimate, len(correct_ones))
    return told


def compare(
    judge: Judge, truths: Sequence[Solution], cfg: OuroborosConfig, policy: Policy, limits: Limits
) -> dict[str, Estimate]:
    """Ways of choosing among the same made candidates, and the majority of the candidates after each was corrected."""
    made = best_of_n.made_candidates(truths, cfg, limits)
    before = best_of_n.judged(judge, truths, made)
    found = best_of_n.summarize(before, cfg.evaluate.bootstrap)
    mended = iter(correct(judge, [s for pool in made for s in pool], policy, limits))
    after = [
        [best_of_n.Candidate(str(c.final), 0.0, c.final == truth.final) for c in (next(mended).solution for _ in pool)]
        for truth, pool in zip(truths, made, strict=True)
    ]
    votes = [[best_of_n.choose(pool)["majority"] for pool in pools] for pools in (before, after)]
    found["majority_after_correction"] = mean(np.array(votes[1]), cfg.evaluate.bootstrap)
    found["correction_over_majority"] = mean(np.array(votes[1]) - np.array(votes[0]), cfg.evaluate.bootstrap)
    return found


def _tell(told: dict[str, object], name: str, estimate: Estimate, count: int) -> None:
    told[name] = {"value": estimate.value, "low": estimate.low, "high": estimate.high, "n": count}
    runlog.fact(name, estimate.value, low=estimate.low, high=estimate.high, n=count)
    runlog.log(**{name: estimate.value})
    print(f"{estimate.value:7.3f}  ({estimate.low:.3f} … {estimate.high:.3f})  {name}, n = {count}")


if __name__ == "__main__":
    sys.exit(edges.run(main, sys.argv[1:]))
