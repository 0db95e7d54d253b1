"""Choose one of several candidate solutions by energy; and what other ways of choosing reach on the same candidates.

    python -m engine.ouroboros.best_of_n --preset cpu --generations generations.jsonl

Rows of the file: {"id": …, "question": …, "solution": …, "answer": …}, several rows an id; `solution` is any text with
lines like "12 * 4 = 48" (or GSM8K's annotations) and a last number or "#### 48"; `answer` is the right final answer. This
is tier T3: errors as a model makes them, labelled by the final answer.

Ways: `random` (the expected share, not one draw), `majority` of final answers, `energy` (the lowest), `vote` (each answer
weighs the sum of exp(-E / 0.25)), `checked` (majority of those below 0.5, of all where none is), `oracle` (any right).
All on the same pool, so differences mean something.
"""

from __future__ import annotations

import re
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from engine import runlog
from engine.config.load import load_config, work_dir
from engine.config.ouroboros import OuroborosConfig
from engine.data import gsm8k
from engine.ouroboros import edges, scorer
from engine.ouroboros.dataset import open_dataset, write_json
from engine.ouroboros.errors import Refused
from engine.ouroboros.judge import Judge, judge_of, solution_energy
from engine.ouroboros.metrics import Estimate, Scored, mean, measure
from engine.ouroboros.options import take_option
from engine.ouroboros.solutions import KINDS, Limits, Solution, Step, corrupt
from engine.ouroboros.train import pick_device

_VOTE_TEMPERATURE = 0.25  # energies are probabilities of being wrong: a quarter tells a sure step from a doubtful one
_EQUATION = re.compile(r"(\d[\d,]*)\s*([-+*/x×÷])\s*(\d[\d,]*)\s*=\s*\$?(\d[\d,]*)(?![\d.]*\d*\.\d)")
_LAST_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_OPERATORS = {"+": 0, "-": 1, "*": 2, "x": 2, "×": 2, "/": 3, "÷": 3}


@dataclass(frozen=True)
class Candidate:
    answer: str
    energy: float
    right: bool


def choose(candidates: Sequence[Candidate]) -> dict[str, float]:
    """By each way: whether (or, for `random`, how likely) the chosen candidate is right."""
    count: dict[str, int] = defaultdict(int)
    weight: dict[str, float] = defaultdict(float)
    for c in candidates:
        count[c.answer] += 1
        weight[c.answer] += float(np.exp(-c.energy / _VOTE_TEMPERATURE))
    right = {c.answer for c in candidates if c.right}
    return {
        "random": float(np.mean([c.right for c in candidates])),
        "majority": _share_right(count, right),
        "energy": _lowest_right(candidates),
        "vote": _share_right(weight, right),
        "checked": _checked(candidates, right),
        "oracle": float(bool(right)),
    }


def _checked(candidates: Sequence[Candidate], right: set[str]) -> float:
    sound = [c for c in candidates if c.energy < 0.5] or candidates
    return _share_right(Counter(c.answer for c in sound), right)


def _share_right(weights: Mapping[str, float], right: set[str]) -> float:
    """1 or 0; a tie is shared."""
    top = max(weights.values())
    winners = [answer for answer, weight in weights.items() if weight == top]
    return sum(w in right for w in winners) / len(winners)


def _lowest_right(candidates: Sequence[Candidate]) -> float:
    low = min(c.energy for c in candidates)
    winners = [c for c in candidates if c.energy == low]
    return sum(c.right for c in winners) / len(winners)


def summarize(pools: Sequence[Sequence[Candidate]], resamples: int) -> dict[str, Estimate]:
    """Each way's share of problems, and the paired gains of energy over random and over majority."""
    chosen = [choose(pool) for pool in pools]
    found = {way: mean(np.array([c[way] for c in chosen]), resamples) for way in chosen[0]}
    for other in ("random", "majority"):
        for way in ("energy", "vote", "checked"):
            gain = np.array([c[way] - c[other] for c in chosen])
            found[f"{way}_over_{other}"] = mean(gain, resamples)
    return found


def made_candidates(truths: Sequence[Solution], cfg: OuroborosConfig, limits: Limits) -> list[list[Solution]]:
    """For each problem candidates that are correct by chance, else have one error of a kind that may or may not be seen."""
    rng = np.random.default_rng([cfg.seed, 12])
    kinds = [kind for kind, tier in KINDS.items() if tier != "T0"]
    made: list[list[Solution]] = []
    for truth in truths:
        pool = []
        for _ in range(cfg.correct.candidates):
            is_right = rng.random() < cfg.correct.candidates_right
            wrong = None if is_right else corrupt(truth, str(rng.choice(kinds)), rng, limits)
            pool.append(wrong or truth)
        made.append(pool)
    return made


