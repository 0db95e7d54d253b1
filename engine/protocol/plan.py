"""A plan: steps and gates in order, executed unattended, and what happens at its end. Pure: progress in, next move out.

    items   step, gate, step, gate …   a failed step or gate ends the plan; nothing after it starts
    end     checkpoint what still runs → stop it → copy what is required → verify the copy by hash → terminate

A plan ends as `passed`, `failed` (a step), `blocked` (a gate), `capped` (hours or dollars) or `stopped` (a person).
Termination is for rented machines. An unverified copy holds it back, except at a cap, where the user's choice decides:

    save-then-terminate   keep copying for the stated grace, then terminate (the default)
    terminate             at once; what is not saved is lost
    hold                  never before the copy is verified; the machine goes on costing
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from engine.protocol.case import Word
from engine.protocol.checks import Check
from engine.protocol.gates import Verdict, gate_state, open_gate
from engine.protocol.spec import RunSpec
from engine.protocol.status import SUCCEEDED
from engine.protocol.version import VERSION, require_readable

PASSED, FAILED, BLOCKED, CAPPED, STOPPED = "passed", "failed", "blocked", "capped", "stopped"

ON_CAP = ("save-then-terminate", "terminate", "hold")


@dataclass(frozen=True)
class Item:
    """One entry: a step to run, or a gate to pass."""

    kind: str
    name: str
    run: RunSpec | None = None
    checks: list[Check] = field(default_factory=list)


@dataclass(frozen=True)
class EndPolicy:
    """What the user chose for the end."""

    save_to: str | None = None
    """A folder that outlives the machine; None where the work folder itself stays."""
    terminate: list[str] | None = None
    """The command that ends the rented machine; None where there is nothing to end."""
    on_cap: str = "save-then-terminate"
    grace_s: float = 300.0
    """For the checkpoint, and again for the copy at a cap."""
    max_hours: float | None = None
    max_usd: float | None = None
    price_usd_per_h: float = 0.0

    def seconds_allowed(self) -> float | None:
        """The tighter of the two caps, in seconds; None without any."""
        limits = [] if self.max_hours is None else [self.max_hours * 3600]
        if self.max_usd is not None and self.price_usd_per_h > 0:
            limits.append(self.max_usd / self.price_usd_per_h * 3600)
        return min(limits, default=None)


@dataclass(frozen=True)
class Plan:
    """Everything that a host needs to go on alone."""

    plan_id: str
    project: str
    phase: str
    preset: str
    variant: str
    items: list[Item]
    end: EndPolicy = field(default_factory=EndPolicy)
    earlier: dict[str, str] = field(default_factory=dict)
    """Steps that are not in the plan, and the run that stands for each in its gates."""
    beside: dict[str, list[str]] = field(default_factory=dict)
    """Per step: runs of the same experiment with other seeds on this host, for the checks over seeds."""
    ticks: dict[str, Word] = field(default_factory=dict)
    overrides: dict[str, Word] = field(default_factory=dict)
    created: float = 0.0
    created_by: str = ""
    v: int = VERSION

    @property
    def host(self) -> str:
        """The host that executes it: its runs name it."""
        return next((item.run.host for item in self.items if item.run is not None), "local")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(value: dict[str, Any], where: str = "plan.json") -> Plan:
        require_readable(where, value.get("v"))
        items = [
            Item(
                i["kind"], i["name"], RunSpec.from_json(i["run"], where) if i.get("run") else None, i.get("checks", [])
            )
            for i in value["items"]
        ]
        words = {key: {k: Word(**w) for k, w in value.get(key, {}).items()} for key in ("ticks", "overrides")}
        known = {k: v for k, v in value.items() if k in Plan.__dataclass_fields__}
        return Plan(**{**known, **words, "items": items, "end": EndPolicy(**value.get("end", {}))})


@dataclass(frozen=True)
class Move:
    """What the executor does next."""

    do: str
    """run | wait | judge | finish, and at the end: checkpoint | stop | save | verify | terminate | hold | done"""
    item: int | None = None
    outcome: str = ""
    reason: str = ""


@dataclass
class Progress:
    """How far a plan is: what the executor keeps in status.json."""

    states: list[str] = field(default_factory=list)
    """Per item: waiting, running, succeeded, failed, stopped, lost; for a gate its state."""
    reasons: list[str] = field(default_factory=list)
    elapsed_s: float = 0.0
    stop_by: str | None = None
    outcome: str = ""
    reason: str = ""
    stage: str = ""
    """Of the end: checkpoint, stop, save, verify, terminate, hold, done."""
    stage_s: float = 0.0
    run_alive: bool = False
    unstoppable: bool = False
    """The ladder was climbed and more, and something still runs: the rest of the end goes on without waiting for it."""
    checkpointed: bool = False
    saved: bool = False
    verified: bool = False
    terminated: bool = False
    problem: str = ""
    """Why the last attempt of this stage did not succeed."""


def next_move(plan: Plan, progress: Progress) -> Move:
    """The next move while the items run."""
    if progress.outcome:
        return next_end_move(plan.end, progress)
    allowed = plan.end.seconds_allowed()
    if progress.stop_by is not None:
        return Move("finish", outcome=STOPPED, reason=f"stopped by {progress.stop_by}")
    if allowed is not None and progress.elapsed_s >= allowed:
        return Move("finish", outcome=CAPPED, reason=_cap_reason(plan.end, allowed))
    for at, item in enumerate(plan.items):
        state = progress.states[at]
        if (item.kind == "gate" and open_gate(state)) or (item.kind == "step" and state == SUCCEEDED):
            continue
        if item.kind == "gate":
            if state == "waiting":
                return Move("judge", at)
            return Move("finish", outcome=BLOCKED, reason=f"gate {item.name} is not passed: {progress.reasons[at]}")
        if state == "waiting":
            return Move("run", at)
        if state in ("queued", "starting", "running", "stalled", "orphaned"):
            return Move("wait", at)
        return Move("finish", outcome=FAILED, reason=f"step {item.name} {state}: {progress.reasons[at]}")
    return Move("finish", outcome=PASSED, reason="every step succeeded and every gate is passed")


def _cap_reason(end: EndPolicy, allowed: float) -> str:
    spent = f" ({allowed / 3600 * end.price_usd_per_h:.2f} USD)" if end.price_usd_per_h else ""
    return f"its cap of {allowed / 3600:g} h{spent} is reached"


def next_end_move(end: EndPolicy, progress: Progress) -> Move:
    """The next move once the outcome stands: never lose weights, never burn money."""
    if progress.run_alive and not progress.unstoppable:
        return _quiet_the_run(end, progress)
    # Once it was decided to end the machine unsaved, a failed attempt to end it does not lead back to saving.
    if end.save_to is not None and not progress.verified and progress.stage not in ("terminate", "done"):
        move = _bring_home(end, progress)
        if move is not None:
            return move
    if end.terminate is not None and not progress.terminated:
        return Move("terminate", reason=progress.problem)
    return Move("done")


def _quiet_the_run(end: EndPolicy, progress: Progress) -> Move:
    """Ask for a checkpoint first, wait for it within the grace, then stop."""
    in_time = progress.stage == "checkpoint" and progress.stage_s < end.grace_s
    if not progress.checkpointed and (progress.stage == "" or in_time):
        return Move("checkpoint")
    return Move("stop")


def _bring_home(end: EndPolicy, progress: Progress) -> Move | None:
    """Copy and verify, or decide that the machine ends (None) or stays (hold) without."""
    trying = progress.stage in ("save", "verify")
    out_of_time = trying and progress.stage_s >= end.grace_s
    if progress.outcome == CAPPED and end.on_cap == "terminate":
        return None
    if out_of_time and progress.outcome == CAPPED and end.on_cap == "save-then-terminate":
        return None
    if out_of_time or progress.stage == "hold":
        return _hold(end, progress)
    return Move("verify") if progress.saved else Move("save")


def _hold(end: EndPolicy, progress: Progress) -> Move | None:
    """Keep the machine because something on it is not safe; a later cap may still end it."""
    allowed = end.seconds_allowed()
    if allowed is not None and progress.elapsed_s >= allowed + end.grace_s and end.on_cap != "hold":
        return None
    return Move("hold", reason=f"not everything required is verified elsewhere: {progress.problem}")


def judged(verdicts: list[Verdict]) -> tuple[str, str]:
    """A gate's state and the because of the first check that keeps it shut. A plan waits for nobody: waiting is shut."""
    state = gate_state(verdicts)
    shut = next((v for v in verdicts if v.state == state and not open_gate(state)), None)
    if state == "waiting":
        state = "blocked"
    return state, "" if shut is None else f"{shut.text} — {shut.because}"
