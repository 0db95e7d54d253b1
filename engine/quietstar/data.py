"""Reasoning examples for the seven strategies, split 90 to 10: generated here, or given.

    python -m engine.quietstar.data --preset cpu

Leaves phase3_reasoning_training_data.json, its facts for the gate `data`, and says where the examples came from.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np

from engine import runlog
from engine.config.load import load_config, work_dir
from engine.config.quietstar import QuietstarConfig
from engine.config.quietstar_bake import Data
from engine.data import arithmetic, gsm8k
from engine.quietstar import examples, task
from engine.quietstar.errors import ExamplesError, edge
from engine.quietstar.examples import Example, Split
from engine.quietstar.names import EXAMPLES, PHASE
from engine.quietstar.strategies import STRATEGIES, Step, counts, cued, tell

GENERATOR = "fractal-reasoning-1"
_EQUATION = re.compile(r"<<(-?\d+)([-+*/])(-?\d+)=(-?\d+)>>")


def main(argv: list[str]) -> int:
    cfg = load_config(QuietstarConfig, phase=PHASE, argv=argv)
    found = make(cfg.data, cfg.seed)
    parts = examples.split(found, cfg.seed)
    out = work_dir(PHASE, cfg) / EXAMPLES
    examples.write(out, found)
    report(cfg.data, parts, out)
    return 0


def make(data: Data, seed: int) -> list[Example]:
    """The examples that the config asks for."""
    if data.source == "file":
        return given()
    wanted = {"train": counts(data.train_examples), "val": counts(data.val_examples)}
    return from_task(wanted, seed) if data.source == "task" else from_arithmetic(wanted, seed)


def given() -> list[Example]:
    """The person's own file, in the source's format."""
    folder = gsm8k.data_folder()
    if folder is None:
        raise ExamplesError(f"data.source is `file`, and $FRACTAL_DATA does not name the folder where {EXAMPLES} lies")
    return examples.read(folder / EXAMPLES)


def from_task(wanted: dict[str, dict[str, int]], seed: int) -> list[Example]:
    """State tracking, its right thoughts as the reasoning."""
    world, found = task.World(seed), []
    for number, part in enumerate(("train", "val")):
        rng = np.random.default_rng([seed, 5, number])
        kinds = np.repeat(np.arange(len(STRATEGIES)), [wanted[part][s] for s in STRATEGIES])
        drawn = world.problems(rng, len(kinds), "train" if part == "train" else "val")
        problems = task.Problems(rng.permutation(kinds), drawn.start_B, drawn.functions_BA)
        thoughts, answers = world.thought_ids(problems), world.answer_ids(problems)
        for question, thought, answer, kind, code in zip(
            problems.question_ids(), thoughts, answers, problems.kind_B, problems.code_B, strict=True
        ):
            about = {"problem": f"state-{code}", "split": part, "generator": GENERATOR}
            words = (task.text(question), task.text(thought), task.text(answer[:1]))
            found.append(Example(*words, STRATEGIES[kind], GENERATOR, len(thought) + len(answer), 0.0, about))
    return found


def from_arithmetic(wanted: dict[str, dict[str, int]], seed: int) -> list[Example]:
    """Word problems of the project's own, each told in one strategy. Twins share their problem, so they share a side."""
    queue = [(part, s) for part, of in wanted.items() for s, count in of.items() for _ in range(count)]
    stories = (p for p in arithmetic.problems(seed, 2 * len(queue) + 100) if p.twin_of is None)
    found = [_told(problem, part, s) for (part, s), problem in zip(queue, islice(stories, len(queue)), strict=False)]
    if len(found) < len(queue):
        raise ExamplesError(
            f"{len(queue)} examples are asked for, and the generator has {len(found)} problems: ask for fewer"
        )
    return found


def _told(problem: arithmetic.Problem, part: str, strategy: str) -> Example:
    steps = []
    for line in problem.answer.splitlines()[:-1]:
        match = _EQUATION.search(line)
        assert match is not None, line  # every line of this generator has its equation
        a, op, b, result = match.groups()
        steps.append(Step(_EQUATION.sub("", line), int(a), op, int(b), int(result)))
    reasoning = tell(steps, strategy)
    about = {"problem": problem.id, "split": part, "generator": GENERATOR}
    answer = str(steps[-1].result)
    return Example(cued(problem.question, strategy), reasoning, answer, strategy, GENERATOR, 0, 0.0, about)


def report(data: Data, parts: Split, out: Path) -> None:
    each = Counter(e.strategy for e in [*parts.train, *parts.val])
    facts = {
        "train_examples": len(parts.train),
        "val_examples": len(parts.val),
        "strategies": len(each),
        "least_examples_of_a_strategy": min(each.values()),
        "problems_in_two_splits": parts.in_both,
        "cost_usd": sum(e.cost_usd for e in [*parts.train, *parts.val]),
    }
    for name, value in facts.items():
        runlog.fact(f"data/{name}", value)
    runlog.fact("data/source", data.source)
    runlog.artifact(out)
    print(
        f"{out.name}: {len(parts.train):,} examples to train on and {len(parts.val):,} to validate with ({data.source})"
    )
    for strategy in STRATEGIES:
        print(f"  {strategy:22s} {each[strategy]:6,}")


if __name__ == "__main__":
    sys.exit(edge(main, sys.argv[1:]))
