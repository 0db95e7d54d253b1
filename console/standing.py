"""How a phase stands: which run counts for each step, what its gates say, what is blocked by what. Decides, shows nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.protocol.case import Case, Ground, Word
from engine.protocol.gates import Verdict, gate_state, judge_gate, open_gate
from engine.protocol.status import SUCCEEDED

if TYPE_CHECKING:
    from console.launch.resolved import Resolved
    from console.store import RunRow
    from engine.config.phase import Gate, Phase, Step
    from engine.protocol.evidence import Evidence
    from remote.tree import Tree


@dataclass(frozen=True)
class GateStanding:
    """One gate with its verdicts."""

    gate: Gate
    state: str
    verdicts: list[Verdict]

    @property
    def passed(self) -> int:
        return sum(open_gate(v.state) for v in self.verdicts)


@dataclass(frozen=True)
class StepStanding:
    """One step with the run that counts for it."""

    step: Step
    run: RunRow | None
    state: str
    """The run's state; `ready`, `blocked` or `unwritten` where it has none."""
    why: str
    blocked: str | None
    """Why it can't start now; None where it can."""
    usd_per_h: float = 0.0
    """What the machine that its run is on costs."""

    @property
    def usd(self) -> float:
        """What its run has cost so far."""
        return (self.run.seconds or 0.0) / 3600 * self.usd_per_h if self.run is not None else 0.0


@dataclass(frozen=True)
class PhaseStanding:
    """One phase at one preset."""

    phase: Phase
    preset: str
    state: str
    steps: list[StepStanding]
    gates: list[GateStanding]

    @property
    def checks_passed(self) -> int:
        return sum(g.passed for g in self.gates)

    @property
    def checks(self) -> int:
        return sum(len(g.verdicts) for g in self.gates)


def standing_runs(rows: Sequence[RunRow]) -> list[RunRow]:
    """The rows of one step, the one that counts first: the newest live one, else the newest success, else the newest."""
    newest = sorted(rows, key=lambda r: (r.created, r.run_id), reverse=True)
    if not newest:
        return []
    first = newest[0]
    if first.final or first.state == "lost":
        first = next((r for r in newest if r.state == SUCCEEDED), first)
    return [first, *[r for r in newest if r is not first]]


def ground_of(phase: Phase, resolved: Resolved, tree: Tree | None) -> dict[str, Ground]:
    """Today's code and config, the same for every step of a phase."""
    code = tree.code_hash(tuple(phase.code)) if tree is not None else ""
    ground = Ground(code, resolved.config_hash, resolved.family)
    return {step.step: ground for step in phase.steps}


def judge_phase(
    phase: Phase,
    resolved: Resolved,
    tree: Tree | None,
    rows: Sequence[RunRow],
    evidence_of: Callable[[RunRow], Evidence | None],
    ticks: dict[str, Word],
    overrides: dict[str, Word],
    needs_shut: Sequence[str] = (),
    unwritten: dict[str, str] | None = None,
) -> PhaseStanding:
    """The standing of a phase at one preset, from its runs and what people said."""
    mine = [r for r in rows if r.preset == resolved.preset]
    by_step = {s.step: _runs_of(s, mine, resolved) for s in phase.steps}
    evidence = {step: _deciding(runs, evidence_of) for step, runs in by_step.items() if runs}
    case = Case(evidence, ground_of(phase, resolved, tree), ticks, overrides)
    gates = [_judge(gate, resolved.preset, case) for gate in phase.gates]
    steps = [
        _step(phase, step, by_step[step.step], gates, by_step, needs_shut, (unwritten or {}).get(step.step))
        for step in phase.steps_at(resolved.preset)
    ]
    return PhaseStanding(phase, resolved.preset, _phase_state(steps, gates), steps, gates)


def _runs_of(step: Step, rows: Sequence[RunRow], resolved: Resolved) -> list[RunRow]:
    """The variant's own runs first; then those of its family with other seeds."""
    of_step = [r for r in rows if r.step == step.step]
    own = standing_runs([r for r in of_step if r.variant == resolved.variant])
    others = [r for r in of_step if r.variant != resolved.variant and r.family == resolved.family]
    return own + standing_runs(others) if own else []


def _deciding(rows: Sequence[RunRow], evidence_of: Callable[[RunRow], Evidence | None]) -> list[Evidence]:
    """The evidence that a verdict can lean on: of each seed on each ground the newest success, the newest that goes on and
    the newest. The hundredth run of a step is not read."""
    found: dict[tuple[object, ...], Evidence] = {}
    for row in rows:
        place = (row.seed, row.code, row.family, row.state == SUCCEEDED, row.final)
        if place not in found and (evidence := evidence_of(row)) is not None:
            found[place] = evidence
    return list(found.values())


def _judge(gate: Gate, preset: str, case: Case) -> GateStanding:
    verdicts = judge_gate(gate.compiled(preset), case)
    return GateStanding(gate, gate_state(verdicts) if verdicts else "passed", verdicts)


def _step(
    phase: Phase,
    step: Step,
    runs: Sequence[RunRow],
    gates: Sequence[GateStanding],
    by_step: dict[str, list[RunRow]],
    needs_shut: Sequence[str],
    unwritten: str | None,
) -> StepStanding:
    run = runs[0] if runs else None
    blocked = _blocked(phase, step, gates, by_step, needs_shut, unwritten)
    if run is not None:
        return StepStanding(step, run, run.state, run.reason, blocked)
    state = "unwritten" if unwritten else ("blocked" if blocked else "ready")
    return StepStanding(step, None, state, blocked or "", blocked)


def _blocked(
    phase: Phase,
    step: Step,
    gates: Sequence[GateStanding],
    by_step: dict[str, list[RunRow]],
    needs_shut: Sequence[str],
    unwritten: str | None,
) -> str | None:
    """Why this step can't start now."""
    if unwritten:
        return f"its code is not written yet ({unwritten} does not exist)"
    if needs_shut:
        return f"{needs_shut[0]} is not passed yet"
    for need in phase.needs_of(step):
        rows = by_step.get(need) or []
        if not any(r.state == SUCCEEDED for r in rows[:1]):
            return f"step {need} has not succeeded yet"
    names = {g.gate for g in phase.gates_before(step)}
    for gate in gates:
        if gate.gate.gate in names and not open_gate(gate.state):
            return f"gate {gate.gate.gate} is {gate.state}"
    return None


def asked_gates(steps: Sequence[StepStanding], gates: Sequence[GateStanding]) -> list[GateStanding]:
    """The gates that a phase must pass: all but those behind optional steps that nobody ran."""
    idle = {s.step.step for s in steps if s.step.optional and s.run is None}
    return [g for g in gates if not set(g.gate.after) <= idle]


def _phase_state(steps: Sequence[StepStanding], gates: Sequence[GateStanding]) -> str:
    """One word for the list of phases."""
    if any(s.run is not None and not s.run.final and s.state != "lost" for s in steps):
        return "running"
    asked = [s for s in steps if not s.step.optional]
    gates = asked_gates(steps, gates)
    if gates and all(open_gate(g.state) for g in gates) and all(s.state == SUCCEEDED for s in asked):
        return "passed"
    if any(g.state == "failed" for g in gates) or any(s.state in ("failed", "lost") for s in asked):
        return "failed"
    if any(g.state == "stale" for g in gates):
        return "stale"
    if any(s.run is not None for s in steps):
        return "begun"
    if all(s.state == "unwritten" for s in asked):
        return "unwritten"
    return "open"