def judged(judge: Judge, truths: Sequence[Solution], made: Sequence[Sequence[Solution]]) -> list[list[Candidate]]:
    """The candidates with their energies, all judged together."""
    energies = iter(judge.steps([s for pool in made for s in pool]))
    return [
        [Candidate(str(s.final), solution_energy(s, next(energies)), s.final == truth.final) for s in pool]
        for truth, pool in zip(truths, made, strict=True)
    ]


def read_solution(text: str, question: str, limits: Limits) -> Solution | None:
    """The equations of a free text that this model can judge; None where there is no final answer at all."""
    steps = []
    for a, op, b, claimed in _EQUATION.findall(text):
        numbers = [int(n.replace(",", "")) for n in (a, b, claimed)]
        step = Step(_OPERATORS[op], *numbers)
        if limits.hold([step]):
            steps.append(step)
    tail = text.rpartition("####")[2] if "####" in text else text
    numbers_said = _LAST_NUMBER.findall(tail)
    if not numbers_said:
        return None
    final = gsm8k.evaluate(numbers_said[-1])
    return Solution(0, question, tuple(steps), int(final) if final.denominator == 1 else -1)


def pools_of(judge: Judge, rows: Sequence[dict[str, object]], limits: Limits) -> dict[str, list[Candidate]]:
    """The candidates of each problem. One without a step that the model can judge gets the energy of a coin."""
    for row in rows:
        missing = [key for key in ("id", "question", "solution", "answer") if key not in row]
        if missing:
            raise Refused(f"a row of the generations has no {missing[0]!r}: each needs id, question, solution, answer")
    read = [read_solution(str(row["solution"]), str(row["question"]), limits) for row in rows]
    energies = iter(judge.steps([s for s in read if s is not None and s.steps]))
    pools: dict[str, list[Candidate]] = defaultdict(list)
    for row, solution in zip(rows, read, strict=True):
        if solution is None:
            pools[str(row["id"])].append(Candidate("none", 1.0, False))
            continue
        energy = float(next(energies).max()) if solution.steps else 0.5
        is_right = gsm8k.evaluate(str(row["answer"]).replace("$", "")) == solution.final
        pools[str(row["id"])].append(Candidate(str(solution.final), energy, is_right))
    return pools


def on_generations(
    judge: Judge, rows: Sequence[dict[str, object]], limits: Limits, resamples: int, threshold: float = 0.5
) -> dict[str, Estimate]:
    """Tier T3: what energies are worth on a model's own solutions, and each way of choosing among them."""
    pools = list(pools_of(judge, rows, limits).values())
    everything = [(at, c) for at, pool in enumerate(pools) for c in pool]
    problem = np.array([at for at, _ in everything])
    scored = Scored(
        np.array([c.energy for _, c in everything]), np.array([not c.right for _, c in everything]), problem, problem
    )
    return measure(scored, threshold, resamples, 0) | summarize(pools, resamples)


def main(argv: list[str]) -> int:
    path, argv = take_option(argv, "--generations")
    cfg = load_config(OuroborosConfig, phase="phase7-ouroboros", argv=argv)
    if path is None:
        raise Refused("--generations names the JSONL file of candidate solutions")
    if cfg.train.threads is not None:
        torch.set_num_threads(cfg.train.threads)
    out = work_dir("phase7-ouroboros", cfg)
    data = open_dataset(out)
    limits = Limits(data.meta["limits"]["operand"], data.meta["limits"]["result"])
    judge = judge_of(scorer.load(out / "best.pt", pick_device(cfg.train.device)), data)
    rows = gsm8k.read_jsonl(Path(path))
    found = on_generations(judge, rows, limits, cfg.evaluate.bootstrap, cfg.evaluate.threshold)
    for name, e in found.items():
        runlog.fact(f"t3/{name}", e.value, low=e.low, high=e.high, pool=Path(path).name)
        print(f"{e.value:7.3f}  ({e.low:.3f} … {e.high:.3f})  t3/{name}")
    write_json(out / "best_of_n.json", {n: vars(e) for n, e in found.items()})
    runlog.artifact(out / "best_of_n.json")
    return 0


if __name__ == "__main__":
    sys.exit(edges.run(main, sys.argv[1:]))
