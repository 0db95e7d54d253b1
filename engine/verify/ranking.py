"""Best of N, decided and measured. Pure: arrays in, numbers out.

Every baseline is of the same pool; ties are shared, not broken by the order of generation; intervals are over problems, because
samples of one problem are no independent evidence.
"""

from __future__ import annotations

import collections
import math
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Problem:
    """One problem's candidates, N of them, in parallel."""

    task_id: str
    passed: np.ndarray
    logit: np.ndarray
    """The critic's logit of failing."""
    length: np.ndarray
    logprob: np.ndarray | None = None
    """Mean log-probability of a token, where the generator says."""
    outputs: tuple[tuple[str, ...], ...] = ()
    """Fingerprints of what each candidate returned on the tests' inputs, no expected value among them."""
    greedy: bool | None = None
    """Whether the generator's most probable answer passes, where it was asked for."""


@dataclass(frozen=True)
class Choice:
    """A way of choosing: the expected verdict of its pick, problem by problem."""

    name: str
    per_problem: np.ndarray
    value: float
    low: float
    high: float


@dataclass
class Comparison:
    """All ways of choosing over one pool."""

    choices: dict[str, Choice]
    gain: Choice
    """The critic over the random pick, paired."""
    over: dict[str, Choice]
    """The critic over every other way, paired."""
    share_of_gap: float
    """Of the way from random to oracle; NaN where there is none."""
    curves: dict[str, list[float]]
    sizes: list[int]
    pass_at: dict[int, float] = field(default_factory=dict)


def top(score: np.ndarray, passed: np.ndarray) -> float:
    """Expected verdict of the highest score, shared among ties."""
    return float(passed[score == score.max()].mean())


def agreement(problem: Problem) -> np.ndarray:
    """How many candidates return the same; nothing, or errors alone, agrees with nobody."""
    if not problem.outputs:
        return np.zeros(len(problem.passed))
    count = collections.Counter(o for o in problem.outputs if _says_something(o))
    return np.array([float(count[o]) if _says_something(o) else 0.0 for o in problem.outputs])


def _says_something(outputs: tuple[str, ...]) -> bool:
    return any(not o.startswith("!") for o in outputs)


def critic_and_agreement(problem: Problem) -> np.ndarray:
    """Each cluster weighs what its members' chances of passing sum to; within it the critic chooses."""
    chance = 1 / (1 + np.exp(problem.logit))
    if not problem.outputs:
        return chance
    weight: dict[tuple[str, ...], float] = collections.defaultdict(float)
    for outputs, p in zip(problem.outputs, chance, strict=True):
        weight[outputs] += float(p) if _says_something(outputs) else 0.0
    return np.array([weight[o] for o in problem.outputs]) + 1e-6 * chance


def pass_at_k(n: int, correct: int, k: int) -> float:
    """Unbiased: 1 - C(n - c, k) / C(n, k)."""
    return 1.0 - math.comb(n - correct, k) / math.comb(n, k) if k <= n else float("nan")


def best_of_k(score: np.ndarray, passed: np.ndarray, k: int) -> float:
    """Expected verdict of the best score in a random subset of size k, in closed form; ties shared."""
    n = len(score)
    whole = math.comb(n, k)
    total, above = 0.0, 0
    for value in sorted(set(score.tolist()), reverse=True):
        here = score == value
        count = int(here.sum())
        # A subset's best is this value: none from above it, at least one from here.
        chance = (math.comb(n - above, k) - math.comb(n - above - count, k)) / whole
        total += chance * float(passed[here].mean())
        above += count
    return total


def compare(problems: list[Problem], draws: int, seed: int) -> Comparison:
    """Every way of choosing, with intervals from one set of resampled problems, so that differences are paired."""
    rng = np.random.default_rng(seed)
    resampled = rng.integers(0, len(problems), (draws, len(problems)))
    rows = {name: np.array(values) for name, values in _picks(problems).items()}
    choices = {name: _choice(name, values, resampled) for name, values in rows.items()}
    over = {
        name: _choice(f"critic over {name}", rows["critic"] - values, resampled)
        for name, values in rows.items()
        if name not in ("critic", "oracle")
    }
    gain = over["random"]
    room = choices["oracle"].value - choices["random"].value
    share = gain.value / room if room > 0 else float("nan")
    most = min(len(p.passed) for p in problems)
    sizes = [k for k in (1, 2, 3, 5, 8, 12, 16, 24, 32, 50, 64, 100, 128, 256) if k <= most]
    return Comparison(choices, gain, over, share, _curves(problems, sizes), sizes, _pass_at(problems, most))


def _picks(problems: list[Problem]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = collections.defaultdict(list)
    for p in problems:
        found["random"].append(float(p.passed.mean()))
        found["critic"].append(top(-p.logit, p.passed))
        found["shortest"].append(top(-p.length, p.passed))
        if p.greedy is not None:
            found["greedy"].append(float(p.greedy))
        if p.logprob is not None:
            found["mean log-probability"].append(top(p.logprob, p.passed))
        if p.outputs:
            found["agreement"].append(top(agreement(p), p.passed))
            found["critic x agreement"].append(top(critic_and_agreement(p), p.passed))
        found["oracle"].append(float(p.passed.any()))
    return {name: values for name, values in found.items() if len(values) == len(problems)}


def _choice(name: str, per_problem: np.ndarray, resampled: np.ndarray) -> Choice:
    low, high = np.quantile(per_problem[resampled].mean(axis=1), [0.025, 0.975])
    return Choice(name, per_problem, float(per_problem.mean()), float(low), float(high))


def _curves(problems: list[Problem], sizes: list[int]) -> dict[str, list[float]]:
    """How each way grows with N."""
    ways = {"critic": lambda p: -p.logit, "shortest": lambda p: -p.length, "oracle": lambda p: p.passed.astype(float)}
    if all(p.outputs for p in problems):
        # Within a smaller pool clusters would be smaller: this curve keeps the whole pool's clusters and is a ceiling.
        ways["critic x agreement"] = critic_and_agreement
    return {
        name: [float(np.mean([best_of_k(score(p), p.passed, k) for p in problems])) for k in sizes]
        for name, score in ways.items()
    }


def _pass_at(problems: list[Problem], most: int) -> dict[int, float]:
    return {
        k: float(np.mean([pass_at_k(len(p.passed), int(p.passed.sum()), k) for p in problems]))
        for k in (1, 5, 10, most)
        if k <= most
    }
