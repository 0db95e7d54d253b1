"""A second round: the critic's verdict and the visible tests' feedback go back into the prompt. At an equal number of samples.

    python -m engine.verify.refine --preset smoke
    python -m engine.verify.refine --phase phase14-best-of-n --preset a100

Arm A picks among first + second independent samples of the pool; arm B among the first ones and as many refined from them. Both
pick alike: programs that pass the visible tests first, the lowest energy among those. Hidden tests judge both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine import runlog
from engine.protocol.durable import write_bytes, write_json
from engine.verify.generate.backends import open_generator
from engine.verify.generate.contract import Unit, unit_seed
from engine.verify.generate.extract import program_in
from engine.verify.generate.prompt import second_prompt
from engine.verify.problems.problem import Problem
from engine.verify.rows import read
from engine.verify.sandbox.open import open_sandbox
from engine.verify.sandbox.verdict import Sample, Verdict
from engine.verify.step import Step, StepFailed, begin, run

if TYPE_CHECKING:
    from engine.verify.critic.make import TrainedCritic


@dataclass(frozen=True)
class Candidate:
    """A program of either arm."""

    key: str
    task_id: str
    code: str
    logit: float = 0.0
    seen: bool = False
    """Passes the visible tests."""
    passed: bool = False
    """Passes the hidden ones."""


def main(argv: list[str]) -> None:
    step = begin(argv, ())
    step = replace(step, part="test")
    from engine.verify.critic.make import trained_critic

    if not step.cfg.generate.visible_tests:
        raise StepFailed("a second round needs feedback: set generate.visible_tests to at least 1")
    critic = trained_critic(step.cfg.critic, step.work)
    problems = {p.task_id: p for p in step.problems() if not p.set_aside}
    require_visible(list(problems.values()), step.cfg.generate.visible_tests)
    pool = _first_pool(step, problems)
    with open_sandbox(step.cfg.sandbox) as sandbox:
        known = _judged(_scored(pool, problems, critic), problems, sandbox, step)
        first = {task: group[: step.cfg.refine.first] for task, group in known.items()}
        made = _second_round(step, first, problems)
        refined = _judged(_scored(made, problems, critic), problems, sandbox, step)
    _report(step, known, {task: first[task] + refined.get(task, []) for task in first})


def require_visible(problems: list[Problem], shown: int) -> None:
    """Feedback must come from tests that the prompt shows and that don't judge: otherwise the second round sees the answers."""
    blind = [p.task_id for p in problems if len(p.visible) <= shown]
    if blind:
        raise StepFailed(
            f"{len(blind)} problems ({blind[0]}, …) have no test to show that does not judge them, so there is no feedback for a "
            "second round. It works on MBPP's problems; leave this step out for others"
        )


def _first_pool(step: Step, problems: dict[str, Problem]) -> list[Candidate]:
    want = step.cfg.refine.first + step.cfg.refine.second
    rows = [r for r in read(step.labeled) if r["task_id"] in problems and r["sample_id"] < want]
    if len(rows) < want * len(problems):
        raise StepFailed(
            f"{step.labeled.name} holds fewer than {want} samples a problem; lower refine.first and refine.second"
        )
    rows.sort(key=lambda row: (row["task_id"], row["sample_id"]))
    return [Candidate(row["key"], row["task_id"], row["code"]) for row in rows]


def _scored(pool: list[Candidate], problems: dict[str, Problem], critic: TrainedCritic) -> list[Candidate]:
    from engine.verify.critic.items import Item

    items = [Item(c.key, c.task_id, problems[c.task_id].text, c.code, False) for c in pool]
    return [replace(c, logit=float(logit)) for c, logit in zip(pool, critic.logits(items), strict=True)]


