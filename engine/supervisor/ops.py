"""What a host can be asked, on its own disk. The local host calls these; a remote host's helper serves the same ones."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from engine.protocol.durable import create_once, read_json
from engine.protocol.identity import Identity, alive
from engine.protocol.layout import Root, RunPaths
from engine.protocol.plan import Plan
from engine.protocol.spec import RunSpec, read_spec
from engine.protocol.status import Status, observe
from engine.supervisor import slurm
from engine.supervisor.ladder import ask


class LaunchError(Exception):
    """A run or plan could not be started on this host."""


@dataclass(frozen=True)
class Chunk:
    """A piece of a file: its bytes, where they lie, and the file's size at that moment."""

    offset: int
    data: bytes
    size: int
    rewritten: bool = False
    """The file is shorter than was asked for: it was replaced, and reading starts again at 0."""


def prepare(root: Root, spec: RunSpec) -> bool:
    """Make the run folder and write its spec, once; False if it was there already."""
    paths = root.run(spec.run_id)
    paths.folder.mkdir(parents=True, exist_ok=True)
    paths.requests.mkdir(exist_ok=True)
    return create_once(paths.spec, spec.to_json())


def launch(root: Root, spec: RunSpec, code: Path) -> Status:
    """Start a run, once: launching the same id again changes nothing and tells its state."""
    prepare(root, spec)
    start(root, spec, code)
    return observe(root.run(spec.run_id))


def start(root: Root, spec: RunSpec, code: Path) -> None:
    """Have a supervisor claim a prepared run: here, or where Slurm puts it."""
    if slurm.options_of(root) is None:
        spawn(root, "start", spec.run_id, code)
        return
    try:
        slurm.submit(root, spec, code, _BOOT)
    except slurm.SubmitError as error:
        raise LaunchError(str(error)) from None


def launch_plan(root: Root, plan: Plan, code: Path) -> str:
    """Start executing a plan, or go on with one whose executor was killed; tells which."""
    paths = root.plan(plan.plan_id)
    paths.folder.mkdir(parents=True, exist_ok=True)
    paths.requests.mkdir(exist_ok=True)
    create_once(paths.plan, plan.to_json())
    return spawn(root, "plan", plan.plan_id, code)


def spawn(root: Root, verb: str, name: str, code: Path) -> str:
    """Run a verb of the supervisor, detached; `code` is the folder that holds its `engine` package."""
    argv = [sys.executable, "-S", "-E", "-c", _BOOT, str(code), verb, str(root.path), name]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise LaunchError(f"{name} could not be started: {said[-1] if said else 'the supervisor died at once'}")
    return done.stdout.strip()


# Not `-m`: the current folder must not be on the path, it may hold a package named `engine` of its own.
_BOOT = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from engine.supervisor.__main__ import main; sys.exit(main(sys.argv[1:]))"
)


def status_of(root: Root, run_id: str) -> Status:
    """The run's state on this host."""
    return observe(root.run(run_id))


def spec_of(root: Root, run_id: str) -> RunSpec | None:
    return read_spec(root.run(run_id).spec)


def read(path: Path, offset: int, limit: int) -> Chunk:
    """Bytes from an offset; a negative offset counts from the end. A file that is not there yet is empty."""
    try:
        with open(path, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            start = max(0, size + offset) if offset < 0 else offset
            if start > size:
                return Chunk(0, b"", size, rewritten=True)
            file.seek(start)
            return Chunk(start, file.read(limit), size)
    except FileNotFoundError:
        return Chunk(0, b"", 0, rewritten=offset > 0)


def stop(root: Root, run_id: str, by: str, why: str, code: Path, grace_s: float | None = None) -> Status:
    """Ask for the stop ladder. Where the supervisor is gone, somebody else climbs it."""
    paths = root.run(run_id)
    status = observe(paths)
    if status.final:
        return status
    ask(paths.requests, "stop", by, why, time.time(), grace_s)
    end_if_orphaned(root, run_id, code)
    return observe(paths)


def end_if_orphaned(root: Root, run_id: str, code: Path) -> None:
    """Where nobody is left to hear a stop, have somebody climb the ladder."""
    if root.run(run_id).slurm.exists():
        slurm.end_unheard(root.run(run_id))
    elif not _attended(root.run(run_id)):
        spawn(root, "end-orphan", run_id, code)


def _attended(paths: RunPaths) -> bool:
    value = read_json(paths.status) or {}
    return alive(Identity.from_json(value.get("supervisor") or read_json(paths.claim)))


def checkpoint(root: Root, run_id: str, by: str) -> Status:
    """Ask for a checkpoint (SIGUSR2 to the processes that handle it)."""
    paths = root.run(run_id)
    status = observe(paths)
    if status.live:
        ask(paths.requests, "checkpoint", by, "", time.time())
    return status
