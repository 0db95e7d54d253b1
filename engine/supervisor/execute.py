"""Executes a plan on its host, detached from every console: `next_move` decides, this file does.

Killing it loses nothing: run ids are in the plan, launching is idempotent, progress is on disk; starting it again goes on
where it was. Only one executor holds a plan (a lock that dies with it).
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from engine.protocol.case import Case
from engine.protocol.durable import create_once, read_json, write_json
from engine.protocol.events import every_event
from engine.protocol.evidence import Evidence, gather
from engine.protocol.gates import judge_gate
from engine.protocol.identity import identify
from engine.protocol.layout import PlanPaths, Root, RunPaths
from engine.protocol.plan import FAILED, Move, Plan, Progress, judged, next_move
from engine.protocol.spec import RunSpec
from engine.protocol.status import observe
from engine.protocol.version import VERSION, NewerProtocol
from engine.supervisor.ladder import ask, requests
from engine.supervisor.ops import LaunchError, end_if_orphaned, prepare, start
from engine.supervisor.save import Kept, copy, differing, kept_of

_TICK_S = 0.2
_RETRY_S = (
    10.0  # between attempts to save or to terminate: soon enough to save money, slow enough for an API's rate limit
)


class Executor:
    """One plan being executed. The clock, the sleep and the way to start a run are handed in."""

    def __init__(
        self,
        root: Root,
        plan: Plan,
        start: Callable[[RunSpec], None],
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.root, self.plan, self.start, self.clock, self.sleep = root, plan, start, clock, sleep
        self.paths: PlanPaths = root.plan(plan.plan_id)
        self.stage_begun = 0.0
        self.seen: set[str] = set()
        self.verdicts: dict[str, list[dict[str, Any]]] = {}
        self.progress = self._restored()

    def _restored(self) -> Progress:
        said = read_json(self.paths.status) or {}
        kept = said.get("progress")
        # A status that was lost or spoilt must not set the clock of the caps back.
        since = min(self.plan.created or self.clock(), self.clock()) if self.paths.status.exists() else self.clock()
        self.begun = said.get("begun", since)
        self.stage_begun = said.get("stage_begun", 0.0)
        self.verdicts = said.get("verdicts", {})
        if kept is not None:
            progress = Progress(**kept)
            for at, item in enumerate(self.plan.items):
                # Said, and then killed before it was done: launching again is harmless, waiting would be for ever.
                if item.run is not None and progress.states[at] == "queued":
                    claimed = self.root.run(item.run.run_id).claim.exists()
                    progress.states[at] = "queued" if claimed else "waiting"
            return progress
        n = len(self.plan.items)
        return Progress(states=["waiting"] * n, reasons=[""] * n)

    def execute(self) -> Progress:
        """Until nothing is left to do."""
        while True:
            try:
                self._look()
                move = next_move(self.plan, self.progress)
                self._do(move)
            except Exception as error:  # whatever breaks here, the machine behind the plan must still come to its end
                move = self._broken(error)
            self._write()
            if move.do == "done":
                return self.progress
            if move.do in ("wait", "checkpoint", "stop"):
                self.sleep(_TICK_S)
            elif move.do in ("save", "verify", "terminate", "hold") and self.progress.problem:
                self.sleep(_RETRY_S)

    def _broken(self, error: Exception) -> Move:
        """A fault of ours ends the plan as failed; inside its end it is one more problem to try again."""
        traceback.print_exc()
        said = f"the executor broke: {type(error).__name__}: {error}"
        p = self.progress
        if not p.outcome:
            p.outcome, p.reason, p.stage = FAILED, said, ""
            return Move("finish")
        p.problem = said
        return Move("hold")

    def _look(self) -> None:
        """Time, requests, and the state of every started run."""
        p = self.progress
        p.elapsed_s = self.clock() - self.begun
        p.stage_s = self.clock() - self.stage_begun
        for request in requests(self.paths.requests, self.seen):
            if request.kind == "stop":
                p.stop_by = request.by
        p.run_alive = False
        for at, item in enumerate(self.plan.items):
            if item.run is not None and p.states[at] != "waiting" and p.states[at] not in ("succeeded", "failed"):
                try:
                    status = observe(self.root.run(item.run.run_id))
                except (OSError, NewerProtocol) as error:  # a look that failed tells nothing: unknown is not dead
                    p.reasons[at], p.run_alive = f"its folder can't be read: {error}", True
                    continue
                p.states[at], p.reasons[at] = status.state, status.reason
                p.run_alive = p.run_alive or status.live

    def _do(self, move: Move) -> None:
        p = self.progress
        if move.do == "finish":
            p.outcome, p.reason, p.stage = move.outcome, move.reason, ""
            return
        if p.outcome and move.do != p.stage:
            if {move.do, p.stage} != {
                "save",
                "verify",
            }:  # one clock for both: a copy that never verifies runs out of time
                self.stage_begun = self.clock()
            p.stage, p.problem = move.do, p.problem if move.do in ("save", "hold") else ""
        getattr(self, f"_do_{move.do}")(move)

    def _do_run(self, move: Move) -> None:
        assert move.item is not None
        item = self.plan.items[move.item]
        assert item.run is not None
        self.progress.states[move.item] = "queued"
        self._write()  # said before it is done: an executor that dies here finds the run again by its id
        try:
            self.start(item.run)
        except (OSError, LaunchError) as error:
            self.progress.states[move.item] = "failed"
            self.progress.reasons[move.item] = f"it could not be started: {error}"

    def _do_wait(self, move: Move) -> None:
        pass

    def _do_judge(self, move: Move) -> None:
        assert move.item is not None
        item = self.plan.items[move.item]
        case = Case(evidence=self._evidence(), ticks=self.plan.ticks, overrides=self.plan.overrides)
        verdicts = judge_gate(item.checks, case)
        self.verdicts[item.name] = [v.to_json() for v in verdicts]
        self.progress.states[move.item], self.progress.reasons[move.item] = judged(verdicts)

    def _evidence(self) -> dict[str, list[Evidence]]:
        """Per step the run that stands for it, then those of other seeds."""
        ids = dict(self.plan.earlier)
        for at, item in enumerate(self.plan.items):
            if item.run is not None and self.progress.states[at] != "waiting":
                ids[item.name] = item.run.run_id
        found: dict[str, list[Evidence]] = {}
        for step, run_id in ids.items():
            standing = gather(self.root.run(run_id))
            if standing is not None:
                others = (gather(self.root.run(other)) for other in self.plan.beside.get(step, []))
                found[step] = [standing, *(other for other in others if other is not None)]
        return found

    def _running(self) -> RunSpec | None:
        for at, item in enumerate(self.plan.items):
            if item.run is not None and self.progress.states[at] in (
                "queued",
                "starting",
                "running",
                "stalled",
                "orphaned",
            ):
                return item.run
        return None

    def _do_checkpoint(self, move: Move) -> None:
        spec = self._running()
        if spec is None or observe(self.root.run(spec.run_id)).state == "queued":
            self.progress.checkpointed = True  # nothing runs that could write one
            return
        paths = self.root.run(spec.run_id)
        marker = paths.requests / f"checkpoint-of-{self.plan.plan_id}"
        paths.requests.mkdir(exist_ok=True)
        create_once(marker, {"kind": "checkpoint", "by": "plan", "why": self.progress.reason, "asked": self.clock()})
        self.progress.checkpointed = _checkpointed_since(paths, self.stage_begun)

    def _do_stop(self, move: Move) -> None:
        spec = self._running()
        if spec is not None:
            paths = self.root.run(spec.run_id)
            paths.requests.mkdir(exist_ok=True)
            marker = paths.requests / f"stop-of-{self.plan.plan_id}"
            why = f"the plan ends: {self.progress.reason}"
            create_once(marker, {"kind": "stop", "by": "plan", "why": why, "asked": self.clock(), "grace_s": None})
            end_if_orphaned(self.root, spec.run_id, Path(sys.path[0]))
            ladder_s = 2 * spec.grace_s + self.plan.end.grace_s
            if self.progress.stage_s > ladder_s:
                self.progress.unstoppable = True
                self.progress.problem = f"{spec.run_id} could not be stopped within {ladder_s:g} s"

    def _do_save(self, move: Move) -> None:
        """Copy every required file beside its old place, then rename: an interrupted copy is never taken for whole."""
        try:
            saved = [copy(kept) for kept in self._required()]
            write_json(self.paths.saved, {"v": VERSION, "files": saved})
            self.progress.saved, self.progress.problem = True, ""
        except OSError as error:
            self.progress.problem = f"copying failed: {error}"

    def _do_verify(self, move: Move) -> None:
        """Hash both sides again; one difference sends it back to copying."""
        wrong = differing(self._required())
        self.progress.verified = not wrong
        self.progress.saved = not wrong
        self.progress.problem = f"the copy differs: {', '.join(wrong)}" if wrong else ""

    def _required(self) -> list[Kept]:
        """Required files of the plan's runs, and where they go below the saving folder."""
        found = {}
        for at, item in enumerate(self.plan.items):
            if item.run is None or self.progress.states[at] == "waiting":
                continue
            paths, folder = self.root.run(item.run.run_id), Path(self.plan.end.save_to or "")
            for kept in kept_of(paths, item.run, self.progress.states[at], folder):
                found[kept.target] = kept
        return list(found.values())

    def _do_hold(self, move: Move) -> None:
        self.progress.saved = False
        self._do_save(move)
        if self.progress.saved:
            self._do_verify(move)

    def _do_terminate(self, move: Move) -> None:
        """Ended only when the command that ends the machine says so; anything else is tried again."""
        argv = self.plan.end.terminate or []
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=600, check=False)
            self.progress.terminated = done.returncode == 0
            said = (done.stderr or done.stdout).strip().splitlines()
            self.progress.problem = (
                "" if done.returncode == 0 else f"terminating failed: {said[-1] if said else 'no word'}"
            )
        except (OSError, subprocess.SubprocessError) as error:
            self.progress.problem = f"terminating failed: {error}"

    def _do_done(self, move: Move) -> None:
        self.progress.stage = "done"

    def _write(self) -> None:
        value = {
            "v": VERSION,
            "executor": identify().to_json(),
            "begun": self.begun,
            "stage_begun": self.stage_begun,
            "updated": self.clock(),
            "progress": asdict(self.progress),
            "verdicts": self.verdicts,
        }
        kept = read_json(self.paths.status) or {}
        if {k: v for k, v in kept.items() if k != "updated"} | {"progress": None} == (
            {k: v for k, v in value.items() if k != "updated"} | {"progress": None}
        ) and _same(kept.get("progress"), value["progress"]):
            return  # nothing but time has changed: spare the disk
        try:
            write_json(self.paths.status, value)
        except OSError as error:  # a full disk must not keep a machine from being ended
            self.progress.problem = f"progress could not be written: {error}"


