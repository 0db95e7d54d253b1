"""Pick one candidate a problem by the critic, and compare with every cheaper way of the same pool.

python -m engine.verify.rank --preset smoke
python -m engine.verify.rank --phase phase14-best-of-n --preset a100
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from engine import runlog
from engine.protocol.durable import read_json, write_bytes, write_json
from engine.verify.rows import read
from engine.verify.step import Step, StepFailed, begin, run


def main(argv: list[str]) -> None:
    step = replace(begin(argv), part="test")
    from engine.verify.critic.items import items_of
    from engine.verify.critic.make import trained_critic
    from engine.verify.ranking import compare

    rows = [row for row in read(step.work / step.cfg.files.test_labeled) if not row.get("set_aside")]
    if not rows:
        raise StepFailed(f"{step.cfg.files.test_labeled} has no rows that count")
    logits = trained_critic(step.cfg.critic, step.work).logits(items_of(rows))
    greedy = greedy_of(step)
    problems = pool_of(rows, logits, greedy)
    absent = absent_of(rows, greedy, step)
    found = compare(problems, step.cfg.rank.bootstrap, step.cfg.seed)
    seen = seen_in_training(rows, read_json(step.work / "critic.json") or {})
    _write(step, found, rows, len(problems), absent)
    _facts(step, found, len(problems), seen)


def greedy_of(step: Step) -> dict[str, bool]:
    """Whether the most probable answer passes, by problem; empty where none was asked for."""
    path = step.greedy_labeled
    return {row["task_id"]: row["passed"] for row in read(path)} if path.exists() else {}


def absent_of(rows: list[dict[str, Any]], greedy: dict[str, bool], step: Step) -> dict[str, str]:
    """Baselines that this pool can't have, each with the reason: nothing is left out in silence."""
    absent = {}
    generators = ", ".join(sorted({row["generator"] for row in rows}))
    if "offline" in generators:
        why = "the generator is offline: no model wrote these programs"
        return {"greedy": why, "mean log-probability": why}
    if len({row["task_id"] for row in rows} - greedy.keys()):
        off = "generate.greedy is false" if not step.cfg.generate.greedy else "run generate test and execute test again"
        absent["greedy"] = f"not every problem has a greedy answer: {off}"
    if any(row["logprob"] is None or not row["tokens"] for row in rows):
        absent["mean log-probability"] = f"the generator ({generators}) did not say it"
    return absent


def pool_of(rows: list[dict[str, Any]], logits: Any, greedy: dict[str, bool]) -> list[Any]:
    """Rows and logits by problem; equal programs stay: the pool is what was generated."""
    import numpy as np

    from engine.verify.ranking import Problem

    groups: dict[str, list[int]] = {}
    for at, row in enumerate(rows):
        groups.setdefault(row["task_id"], []).append(at)
    problems = []
    for task, places in sorted(groups.items()):
        mine = [rows[at] for at in places]
        said = all(row["logprob"] is not None and row["tokens"] for row in mine)
        problems.append(
            Problem(
                task_id=task,
                passed=np.array([row["passed"] for row in mine]),
                logit=np.array([logits[at] for at in places]),
                length=np.array([float(len(row["code"])) for row in mine]),
                logprob=np.array([row["logprob"] / row["tokens"] for row in mine]) if said else None,
                greedy=greedy.get(task),
                outputs=tuple(tuple(row["outputs"]) for row in mine),
            )
        )
    return problems


def seen_in_training(rows: list[dict[str, Any]], told: dict[str, Any]) -> int:
    """Test problems that the critic was trained or validated on: must be none."""
    return len({row["task_id"] for row in rows} & {*told.get("train_problems", []), *told.get("val_problems", [])})


def _write(step: Step, found: Any, rows: list[dict[str, Any]], problems: int, absent: dict[str, str]) -> None:
    from engine.verify.report import markdown, terminal

    about = {
        "pool": f"{step.cfg.rank.pool}: {problems} problems, {len(rows)} candidates",
        "generator": ", ".join(sorted({f"{r['generator']} {r['model']}".strip() for r in rows})),
        "judged by": "all tests, the ones shown in the prompt too"
        if step.cfg.generate.judge_visible
        else "tests that the prompt did not show",
        "seed": step.cfg.seed,
    }
    if any(row["generator"] == "offline" for row in rows):
        about["note"] = "synthetic candidates: says nothing of a language model"
    write_bytes(step.work / "ranking.md", markdown(found, about, absent).encode())
    write_json(step.work / "ranking.json", {**as_json(found, about), "absent": absent})
    print(terminal(found))
    for name, why in absent.items():
        print(f"{name}: absent, {why}")
    for name in ("ranking.json", "ranking.md"):
        runlog.artifact(step.work / name)


def as_json(found: Any, about: dict[str, Any]) -> dict[str, Any]:
    """The report for programs."""
    return {
        "about": about,
        "choices": {c.name: {"value": c.value, "low": c.low, "high": c.high} for c in found.choices.values()},
        "critic_over": {name: {"value": c.value, "low": c.low, "high": c.high} for name, c in found.over.items()},
        "gain": {"value": found.gain.value, "low": found.gain.low, "high": found.gain.high},
        "share_of_gap": None if math.isnan(found.share_of_gap) else found.share_of_gap,
        "curves": {"n": found.sizes, **found.curves},
        "pass_at": {str(k): v for k, v in found.pass_at.items()},
    }


def _facts(step: Step, found: Any, n: int, seen: int) -> None:
    pool = step.cfg.rank.pool
    for choice in found.choices.values():
        runlog.fact(f"rank/{fact_name(choice.name)}", choice.value, low=choice.low, high=choice.high, n=n, pool=pool)
    for name, over in found.over.items():
        runlog.fact(f"rank/critic_over_{fact_name(name)}", over.value, low=over.low, high=over.high, n=n, pool=pool)
    gain = found.gain
    runlog.fact("rank/gain", gain.value, low=gain.low, high=gain.high, n=n, pool=pool)
    runlog.fact("rank/share_of_gap", found.share_of_gap, n=n, pool=pool)
    runlog.fact("rank/problems_seen_in_training", seen)
    for k, *values in zip(found.sizes, *found.curves.values(), strict=True):
        runlog.log(
            step=k, **{f"curve/{name.replace(' ', '_')}": v for name, v in zip(found.curves, values, strict=True)}
        )
    print(f"critic {100 * found.choices['critic'].value:.2f} %, random {100 * found.choices['random'].value:.2f} %")
    print(
        f"gain {100 * gain.value:+.2f} points [{100 * gain.low:+.2f}, {100 * gain.high:+.2f}]; {n} problems of {pool}"
    )


def fact_name(choice: str) -> str:
    return choice.replace(" x ", "_x_").replace(" ", "_").replace("-", "_")


if __name__ == "__main__":
    run(main)
