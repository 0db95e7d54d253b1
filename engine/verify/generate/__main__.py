"""Generate candidates: units of one problem's samples, appended as they come; started again, it goes on.

python -m engine.verify.generate train --preset smoke
python -m engine.verify.generate test --phase phase14-best-of-n --preset a100
"""

from __future__ import annotations

import time
from typing import Any

from engine import runlog
from engine.config.verify import VerifyConfig
from engine.verify.generate.backends import open_generator
from engine.verify.generate.contract import Completion, Unit, units_of
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
    units = units_of(problems, prompts, step.n, step.cfg.generate.chunk, step.cfg.seed)
    with Appender(step.generations, params(step.cfg, step.part)) as file:
        done = {row["unit"] for row in file.had}
        if done:
            print(f"going on: {len(file.had)} rows are there")
        rows = file.had + _generate([u for u in units if u.name not in done], len(done), len(units), step.cfg, file)
    report(rows, len(problems) * step.n)
    runlog.artifact(step.generations)


def params(cfg: VerifyConfig, part: str) -> dict[str, Any]:
    """What decides the rows: other values make another file."""
    kept = cfg.generate.model_dump(
        exclude={"gpu_memory_utilization", "tensor_parallel", "n_train", "n_test", "base_url"}
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


def _generate(units: list[Unit], done: int, total: int, cfg: VerifyConfig, file: Appender) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    if not units:
        return rows
    generator = open_generator(cfg.generate)
    start, tokens = time.monotonic(), 0
    for at in range(0, len(units), BLOCK):
        for unit, completions in generator.generate(units[at : at + BLOCK]):
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
