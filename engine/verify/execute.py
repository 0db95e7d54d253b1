"""Run every candidate in the sandbox and label it; started again, it goes on.

python -m engine.verify.execute train --preset smoke
python -m engine.verify.execute test --phase phase14-best-of-n --preset a100
"""

from __future__ import annotations

import collections
from pathlib import Path
from typing import Any

from engine import runlog
from engine.config.verify import VerifyConfig
from engine.protocol.durable import read_json
from engine.verify.problems.problem import Problem
from engine.verify.rows import Appender, params_path, read
from engine.verify.sandbox.open import open_sandbox
from engine.verify.sandbox.verdict import Sample, Verdict
from engine.verify.step import Step, StepFailed, begin, run

_DURABLE_EVERY = 64  # verdicts between two fsyncs: about a quarter of a second's work


def main(argv: list[str]) -> None:
    step = begin(argv, ("train", "test"))
    problems = {p.task_id: p for p in step.problems()}
    rows = list(read(step.generations))
    report(_label(rows, problems, step, step.generations, step.labeled), len(rows))
    if step.asks_greedy and step.greedy.exists():
        greedy = _label(list(read(step.greedy)), problems, step, step.greedy, step.greedy_labeled)
        runlog.fact("execute/greedy_pass_rate", sum(r["passed"] for r in greedy) / max(1, len(greedy)), n=len(greedy))


def _label(
    rows: list[dict[str, Any]], problems: dict[str, Problem], step: Step, source: Path, target: Path
) -> list[dict[str, Any]]:
    """Every row of a file with its verdict, in another file."""
    with Appender(target, _params(step.cfg, source)) as file:
        done = {row["key"] for row in file.had}
        missing = [r for r in rows if r["key"] not in done]
        labeled = file.had + (_execute(missing, problems, step.cfg, file, len(done), len(rows)) if missing else [])
    runlog.artifact(target)
    return labeled


def _params(cfg: VerifyConfig, source: Path) -> dict[str, Any]:
    """What decides a label: the candidates' own making too, or new candidates would keep old verdicts."""
    return {
        "generations": read_json(params_path(source)),
        "judge_visible": cfg.generate.judge_visible,
        "visible_tests": cfg.generate.visible_tests,
        "memory_mib": cfg.sandbox.memory_mib,
        "seed": cfg.seed,
    }


def _execute(
    rows: list[dict[str, Any]], problems: dict[str, Problem], cfg: VerifyConfig, file: Appender, done: int, total: int
) -> list[dict[str, Any]]:
    labeled: list[dict[str, Any]] = []
    waiting: list[dict[str, Any]] = []
    equal = equal_programs(rows)
    hide = 0 if cfg.generate.judge_visible else cfg.generate.visible_tests
    with open_sandbox(cfg.sandbox) as sandbox:
        for verdict in sandbox.judge(sample_of(group[0], problems, hide) for group in equal.values()):
            waiting += [labeled_row(row, verdict, problems) for row in equal[verdict.key]]
            if len(waiting) >= _DURABLE_EVERY:
                labeled, waiting = _keep(file, labeled, waiting, done, total)
    labeled, _ = _keep(file, labeled, waiting, done, total)
    return labeled


def equal_programs(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Rows of one problem with the very same program, under the key of the first: it is run once, for all of them."""
    first: dict[tuple[str, str], str] = {}
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        key = first.setdefault((row["task_id"], row["code"]), row["key"])
        groups.setdefault(key, []).append(row)
    return groups


def _keep(
    file: Appender, labeled: list[dict[str, Any]], waiting: list[dict[str, Any]], done: int, total: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    file.append(waiting)
    labeled = labeled + waiting
    runlog.progress(done + len(labeled), total, unit="candidates")
    if labeled:
        runlog.log(step=done + len(labeled), **{"execute/pass_rate": sum(r["passed"] for r in labeled) / len(labeled)})
    return labeled, []


def sample_of(row: dict[str, Any], problems: dict[str, Problem], hide: int) -> Sample:
    problem = problems.get(row["task_id"])
    if problem is None:
        raise StepFailed(f"{row['key']} belongs to no problem of this config; was the file made with another source?")
    return problem.sample(row["key"], row["code"], hide)


def labeled_row(row: dict[str, Any], verdict: Verdict, problems: dict[str, Problem]) -> dict[str, Any]:
    """The candidate with what became of it."""
    kept = {k: v for k, v in row.items() if k != "raw"}
    return {
        **kept,
        "passed": verdict.ok,
        "verdict": verdict.verdict,
        "reason": verdict.reason,
        "tests_passed": verdict.passed,
        "tests": verdict.total,
        "cpu_s": round(verdict.cpu_s, 4),
        "maxrss_kb": verdict.maxrss_kb,
        "outputs": list(verdict.outputs),
        "mode": verdict.mode,
        "tier": verdict.tier,
        "set_aside": problems[row["task_id"]].set_aside,
    }


def report(rows: list[dict[str, Any]], expected: int) -> None:
    """Facts for the gates; with no passing sample it says so and divides by nothing."""
    counted = [row for row in rows if not row["set_aside"]]
    passed = sum(row["passed"] for row in counted)
    by_task = collections.defaultdict(set)
    for row in counted:
        by_task[row["task_id"]].add(row["passed"])
    runlog.fact("execute/rows", len(rows))
    runlog.fact("execute/expected_rows", expected)
    runlog.fact("execute/pass_rate", passed / len(counted) if counted else 0.0)
    runlog.fact("execute/mixed_problems", sum(len(kinds) == 2 for kinds in by_task.values()))
    runlog.fact("execute/denied_share", sum(row["reason"] == "denied" for row in rows) / max(1, len(rows)))
    runlog.fact("execute/time_outs", sum(row["verdict"] == "TIMEOUT" for row in rows))
    runlog.fact("execute/cpu_s", round(sum(row["cpu_s"] for row in rows), 2))
    tiers = {row["tier"] for row in rows}
    runlog.fact("execute/isolation", "none" if not tiers or "C" in tiers else max(tiers))
    reasons = collections.Counter(row["reason"] for row in rows)
    print(f"{passed} of {len(counted)} pass; {dict(reasons.most_common(8))}")
    if counted and not passed:
        print("note: not one candidate passes; there is nothing to learn from. Is the prompt right for this model?")


if __name__ == "__main__":
    run(main)
