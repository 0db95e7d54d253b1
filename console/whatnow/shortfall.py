"""What a gate still lacks: which evidence is missing or short, of which run, and by how much. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from console.standing import GateStanding, PhaseStanding
from console.words import number
from engine.protocol.checks import Check, is_manual, steps_of
from engine.protocol.gates import Verdict, open_gate


@dataclass(frozen=True)
class Shortfall:
    """One check that keeps a gate shut."""

    gate: str
    check_id: str
    text: str
    state: str
    kind: str
    """missing | short | run | stale | waiting | manual"""
    because: str
    measures: str = ""
    """The metric, fact or file that the check asks for."""
    step: str = ""
    run_id: str | None = None
    value: Any = None
    needs: float | None = None
    off: float | None = None
    """By how much the value misses what is needed."""
    do: str = ""

    def to_json(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if v not in (None, "")}


def shortfalls(standing: PhaseStanding) -> list[Shortfall]:
    """Every check that keeps a gate of this phase shut, in order."""
    return [found for gate in standing.gates for found in _of_gate(standing, gate)]


def _of_gate(standing: PhaseStanding, gate: GateStanding) -> list[Shortfall]:
    checks = {check["id"]: check for check in gate.gate.compiled(standing.preset)}
    return [shortfall(standing, gate.gate.gate, checks[v.check_id], v) for v in gate.verdicts if not open_gate(v.state)]


def shortfall(standing: PhaseStanding, gate: str, check: Check, verdict: Verdict) -> Shortfall:
    """What one check lacks."""
    step = next(iter(steps_of(check)), "")
    kind = _kind(standing, step, verdict)
    needs = verdict.threshold
    off = _off(verdict.value, needs) if kind == "short" else None
    return Shortfall(
        gate=gate,
        check_id=verdict.check_id,
        text=verdict.text,
        state=verdict.state,
        kind=kind,
        because=verdict.because,
        measures=str(check.get("name") or check.get("path") or ""),
        step=step,
        run_id=verdict.run_id,
        value=verdict.value,
        needs=needs,
        off=off,
        do=_way(standing, step, kind, verdict),
    )


def _kind(standing: PhaseStanding, step: str, verdict: Verdict) -> str:
    if is_manual(verdict.text) and verdict.state == "waiting":
        return "manual"
    if verdict.state in ("waiting", "stale"):
        return verdict.state
    state = next((s.state for s in standing.steps if s.step.step == step), "")
    if state in ("failed", "stopped", "lost"):
        return "run"
    return "missing" if verdict.value is None else "short"


def _off(value: Any, needs: float | None) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or needs is None:
        return None
    return abs(value - needs) if math.isfinite(value) else None


def _way(standing: PhaseStanding, step: str, kind: str, verdict: Verdict) -> str:
    """The command that brings this check forward."""
    phase, at = standing.phase.phase, f"--preset {standing.preset}"
    again = f"fractal-console run {phase} {step} {at}"
    return {
        "manual": f"fractal-console tick {phase} {verdict.check_id} {at}",
        "waiting": again if verdict.run_id is None else f"fractal-console logs {verdict.run_id} -f",
        "stale": again,
        "run": f"fractal-console why {verdict.run_id}",
        "missing": f"fractal-console events {verdict.run_id}    # it must log this; then: {again}",
        "short": f"{again}    # with a better config, or accept it: fractal-console override {phase} {verdict.check_id} …",
    }[kind]


def words(s: Shortfall) -> str:
    """How far off, in words."""
    if s.kind == "short" and s.off is not None:
        return f"{s.because}: off by {number(s.off)}"
    if s.kind == "missing" and s.measures:
        return f"{s.because}" if s.measures in s.because else f"{s.measures}: {s.because}"
    return s.because


def as_markdown(found: Sequence[Shortfall]) -> str:
    """A page of them: what is lacking, for which checks, of which run, and the command that brings it forward."""
    together: dict[tuple[str, str, str, str | None, str], list[str]] = {}
    for s in found:
        together.setdefault((s.gate, s.kind, words(s), s.run_id, s.do), []).append(s.text)
    parts = []
    for (gate, kind, said, run_id, do), texts in together.items():
        of = f" (run `{run_id}`)" if run_id else ""
        checks = "\n".join(f"- `{text}`" for text in texts)
        parts.append(f"**gate {gate}**, {kind}: {said}{of}\n\n{checks}\n\nType: `{do}`")
    return "\n\n".join(parts)
