"""vLLM against transformers on this machine: the same model, prompts, samples and limits; tokens a second of each.

    python -m engine.verify.generate.race --preset a100 problems.limit=8 generate.n_test=16
    python -m engine.verify.generate.race --preset smoke generate.backend=transformers generate.model=FOLDER

The start of an engine is left out, its first unit too (compilation, caches). A backend that isn't installed is named and
left out; then there is no ratio.
"""

from __future__ import annotations

import time

from engine import runlog
from engine.config.verify import Generate
from engine.verify.generate.backends import open_generator
from engine.verify.generate.contract import Unit, units_of
from engine.verify.generate.prompt import prompt_for
from engine.verify.step import StepFailed, begin, run


def main(argv: list[str]) -> None:
    step = begin(["test", *argv], ("test",))
    if step.cfg.generate.backend == "offline":
        raise StepFailed("a race needs a model: choose a preset that has one, or generate.backend and generate.model")
    problems = step.problems()
    prompts = {p.task_id: prompt_for(p, step.cfg.generate.visible_tests) for p in problems}
    units = units_of(problems, prompts, step.n, step.cfg.generate.chunk, step.cfg.seed)
    rate = {}
    for backend in ("transformers", "vllm"):
        try:
            rate[backend] = tokens_per_s(step.cfg.generate.model_copy(update={"backend": backend}), units)
        except StepFailed as error:
            print(f"{backend}: left out: {error}")
            continue
        print(f"{backend}: {rate[backend]:.1f} tokens/s over {sum(u.n for u in units)} samples")
        runlog.fact(f"race/{backend}_tokens_per_s", rate[backend], n=sum(u.n for u in units))
    if len(rate) == 2:
        runlog.fact("race/vllm_over_transformers", rate["vllm"] / rate["transformers"])
        print(f"vLLM is {rate['vllm'] / rate['transformers']:.1f} x transformers here")


def tokens_per_s(cfg: Generate, units: list[Unit]) -> float:
    """After a warm-up of one unit."""
    generator = open_generator(cfg)
    list(generator.generate(units[:1]))
    start = time.perf_counter()
    made = sum(c.tokens for _, completions in generator.generate(units) for c in completions)
    return made / (time.perf_counter() - start)


if __name__ == "__main__":
    run(main)
