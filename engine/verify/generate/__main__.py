"""Generate candidates: units of one problem's samples, appended as they come; started again, it goes on.

python -m engine.verify.generate train --preset smoke
python -m engine.verify.generate test --phase phase14-best-of-n --preset a100
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from engine import runlog
from engine.config.verify import VerifyConfig
from engine.verify.generate.backends import open_generator
from engine.verify.generate.contract import Completion, Generator, Unit, greedy_units, units_of
from engine.verify.generate.extract import program_in
from engine.verify.generate.prompt import TEMPLATE, prompt_for
from engine.verify.rows import Appender
from engine.verify.step import StepFailed, begin, run

BLOCK = 96
"""Units handed to a backend at once: enough to fill an engine, few enough that a crash loses little."""


def main(argv: list[str]) -> None:
    step = begin(argv, ("train", "test"))
    problems = step.problems()
    prompts = {p.task_id: prompt_for(p, step.cfg.generate.visible_tests) for p in problems}
    engine = Engine(step.cfg)
    made_with = params(step.cfg, step.part)
    with engine:
        with Appender(step.generations, made_with) as file:
            units = units_of(problems, prompts, step.n, step.cfg.generate.chunk, step.cfg.seed)
            rows = _complete(units, step.cfg, file, engine)
        report(rows, len(problems) * step.n)
        runlog.artifact(step.generations)
        if step.asks_greedy:
            with Appender(step.greedy, {**made_with, "n": 1, "temperature": 0.0, "top_p": 1.0, "seed": None}) as file:
                rows = _complete(greedy_units(problems, prompts), step.cfg, file, engine)
            runlog.fact("generate/greedy_rows", len(rows))
            runlog.artifact(step.greedy)


class Engine:
    """The config's generator, started when the first unit needs it: a complete file costs no model's start."""

    def __init__(self, cfg: VerifyConfig) -> None:
        self._cfg = cfg
        self._generator: Generator | None = None

    def get(self) -> Generator:
        if self._generator is None:
            self._generator = open_generator(self._cfg.generate)
        return self._generator

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        close: Callable[[], None] | None = getattr(self._generator, "close", None)
        if close is not None:
            close()


def _complete(units: list[Unit], cfg: VerifyConfig, file: Appender, engine: Engine) -> list[dict[str, Any]]:
    """The rows of all units: those of an earlier try, and fresh ones."""
    done = {row["unit"] for row in file.had}
    if done:
        print(f"going on: {len(file.had)} rows are there")
    missing = [u for u in units if u.name not in done]
    return file.had + (_generate(missing, len(done), len(units), cfg, file, engine.get()) if missing else [])


def params(cfg: VerifyConfig, part: str) -> dict[str, Any]:
    """What decides the rows: other values make another file."""
    kept = cfg.generate.model_dump(
        exclude={
            *("gpu_memory_utilization", "tensor_parallel", "data_parallel"),
            *("n_train", "n_test", "base_url", "greedy"),
        }
    )
    n = cfg.generate.n_train if part == "train" else cfg.generate.n_test
    return {
        **kept,
        "n": n,
        "seed": cfg.seed,
        "template": TEMPLATE,
        "problems": cfg.problems.model_dump(mode="json"),
        "part": part,
    }


def _generate(
    units: list[Unit], done: int, total: int, cfg: VerifyConfig, file: Appender, generator: Generator
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    start, tokens, block = time.monotonic(), 0, BLOCK * cfg.generate.data_parallel
    for at in range(0, len(units), block):
        for unit, completions in generator.generate(units[at : at + block]):
            if len(completions) != unit.n:
                raise StepFailed(
                    f"{generator.name} gave {len(completions)} of {unit.n} samples for {unit.problem.task_id}"
                )
            fresh = [row_of(unit, unit.first + i, c, generator.name, cfg) for i, c in enumerate(completions)]
            file.append(fresh)
            rows += fresh
            done += 1
            tokens += sum(c.tokens for c in completions)
            runlog.progress(done, total, unit="units")
            runlog.log(step=done, **{"generate/tokens_per_s": tokens / max(1e-9, time.monotonic() - start)})
    print(f"{len(rows)} candidates, {tokens} tokens by {generator.name} in {time.monotonic() - start:.1f} s")
    return rows


def row_of(unit: Unit, sample_id: int, completion: Completion, generator: str, cfg: VerifyConfig) -> dict[str, Any]:
    """One candidate: the raw text is kept, the program beside it."""
    problem = unit.problem
    prompt = problem.text if problem.task_id.startswith("humaneval/") else ""
    return {
        "key": f"{problem.task_id}/{sample_id}",
        "task_id": problem.task_id,
        "sample_id": sample_id,
        "unit": unit.name,
        "split": problem.split,
        "text": problem.text,
        "code": program_in(completion.text, problem.entry_point, prompt),
        "raw": completion.text,
        "finish_reason": completion.finish_reason,
        "tokens": completion.tokens,
        "logprob": completion.logprob,
        "note": completion.note,
        "generator": generator,
        "model": cfg.generate.model,
    }


def report(rows: list[dict[str, Any]], expected: int) -> None:
    """Facts for the gates."""
    runlog.fact("generate/rows", len(rows))
    runlog.fact("generate/expected_rows", expected)
    runlog.fact("generate/unique_keys", len({row["key"] for row in rows}))
    runlog.fact("generate/offline_rows", sum(row["generator"] == "offline" for row in rows))
    runlog.fact("generate/truncated_share", sum(row["finish_reason"] == "length" for row in rows) / max(1, len(rows)))
    runlog.fact("generate/tokens", sum(row["tokens"] for row in rows))
    if len(rows) != expected:
        print(f"note: {len(rows)} rows where {expected} were expected")


if __name__ == "__main__":
    run(main)
