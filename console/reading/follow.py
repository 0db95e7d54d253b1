"""Following a run or a plan on a plain terminal: what the headless `run` shows while it goes on.

Only looks: ctrl-c ends the following, never the run, and says so.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from console.reading.view import RunView, gated_first
from console.words import coloured, duration, number, shown_state, sign, table
from console.workspace import Workspace
from engine.protocol.checks import Check
from engine.protocol.gates import open_gate
from engine.protocol.plan import Item, Plan
from engine.protocol.plan_status import PlanSaid, plan_said
from engine.protocol.status import SUCCEEDED
from engine.supervisor.cause import log_tail
from remote.host import Unreachable

_LOOK_S = 0.25
_PLAIN_LINE_S = 10.0  # without a terminal: a line now and then, not a film


class ProgressLine:
    """One line that rewrites itself on a terminal, and a line every ten seconds elsewhere."""

    def __init__(self, write: Callable[[str], Any], live: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self.write, self.live, self.clock = write, live, clock
        self.last = 0.0
        self.shown = ""

    def show(self, text: str, force: bool = False) -> None:
        if text == self.shown and not force:
            return
        if self.live:
            self.write(f"\r\x1b[2K{text}")
            self.shown = text
        elif force or self.clock() - self.last >= _PLAIN_LINE_S:
            self.write(text + "\n")
            self.last, self.shown = self.clock(), text

    def end(self, text: str) -> None:
        """A line that stays."""
        self.write(("\r\x1b[2K" if self.live else "") + text + "\n")
        self.shown = ""


def _line() -> ProgressLine:
    def write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    return ProgressLine(write, sys.stdout.isatty())


def run_line(view: RunView, checks: list[Check], columns: int = 150) -> str:
    """`▶ train  320/900 steps  loss 0.41  ETA 38 s`, as far as the width goes."""
    spec = view.spec
    parts = [f"  {sign(view.status.state)} {spec.step if spec else ''}".rstrip()]
    p = view.progress
    if p.total:
        parts.append(f"{number(p.done)}/{number(p.total)} {p.unit}")
    if view.status.position:
        parts.append(f"number {view.status.position} in the queue")
    parts += _numbers(view, checks, 6)
    if p.eta_s is not None and not view.status.final:
        parts.append(f"ETA {duration(p.eta_s)}")
    if view.notes and not view.latest:
        parts.append(str(view.notes[-1].get("text", "")))
    text = parts[0]
    for part in parts[1:]:
        if len(text) + len(part) + 2 > columns:
            break
        text += f"  {part}"
    return text


def _numbers(view: RunView, checks: list[Check], most: int) -> list[str]:
    """The newest values, those that a gate looks at first."""
    latest = view.latest
    return [f"{name} {number(latest[name])}" for name in gated_first(list(latest), checks)[:most]]


def follow_run(space: Workspace, run_id: str, checks: list[Check], line: ProgressLine | None = None) -> int:
    """Until the run ends; 0 if it succeeded."""
    line = line or _line()
    view = RunView(space.paths(run_id))
    try:
        while True:
            view.pump()
            if view.status.final:
                break
            line.show(run_line(view, checks))
            time.sleep(_LOOK_S)
    except KeyboardInterrupt:
        line.end(f"\nnot followed any more; {run_id} goes on. Stop it: fractal-console stop {run_id}")
        return 130
    line.end(ended_line(view, checks))
    if view.status.state != SUCCEEDED:
        _show_tail(space, run_id)
        return 1
    return 0


def ended_line(view: RunView, checks: list[Check]) -> str:
    spec, status = view.spec, view.status
    took = duration((status.ended or 0) - (status.started or 0)) if status.started and status.ended else ""
    finals = "  ".join(_numbers(view, checks, 4))
    why = "" if status.state == SUCCEEDED else f"  {status.reason}"
    return f"  {shown_state(status.state)} {spec.step if spec else ''}  {took}{why}  {coloured(finals, 'dim')}".rstrip()


def _show_tail(space: Workspace, run_id: str) -> None:
    """The end of the log of what failed: most of the time it says why."""
    lines = log_tail(space.paths(run_id).log, 8192).decode(errors="replace").splitlines()[-12:]
    for text in lines:
        print(coloured(f"    {text[:200]}", "dim"))
    print(f"    the whole log: fractal-console logs {run_id}")


def follow_plan(space: Workspace, plan: Plan) -> int:
    """Until the plan ends; 0 if every step succeeded and every gate is passed."""
    line = _line()
    checks = [check for item in plan.items for check in item.checks]
    shown: set[int] = set()
    views: dict[int, RunView] = {}
    try:
        while True:
            said = _heard(space, plan, line)
            progress = said.progress
            for at, item in enumerate(plan.items[: len(said.states)]):
                if at not in shown and not _show_item(space, line, at, item, said, views, checks):
                    break
                shown.add(at)
            if said.is_done and _all_shown(said, shown):
                break
            if progress.get("outcome") and progress.get("stage"):
                line.show(f"  ending: {progress['stage']} {progress.get('problem', '')}")
            if said.outcome == "interrupted":
                line.end(f"its executor was killed. Go on with: fractal-console resume {plan.plan_id}")
                return 1
            time.sleep(_LOOK_S)
    except KeyboardInterrupt:
        line.end(f"\nnot followed any more; the plan goes on. Stop it: fractal-console stop {plan.plan_id}")
        return 130
    line.end(f"{shown_state(progress['outcome'])}: {progress['reason']}")
    return 0 if progress["outcome"] == "passed" else 1


def _heard(space: Workspace, plan: Plan, line: ProgressLine) -> PlanSaid:
    """The plan's last word; where its host does not answer, that is shown and the word before stands."""
    try:
        return space.far.hear_plan(plan)
    except Unreachable as error:
        line.show(f"  {error}")
        return plan_said(space.root.plan(plan.plan_id))


def _all_shown(said: PlanSaid, shown: set[int]) -> bool:
    """On another host a plan may be over before the last bytes of its runs are here."""
    return all(at in shown for at, state in enumerate(said.states) if state != "waiting")


def _show_item(
    space: Workspace,
    line: ProgressLine,
    at: int,
    item: Item,
    said: PlanSaid,
    views: dict[int, RunView],
    checks: list[Check],
) -> bool:
    """Show one item of a plan; True when it needs no more showing."""
    state = said.states[at]
    if state == "waiting":
        return False
    if item.kind == "gate":
        line.end(gate_lines(item.name, said.verdicts.get(item.name, []), state))
        return True
    assert item.run is not None
    view = views.setdefault(at, RunView(space.paths(item.run.run_id)))
    view.pump()
    if not view.status.final:
        line.show(run_line(view, checks))
        return False
    line.end(ended_line(view, checks))
    if view.status.state != SUCCEEDED:
        _show_tail(space, item.run.run_id)
    return True


def gate_lines(name: str, verdicts: list[dict[str, Any]], state: str) -> str:
    """A gate with each check and its because."""
    head = f"  gate {coloured(name, 'bold')}  {shown_state('passed' if open_gate(state) else 'failed')}"
    rows = [[f"    {sign(v['state'])}", v["text"], v["because"]] for v in verdicts]
    styles = ["green" if v["state"] == "passed" else "red" if v["state"] == "failed" else "yellow" for v in verdicts]
    return head + ("\n" + table(rows, (), styles) if rows else "")
