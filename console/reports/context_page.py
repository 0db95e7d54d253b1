"""The one page that somebody needs to resume the work, written from the evidence: where it stands, what comes next, how. Pure.

The checklist of what comes next is what the gates and steps lack today, each with the command that supplies it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from console.reports.document import Checklist, Code, Document, Prose, Table
from console.reports.log import notes_lines
from console.runs.notes import Note
from console.runs.spending import Spent
from console.standing import GateStanding, PhaseStanding, StepStanding, asked_gates
from console.store import RunRow
from console.words import ago, duration, number, sign, usd
from engine.protocol.checks import is_manual
from engine.protocol.gates import open_gate
from engine.protocol.status import SUCCEEDED

_LAST_NOTES = 15
_LAST_RUNS = 8


@dataclass(frozen=True)
class Place:
    """A machine that runs can go to."""

    name: str
    how: str


@dataclass(frozen=True)
class Ground:
    """All that the page is written from."""

    project: str
    folder: str
    standings: list[PhaseStanding]
    active: PhaseStanding | None
    variant: str
    others: list[list[str]]
    """Other variants of the active phase, each with its newest run."""
    runs: list[RunRow]
    """The newest of the project."""
    plans: list[dict[str, str]]
    hosts: list[Place]
    rented: str
    models: list[list[str]]
    notes: list[Note]
    advice: dict[str, str] = field(default_factory=dict)
    """Run id → the way out, for runs that went wrong."""
    spent: str = ""


def active_of(standings: Sequence[PhaseStanding], newest: Sequence[RunRow]) -> PhaseStanding | None:
    """The phase that runs; else the one that ran last; else the first that is not passed."""
    running = next((s for s in standings if s.state == "running"), None)
    if running is not None:
        return running
    by_name = {s.phase.phase: s for s in standings}
    last = next((by_name[r.phase] for r in newest if r.phase in by_name), None)
    return last or next((s for s in standings if s.state != "passed"), None)


def context_page(g: Ground, now: float) -> Document:
    """The page."""
    page = Document(
        f"{g.project}: where the work stands", f"Written from the evidence at {_stamp(now)}. Read this first."
    )
    if g.active is not None:
        page.section("Active phase", _active(g, g.active))
        page.section("Results so far", _steps(g.active), _numbers(g))
        page.section("What comes next", Checklist([*todo(g.active, g.variant), *_next_phase(g)]))
        page.section("Other variants of this phase", Table(["variant", "newest run", "step", "when", "run"], g.others))
    page.section(
        "What runs now", _live(g, now), Table(["plan", "phase", "outcome", "why"], [list(p.values()) for p in g.plans])
    )
    page.section("What went wrong lately", _wrong(g, now))
    page.section("All phases", _phases(g))
    page.section("Models", Table(["phase", "model", "from", "champion"], g.models))
    page.section("Machines", Table(["host", "how"], [[p.name, p.how] for p in g.hosts]), Prose(g.rented))
    page.section("Commands", Code(_commands(g), "bash"))
    page.section("Files", Table(["what", "where"], _files(g)))
    page.section("Notes and learnings", Prose("\n".join(notes_lines(g.notes[-_LAST_NOTES:]))))
    return page


def _active(g: Ground, s: PhaseStanding) -> Table:
    rows = [
        ["Phase", f"`{s.phase.phase}` — {s.phase.title}"],
        ["Goal", s.phase.goal.strip().split("\n\n")[0]],
        ["Status", f"{sign(s.state)}, {s.checks_passed} of {s.checks} checks"],
        ["Variant", f"`{g.variant}`"],
        ["Plan", " → ".join(x.step.step for x in s.steps if not x.step.optional)],
        ["Spent", g.spent],
    ]
    return Table(["", ""], [row for row in rows if row[1]])


def _steps(s: PhaseStanding) -> Table:
    rows = []
    for x in s.steps:
        took = duration(x.run.seconds) if x.run is not None else ""
        said = x.why if x.why and x.state != SUCCEEDED else x.step.title
        rows.append([sign(x.state), x.step.step, took, said, x.run.run_id if x.run is not None else ""])
    return Table(["state", "step", "took", "what", "run"], rows)


def _numbers(g: Ground) -> Table:
    """What the gates ask about, with its verdict."""
    rows = []
    for gate in g.active.gates if g.active else ():
        rows += [[sign(v.state), f"`{v.text}`", _shown(v.value), v.because] for v in gate.verdicts]
    return Table(["verdict", "check", "value", "because"], rows)


def _shown(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return "" if value is None or isinstance(value, (dict, list)) else str(value)
    return number(value)


def todo(s: PhaseStanding, variant: str) -> list[tuple[bool, str]]:
    """Steps and gates in their order, what is done ticked, what is open with the command that supplies it."""
    items: list[tuple[bool, str]] = []
    told: set[str] = set()
    done: set[str] = set()
    for x in s.steps:
        if x.step.optional and x.run is None:
            continue
        items.append(_step_item(x, s, variant))
        done.add(x.step.step)
        for gate in asked_gates(s.steps, s.gates):
            if set(gate.gate.after) <= done and gate.gate.gate not in told:
                told.add(gate.gate.gate)
                items += _gate_items(gate, s, variant)
    return items


def _next_phase(g: Ground) -> list[tuple[bool, str]]:
    """When this phase is passed: the first that is not and whose needs are."""
    if g.active is None or g.active.state != "passed":
        return []
    passed = {s.phase.phase for s in g.standings if s.state == "passed"}
    for s in g.standings:
        if s.state not in ("passed", "unwritten") and set(s.phase.needs) <= passed:
            return [
                (
                    False,
                    f"phase {s.phase.phase} is {s.state}: `fractal-console run {s.phase.phase} --preset {s.preset}`",
                )
            ]
    return []


def _chosen(s: PhaseStanding, variant: str) -> str:
    """The options that name a variant, as far as its name tells them."""
    overrides = variant.partition("+")[2]
    words = overrides.split(",") if "=" in overrides else []
    return " ".join([f"--preset {s.preset}", *(f"--set {word}" for word in words)])


def _step_item(x: StepStanding, s: PhaseStanding, variant: str) -> tuple[bool, str]:
    if x.state == SUCCEEDED:
        return True, f"step {x.step.step}"
    if x.run is not None and not x.run.final and x.state != "lost":
        return False, f"step {x.step.step} is {x.state}: `fractal-console status {x.run.run_id}`"
    if x.blocked:
        return False, f"step {x.step.step} is blocked: {x.blocked}"
    return False, f"step {x.step.step}: `fractal-console run {s.phase.phase} {x.step.step} {_chosen(s, variant)}`"


def _gate_items(gate: GateStanding, s: PhaseStanding, variant: str) -> list[tuple[bool, str]]:
    many = len(gate.verdicts)
    if open_gate(gate.state):
        return [(True, f"gate {gate.gate.gate}, {gate.passed} of {many} checks")]
    measured = [v for v in gate.verdicts if not is_manual(v.text)]
    if measured and all(v.state == "waiting" for v in measured):
        return [(False, f"gate {gate.gate.gate}: {many} checks wait for {', '.join(gate.gate.after)}")]
    items = []
    for v in gate.verdicts:
        if open_gate(v.state):
            items.append((True, f"`{v.text}`"))
        elif is_manual(v.text):
            tick = f"fractal-console tick {s.phase.phase} {v.check_id} {_chosen(s, variant)}"
            items.append((False, f"`{v.text}`: look, then `{tick}`"))
        else:
            items.append((False, f"`{v.text}` is {v.state}: {v.because}"))
    return items


def _live(g: Ground, now: float) -> Table:
    live = [r for r in g.runs if not r.final and r.state != "lost"]
    rows = [[sign(r.state), r.run_id, r.phase, r.step, r.variant, r.host, ago(r.created, now)] for r in live]
    return Table(["state", "run", "phase", "step", "variant", "host", "since"], rows)


def _wrong(g: Ground, now: float) -> Table:
    wrong = [r for r in g.runs if r.state in ("failed", "lost")][:_LAST_RUNS]
    rows = [[r.run_id, f"{r.phase} {r.step}", ago(r.created, now), r.reason, g.advice.get(r.run_id, "")] for r in wrong]
    return Table(["run", "step", "when", "because", "the way out"], rows)


def _phases(g: Ground) -> Table:
    rows = [
        [sign(s.state), f"`{s.phase.phase}`", s.preset, f"{s.checks_passed}/{s.checks}", s.phase.title]
        for s in g.standings
    ]
    return Table(["state", "phase", "preset", "checks", "title"], rows)


def _commands(g: Ground) -> str:
    phase = g.active.phase.phase if g.active else "PHASE"
    preset = g.active.preset if g.active else "cpu"
    host = next((p.name for p in g.hosts if p.name != "local"), "")
    lines = [
        "fractal-console                                   # the console",
        f"fractal-console gates {phase} --preset {preset}     # each check and its because",
        f"fractal-console run {phase} --preset {preset}       # the whole phase, gates between",
        *([f"fractal-console run {phase} STEP --preset {preset} --host {host}"] if host else []),
        "fractal-console runs --query 'state:failed age<7d'",
        "fractal-console logs last -f",
        f"fractal-console report {phase} --out report.html",
        f"fractal-console note {phase} --learning 'what was learned'",
        "fractal-console doctor",
    ]
    return "\n".join(lines)


def _files(g: Ground) -> list[list[str]]:
    phase = g.active.phase.phase if g.active else "*"
    return [
        ["the project", g.folder],
        ["this phase: goal, steps, gates", f"configs/phases/{phase}.yaml"],
        ["its presets", f"configs/{phase}/"],
    ]


def spent_words(spent: Spent) -> str:
    return f"{spent.runs} runs, {duration(spent.seconds)}, {usd(spent.usd)}"


def _stamp(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))
