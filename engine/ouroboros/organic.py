"""Tier T3: energies on solutions that a model wrote, right or wrong by their final answer.

    python -m engine.ouroboros.organic --preset smoke
    python -m engine.ouroboros.organic --preset cpu

Trains a small solver on stories of the project's own (`solver.py`), lets it solve stories of templates that it never saw, several
times each, and asks the trained energy. Leaves generations.jsonl, which `best_of_n --generations` reads too, and organic.json.
Beside the whole tier stand its parts, told apart by computing: solutions that are right by luck (an equation is false, the answer
is right), wrong ones with a false equation, and wrong ones whose arithmetic is sound, which an energy of arithmetic can't tell.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from engine import runlog
from engine.config.load import load_config, work_dir
from engine.config.ouroboros import OuroborosConfig
from engine.ouroboros import edges, scorer, solver
from engine.ouroboros.best_of_n import on_generations, read_solution
from engine.ouroboros.dataset import open_dataset, write_json, write_text
from engine.ouroboros.errors import Refused
from engine.ouroboros.judge import Judge, judge_of
from engine.ouroboros.metrics import Estimate
from engine.ouroboros.solutions import Limits
from engine.ouroboros.train import pick_device

Row = dict[str, object]


def written(cfg: OuroborosConfig) -> list[Row]:
    """What a freshly trained solver writes for the held-out stories."""
    told = solver.stories(cfg.organic, cfg.seed)
    if not told.train or not told.held_out:
        raise Refused("no stories to solve: raise organic.problems, organic.templates or organic.most_steps")
    model = solver.train(cfg.organic, told.train, cfg.seed)
    return [
        {"id": story.id, "question": story.question, "solution": text, "answer": story.answer, "generator": "solver"}
        for story, texts in zip(told.held_out, model.solve(told.held_out, cfg.seed), strict=True)
        for text in texts
    ]


@dataclass(frozen=True)
class Kinds:
    """Rows by what is wrong with them."""

    right: list[Row]
    lucky: list[Row]
    """The answer is right although an equation is false: an energy that knows better pays for it."""
    slipped: list[Row]
    """Wrong, with a false equation or no answer at all."""
    sound: list[Row]
    """Wrong, every equation true: the error is one of choice."""


def sort_out(rows: Sequence[Row], limits: Limits) -> Kinds:
    found = Kinds([], [], [], [])
    for row in rows:
        solution = read_solution(str(row["solution"]), str(row["question"]), limits)
        false = solution is None or any(step.true != step.claimed for step in solution.steps)
        if solution is not None and str(solution.final) == row["answer"]:
            (found.lucky if false else found.right).append(row)
        else:
            (found.slipped if false else found.sound).append(row)
    return found


def report(judge: Judge, rows: Sequence[Row], limits: Limits, cfg: OuroborosConfig) -> dict[str, Estimate]:
    """Every measure of the tier by name; none where all solutions are of one class."""
    kinds = sort_out(rows, limits)
    by_answer = len(kinds.right) + len(kinds.lucky)
    print(f"{len(rows)} solutions of {len({str(r['id']) for r in rows})} stories: {by_answer} right by their answer, "
          f"{len(kinds.lucky)} of them with a false equation; wrong with a false equation or no answer "
          f"{len(kinds.slipped)}, wrong by choice alone {len(kinds.sound)}")  # fmt: skip
    for name, some in vars(kinds).items():
        runlog.fact(f"t3/solutions_{name}", len(some))
    if by_answer in (0, len(rows)):
        print(
            f"every one is {'right' if by_answer else 'wrong'}: an energy has nothing to tell apart; change organic.iters"
        )
        return {}
    e = cfg.evaluate
    found = on_generations(judge, rows, limits, e.bootstrap, e.threshold)
    for name, wrong in (("slipped", kinds.slipped), ("sound", kinds.sound)):
        if wrong and kinds.right:
            half = on_generations(judge, [*kinds.right, *wrong], limits, e.bootstrap, e.threshold)
            found |= {f"{name}_{what}": half[what] for what in ("energy_correct", "energy_wrong", "accuracy", "auroc")}
    return found


def main(argv: list[str]) -> int:
    cfg = load_config(OuroborosConfig, phase="phase7-ouroboros", argv=argv)
    out = work_dir("phase7-ouroboros", cfg)
    if cfg.train.threads is not None:
        torch.set_num_threads(cfg.train.threads)
    data = open_dataset(out)
    limits = Limits(data.meta["limits"]["operand"], data.meta["limits"]["result"])
    judge = judge_of(scorer.load(out / "best.pt", pick_device(cfg.train.device)), data)
    rows = written(cfg)
    write_text(out / "generations.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    found = report(judge, rows, limits, cfg)
    for name, e in found.items():
        runlog.fact(f"t3/{name}", e.value, low=e.low, high=e.high, n=len(rows), pool="solver")
        print(f"{e.value:7.3f}  ({e.low:.3f} … {e.high:.3f})  t3/{name}")
    write_json(out / "organic.json", {name: vars(e) for name, e in found.items()})
    for name in ("generations.jsonl", "organic.json"):
        runlog.artifact(out / name)
    return 0


if __name__ == "__main__":
    sys.exit(edges.run(main, sys.argv[1:]))
