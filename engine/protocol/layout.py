"""Where everything lies. Every path on disk is a property here; nobody else joins strings.

The same layout stands on every host, and in the console's mirror of a remote host, so every reader has one code path.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=,-]{0,120}\Z")


def safe_id(name: str) -> str:
    """`name` if it can be a folder's name on any host, else ValueError."""
    if not _ID.match(name) or ".." in name:
        raise ValueError(f"{name!r} can't name a folder: use letters, digits, '-', '_', '.' (at most 120)")
    return name


def default_root() -> Path:
    """`$FRACTAL_ROOT`, else `~/.fractal`; absolute, because a supervisor works from another folder."""
    return Path(os.environ.get("FRACTAL_ROOT") or "~/.fractal").expanduser().absolute()


@dataclass(frozen=True)
class Root:
    """The folder on a host under which everything of ours lives."""

    path: Path

    @property
    def bin(self) -> Path:
        return self.path / "bin"

    @property
    def trees(self) -> Path:
        return self.path / "trees"

    @property
    def runs(self) -> Path:
        return self.path / "runs"

    @property
    def plans(self) -> Path:
        return self.path / "plans"

    @property
    def queue(self) -> Path:
        """One ticket per waiting or running run; their order is the order of starting."""
        return self.path / "queue"

    @property
    def slots(self) -> Path:
        """One lock file per GPU (or one for a machine without): held while a run uses it."""
        return self.path / "slots"

    @property
    def pycache(self) -> Path:
        return self.path / "cache" / "pycache"

    @property
    def host_file(self) -> Path:
        """What a person states about this host, such as `{"gpus": 2}`; absent on most."""
        return self.path / "host.json"

    def work(self, project: str, phase: str, variant: str) -> Path:
        """Where the steps of one phase at one variant leave their outputs for each other."""
        return self.path / "work" / safe_id(project) / safe_id(phase) / safe_id(variant)

    def run(self, run_id: str) -> RunPaths:
        return RunPaths(self.runs / safe_id(run_id))

    def plan(self, plan_id: str) -> PlanPaths:
        return PlanPaths(self.plans / safe_id(plan_id))

    def run_ids(self) -> list[str]:
        """Every run here, oldest first (ids begin with their time)."""
        return [name for name in self.run_folders() if RunPaths(self.runs / name).spec.exists()]

    def run_folders(self) -> list[str]:
        """Every folder of runs, also one whose spec is still to be written."""
        return _visible(self.runs)

    def plan_ids(self) -> list[str]:
        return _visible(self.plans)


def _visible(folder: Path) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except FileNotFoundError:
        return []


@dataclass(frozen=True)
class RunPaths:
    """One run's folder. Each file has one writer; the comment names it."""

    folder: Path

    @property
    def run_id(self) -> str:
        return self.folder.name

    @property
    def spec(self) -> Path:  # launcher, once
        return self.folder / "spec.json"

    @property
    def claim(self) -> Path:  # the one supervisor that starts this run
        return self.folder / "claim"

    @property
    def status(self) -> Path:  # supervisor
        return self.folder / "status.json"

    @property
    def heartbeat(self) -> Path:  # supervisor, in place
        return self.folder / "heartbeat"

    @property
    def started(self) -> Path:  # shim: who it is, and whom it started
        return self.folder / "started.json"

    @property
    def exit(self) -> Path:  # shim
        return self.folder / "exit.json"

    @property
    def slurm(self) -> Path:  # launcher, once: the number of the job, where Slurm starts the run
        return self.folder / "slurm.json"

    @property
    def log(self) -> Path:  # the command itself
        return self.folder / "log"

    def rank_log(self, rank: int) -> Path:
        return self.log if rank == 0 else self.folder / f"log.rank{rank}"

    @property
    def events(self) -> Path:  # the program, rank 0
        return self.folder / "events.jsonl"

    @property
    def log_events(self) -> Path:  # supervisor: metrics read off the log by the step's declared patterns
        return self.folder / "log-events.jsonl"

    @property
    def supervisor_events(self) -> Path:  # supervisor
        return self.folder / "supervisor.jsonl"

    @property
    def requests(self) -> Path:  # anybody, one new file a request
        return self.folder / "stop"

    @property
    def artifacts(self) -> Path:  # whoever finishes the run
        return self.folder / "artifacts.json"

    @property
    def result(self) -> Path:  # whoever finishes the run, last: its existence means the run is complete
        return self.folder / "result.json"

    @property
    def observed(self) -> Path:  # only in a mirror of a remote run: the mirror, what the host concluded and when
        return self.folder / "observed.json"

    @property
    def pulled(self) -> Path:  # only in a mirror: the pull, which artifacts are here with their hash verified
        return self.folder / "pulled.json"

    @property
    def reserve(self) -> Path:  # a little space to free on a full disk, so that the last state can be written
        return self.folder / ".reserve"

    @property
    def supervisor_output(self) -> Path:  # what the supervisor itself prints when it breaks
        return self.folder / "supervisor.log"


@dataclass(frozen=True)
class PlanPaths:
    """One plan's folder."""

    folder: Path

    @property
    def plan_id(self) -> str:
        return self.folder.name

    @property
    def plan(self) -> Path:  # launcher, once
        return self.folder / "plan.json"

    @property
    def claim(self) -> Path:  # the executor that runs it now
        return self.folder / "claim"

    @property
    def status(self) -> Path:  # executor
        return self.folder / "status.json"

    @property
    def observed(self) -> Path:  # only in a mirror of a remote plan: the mirror, what the host said and when
        return self.folder / "observed.json"

    @property
    def requests(self) -> Path:  # anybody
        return self.folder / "stop"

    @property
    def saved(self) -> Path:  # executor: what was copied where, with hashes
        return self.folder / "saved.json"

    @property
    def output(self) -> Path:
        return self.folder / "plan.log"