def _same(before: Any, now: Any) -> bool:
    clocks = {"elapsed_s": 0, "stage_s": 0}
    return isinstance(before, dict) and {**before, **clocks} == {**now, **clocks}


def _checkpointed_since(paths: RunPaths, since: float) -> bool:
    """Was one written since, or was it said that nobody there can write one?"""
    since = since - 0.001  # events carry milliseconds
    asked = [e for e in every_event(paths.supervisor_events) if e.get("kind") == "checkpoint-asked"]
    if any(e.get("by") == "plan" and e.get("told") == 0 for e in asked):
        return True
    return any(e.get("kind") == "checkpoint" and e.get("time", 0) >= since for e in every_event(paths.events))


def execute(root: Root, plan_id: str, tell: Callable[[str], None]) -> None:
    """Hold the plan's lock and execute it."""
    paths = root.plan(plan_id)
    value = read_json(paths.plan)
    if value is None:
        raise FileNotFoundError(f"{paths.plan} is not there")
    plan = Plan.from_json(value, str(paths.plan))
    lock = os.open(paths.claim, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        tell("already executing")
        return
    executor = Executor(root, plan, lambda spec: start_run(root, spec))
    executor._write()
    tell("executing")
    executor.execute()


def start_run(root: Root, spec: RunSpec) -> None:
    """Write the spec if it is not there, and have a supervisor claim it."""
    prepare(root, replace(spec, created=spec.created or time.time()))
    start(root, spec, Path(sys.path[0]))


def ask_stop(root: Root, plan_id: str, by: str, why: str) -> None:
    """Ask a plan to stop: what runs is checkpointed, stopped and saved."""
    ask(root.plan(plan_id).requests, "stop", by, why, time.time())
