"""vLLM against transformers on this machine: the same model, prompts, samples and limits; tokens a second of each.

    python -m engine.verify.generate.race --preset a100 problems.limit=8 generate.n_test=16
    python -m engine.verify.generate.race --preset smoke generate.backend=transformers generate.model=FOLDER

The start of an engine is left out, its first unit too (compilation, caches). A backend that isn't installed is named and
left out; then there is no ratio.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

from engine import runlog
from engine.config.verify import Generate
from engine.verify.generate.backends import open_generator
from engine.verify.generate.contract import Generator, Unit, units_of
from engine.verify.generate.prompt import prompt_for
from engine.verify.step import StepFailed, begin, run

_ROUNDS = 3


def main(argv: list[str]) -> None:
    step = begin(["test", *argv], ("test",))
    if step.cfg.generate.backend == "offline":
        raise StepFailed("a race needs a model: choose a preset that has one, or generate.backend and generate.model")
    problems = step.problems()
    prompts = {p.task_id: prompt_for(p, step.cfg.generate.visible_tests) for p in problems}
    units = units_of(problems, prompts, step.n, step.cfg.generate.chunk, step.cfg.seed)
    pace: dict[str, Pace] = {}
    for backend in ("transformers", "vllm"):
        try:
            pace[backend] = pace_of(step.cfg.generate.model_copy(update={"backend": backend}), units)
        except StepFailed as error:
            print(f"{backend}: left out: {error}")
            continue
        told, n = pace[backend], sum(u.n for u in units)
        print(f"{backend}: {told} over {n} samples")
        runlog.fact(f"race/{backend}_tokens_per_s", told.median, low=told.low, high=told.high, n=n)
    if len(pace) == 2:
        times = pace["vllm"].median / pace["transformers"].median
        runlog.fact("race/vllm_over_transformers", times)
        print(f"vLLM is {times:.1f} x transformers here")


@dataclass(frozen=True)
class Pace:
    """Tokens a second over the rounds."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.1f} tokens/s ({self.low:.1f} to {self.high:.1f} in {_ROUNDS} rounds)"


def pace_of(cfg: Generate, units: list[Unit]) -> Pace:
    """After a warm-up of one unit."""
    generator = open_generator(cfg)
    list(generator.generate(units[:1]))
    found = sorted(_tokens_per_s(generator, units) for _ in range(_ROUNDS))
    return Pace(statistics.median(found), found[0], found[-1])


def _tokens_per_s(generator: Generator, units: list[Unit]) -> float:
    start = time.perf_counter()
    made = sum(c.tokens for _, completions in generator.generate(units) for c in completions)
    return made / (time.perf_counter() - start)


if __name__ == "__main__":
    run(main)