def _judged(
    pool: list[Candidate], problems: dict[str, Problem], sandbox: Any, step: Step
) -> dict[str, list[Candidate]]:
    """Every candidate on the visible and on the hidden tests, by problem."""
    shown = step.cfg.generate.visible_tests
    samples = []
    for c in pool:
        problem = problems[c.task_id]
        visible = replace(problem.tests, asserts=problem.tests.asserts[:shown])
        hidden = problem.sample(f"hidden {c.key}", c.code, shown)
        samples += [Sample(f"visible {c.key}", c.code, visible), hidden]
    verdicts: dict[str, Verdict] = {v.key: v for v in sandbox.judge(samples)}
    groups: dict[str, list[Candidate]] = {}
    for c in pool:
        judged = replace(c, seen=verdicts[f"visible {c.key}"].ok, passed=verdicts[f"hidden {c.key}"].ok)
        groups.setdefault(c.task_id, []).append(judged)
    return groups


def _second_round(step: Step, first: dict[str, list[Candidate]], problems: dict[str, Problem]) -> list[Candidate]:
    """`second` samples a problem, asked for with the best attempt so far."""
    units = []
    for task, group in first.items():
        attempt, problem = best(group), problems[task]
        feedback = "It passes the tests shown." if attempt.seen else "It fails the tests shown."
        energy = 1 / (1 + 2.718281828459045**-attempt.logit)
        prompt = second_prompt(problem, step.cfg.generate.visible_tests, attempt.code, feedback, energy)
        seed = unit_seed(step.cfg.seed, f"second {task}", 0)
        units.append(Unit(problem, prompt, 0, 0, step.cfg.refine.second, seed, attempt.code))
    made = []
    for unit, completions in open_generator(step.cfg.generate).generate(units):
        for at, completion in enumerate(completions):
            code = program_in(completion.text, unit.problem.entry_point)
            made.append(Candidate(f"{unit.problem.task_id}/second/{at}", unit.problem.task_id, code))
    return made


def best(group: list[Candidate]) -> Candidate:
    """Visible tests first, then the lowest energy, then the first generated."""
    return min(group, key=lambda c: (not c.seen, c.logit))


def _report(step: Step, alone: dict[str, list[Candidate]], refined: dict[str, list[Candidate]]) -> None:
    import numpy as np

    from engine.verify.critic.measure import interval_of

    tasks = sorted(alone)
    picks = {"independent": [best(alone[t]).passed for t in tasks], "refined": [best(refined[t]).passed for t in tasks]}
    oracle = {
        "independent": [any(c.passed for c in alone[t]) for t in tasks],
        "refined": [any(c.passed for c in refined[t]) for t in tasks],
    }
    difference = np.array(picks["refined"], dtype=float) - np.array(picks["independent"], dtype=float)
    gain = interval_of(difference, step.cfg.seed, step.cfg.rank.bootstrap)
    told = {
        "samples_a_problem": step.cfg.refine.first + step.cfg.refine.second,
        "problems": len(tasks),
        "picked": {name: float(np.mean(values)) for name, values in picks.items()},
        "oracle": {name: float(np.mean(values)) for name, values in oracle.items()},
        "gain": vars(gain),
    }
    write_json(step.work / "refinement.json", told)
    write_bytes(step.work / "refinement.md", _markdown(told, gain).encode())
    runlog.fact("refine/gain", gain.value, low=gain.low, high=gain.high, n=gain.n, pool=step.cfg.rank.pool)
    for name in picks:
        runlog.fact(f"refine/{name}", told["picked"][name], n=len(tasks), pool=step.cfg.rank.pool)
    for name in ("refinement.json", "refinement.md"):
        runlog.artifact(step.work / name)
    said = {name: round(value, 3) for name, value in told["picked"].items()}
    print(f"picked {said}; gain {gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]")


def _markdown(told: dict[str, Any], gain: Any) -> str:
    rows = "\n".join(
        f"| {n} | {100 * told['picked'][n]:.2f} % | {100 * told['oracle'][n]:.2f} % |"
        for n in ("independent", "refined")
    )
    interval = f"95 % paired interval {100 * gain.low:+.2f} to {100 * gain.high:+.2f}"
    return (
        f"# A second round\n\n{told['samples_a_problem']} samples a problem in both arms, {told['problems']} problems.\n\n"
        f"| arm | picked | oracle |\n|---|---|---|\n{rows}\n\n"
        f"Refined less independent: {100 * gain.value:+.2f} points ({interval}).\n"
    )


if __name__ == "__main__":
    run(main)
