"""The verdict on a gate. Pure: checks and evidence in, verdicts with their because out; the same on console and host.

    passed      the evidence meets the check
    failed      it does not, or what the check names was never measured, or the step did not succeed
    waiting     the step has not run, or still runs
    stale       it was met, but by a run of other code or another config than today's
    overridden  it is not met, and a person has said why that is accepted

A missing metric fails; it is never skipped. A tick never outlives the code and config that earned it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from engine.protocol.case import FAILED, OVERRIDDEN, PASSED, STALE, WAITING, Case, Word
from engine.protocol.checks import Check, steps_of
from engine.protocol.findings import Finding, measured


@dataclass(frozen=True)
class Verdict:
    """One check's verdict with its because."""

    check_id: str
    text: str
    state: str
    because: str
    value: Any = None
    threshold: float | None = None
    """What the value was held against, where that is a number; the nearer end of a range."""
    run_id: str | None = None
    tree: str = ""
    config_hash: str = ""
    when: float | None = None
    word: Word | None = None

    def to_json(self) -> dict[str, Any]:
        return {k: v for k, v in asdict(self).items() if v not in (None, "")}


def judge_gate(checks: Sequence[Check], case: Case) -> list[Verdict]:
    """A verdict per check, in order."""
    return [judge(check, case) for check in checks]


def gate_state(verdicts: Sequence[Verdict]) -> str:
    """The gate's own state: it stands open only where every check passed or was overridden."""
    states = {v.state for v in verdicts}
    for state in (FAILED, STALE, WAITING):
        if state in states:
            return state
    return OVERRIDDEN if OVERRIDDEN in states else PASSED


def open_gate(state: str) -> bool:
    return state in (PASSED, OVERRIDDEN)


def judge(check: Check, case: Case) -> Verdict:
    """One check's verdict."""
    finding = _manual(check, case) if check["kind"] == "manual" else measured(check, case)
    state, because, word = finding.state, finding.because, None
    if state == PASSED and finding.run is not None and (why := _staleness(check, case)):
        state, because = STALE, f"{because}; {why}"
    if check["kind"] == "manual":
        word = case.ticks.get(check["id"])
    if state in (FAILED, STALE) and check["id"] in case.overrides:
        word = case.overrides[check["id"]]
        state, because = OVERRIDDEN, f"{word.by}: {word.reason} (was {state}: {because})"
    run = finding.run
    return Verdict(
        check_id=check["id"],
        text=check["text"],
        state=state,
        because=because,
        value=_plain(finding.value),
        threshold=finding.threshold,
        run_id=run.run_id if run else None,
        tree=run.tree if run else "",
        config_hash=run.config_hash if run else "",
        when=word.when if word else (run.ended if run else None),
        word=word,
    )


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _staleness(check: Check, case: Case) -> str:
    """Why evidence that met the check no longer counts; empty where it does."""
    for step in steps_of(check):
        ground = case.ground.get(step)
        for run in case.evidence.get(step, [])[:1]:
            if ground is None:
                continue
            if ground.code and run.code and run.code != ground.code:
                return f"the code of {step} has changed since that run"
            if run.config_hash != ground.config_hash:
                return f"the config of {step} has changed since that run"
    return ""


def _manual(check: Check, case: Case) -> Finding:
    tick = case.ticks.get(check["id"])
    if tick is None:
        return Finding(WAITING, "waits for a person")
    codes = {g.code for g in case.ground.values() if g.code}
    if tick.code and codes and tick.code not in codes:
        return Finding(STALE, f"ticked by {tick.by} on other code")
    return Finding(PASSED, f"ticked by {tick.by}" + (f": {tick.reason}" if tick.reason else ""))
