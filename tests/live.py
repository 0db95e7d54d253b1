"""Real runs for tests: small specs, waiting for their states, and ending by id whatever a test has left."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from engine.protocol.durable import read_json
from engine.protocol.events import Event, read_events
from engine.protocol.identity import Identity, alive
from engine.protocol.layout import Root, RunPaths
from engine.protocol.plan import EndPolicy, Item, Plan
from engine.protocol.spec import RunSpec, new_id
from engine.protocol.status import Status, observe
from tests.polling import DEADLINE_S, until


class Specs:
    """Makes specs whose commands work in a folder of the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)

    def sh(self, script: str, **more: Any) -> RunSpec:
        """A run of a shell script."""
        return self.argv(["/bin/sh", "-c", script], **more)

    def py(self, script: str, **more: Any) -> RunSpec:
        """A run of a Python script that imports nothing of a site."""
        return self.argv([sys.executable, "-S", "-c", script], **more)

    def argv(self, argv: list[str], **more: Any) -> RunSpec:
        given: dict[str, Any] = {
            "run_id": new_id("t"),
            "project": "test",
            "phase": "phase0",
            "step": "step",
            "preset": "cpu",
            "variant": "cpu",
            "argv": argv,
            "cwd": str(self.folder),
            "work": str(self.folder),
            "grace_s": 5.0,
            **more,
        }
        return RunSpec(**given)


def plan_of(*items: Item, end: EndPolicy | None = None, **more: Any) -> Plan:
    return Plan(new_id("plan"), "test", "phase0", "cpu", "cpu", list(items), end or EndPolicy(), **more)


def step(spec: RunSpec) -> Item:
    return Item("step", spec.step, spec)


def wait_final(paths: RunPaths, deadline_s: float = DEADLINE_S) -> Status:
    """The run's end, once its result is written."""

    def final() -> Status | None:
        status = observe(paths)
        return status if status.final else None

    status = until(final, f"the end of {paths.run_id}", deadline_s)
    assert status is not None
    return status


def wait_state(paths: RunPaths, *states: str) -> Status:
    def there() -> Status | None:
        status = observe(paths)
        return status if status.state in states else None

    status = until(there, f"{paths.run_id} to be {' or '.join(states)}")
    assert status is not None
    return status


def wait_in_log(paths: RunPaths, word: bytes) -> bytes:
    """The log, once it holds the word."""
    return until(lambda: log if word in (log := log_of(paths)) else b"", f"{word!r} in the log")


def log_of(paths: RunPaths) -> bytes:
    return paths.log.read_bytes() if paths.log.exists() else b""


def events_of(path: Path) -> list[Event]:
    """Every event of a file, and not one corrupt line."""
    batch = read_events(path)
    assert batch.corrupt == []
    return batch.events


def words_of_supervisor(paths: RunPaths) -> list[str]:
    return [e["kind"] for e in events_of(paths.supervisor_events)]


def identities(paths: RunPaths) -> dict[str, Identity]:
    """Who belongs to a run, as its files tell."""
    status, claim = read_json(paths.status) or {}, read_json(paths.claim)
    said = {
        "supervisor": status.get("supervisor") or claim,
        **{who: status.get(who) for who in ("shim", "command")},
    }
    started = read_json(paths.started) or {}
    said = {who: value or started.get(who) for who, value in said.items()}
    return {who: found for who, value in said.items() if (found := Identity.from_json(value)) is not None}


def kill(identity: Identity, signum: int = signal.SIGKILL) -> None:
    """Signal exactly this process, if it still is."""
    if alive(identity):
        try:
            os.kill(identity.pid, signum)
        except ProcessLookupError:
            pass


def kill_and_wait(identity: Identity) -> None:
    kill(identity)
    until(lambda: not alive(identity), f"process {identity.pid} to be gone")


def end_everything(root: Root) -> None:
    """End what the test's runs and plans have left, by their identities."""
    for plan_id in root.plan_ids():
        said = read_json(root.plan(plan_id).status) or {}
        executor = Identity.from_json(said.get("executor"))
        if executor is not None and executor.pid != os.getpid():
            kill(executor)
    for run_id in root.run_ids():
        found = identities(root.run(run_id))
        for who in ("supervisor", "shim", "command"):
            if who in found and found[who].pid != os.getpid():
                kill(found[who])
        if "command" in found:
            _kill_group(found["command"].pid)


def _kill_group(group: int) -> None:
    from engine.supervisor.ladder import members, send_to_group

    if group > 1 and members(group):
        send_to_group(group, signal.SIGKILL)


def processes_under(folder: Path) -> list[int]:
    """Processes whose command line or environment names the folder; this one left out."""
    word = str(folder).encode()
    found = []
    for name in os.listdir("/proc") if Path("/proc").is_dir() else []:
        if name.isdigit() and int(name) != os.getpid() and _mentions(Path("/proc") / name, word):
            found.append(int(name))
    return found


def _mentions(process: Path, word: bytes) -> bool:
    try:
        return any(word in (process / file).read_bytes() for file in ("cmdline", "environ"))
    except OSError:
        return False
