"""One run at a time per GPU (or one on a machine without): waiting runs stand in a queue, in the order they came.

A slot is an flock on a file. The lock's descriptor is handed down to the shim and to the command, so a slot is free exactly
when the last process of its run is gone, whoever was killed meanwhile. A ticket is a file that names the waiting supervisor;
the ticket of a dead one is taken away by whoever sees it.
"""

from __future__ import annotations

import fcntl
import glob
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.protocol.durable import create_once, read_json
from engine.protocol.identity import Identity, alive, identify
from engine.protocol.layout import Root


@dataclass(frozen=True)
class Slot:
    """A held place; closing `fd` gives it back once the command's copies are closed too."""

    name: str
    fd: int


@dataclass(frozen=True)
class Waiting:
    """One entry of the host's queue."""

    run_id: str
    position: int
    kind: str


def count_gpus(root: Root) -> int:
    """What the host's file states, else the NVIDIA devices that are there."""
    stated = (read_json(root.host_file) or {}).get("gpus")
    return stated if isinstance(stated, int) else len(glob.glob("/dev/nvidia[0-9]*"))


def slot_names(root: Root, gpus: int) -> list[str]:
    """The slots that a run wanting `gpus` may take."""
    return [f"gpu{i}" for i in range(count_gpus(root))] if gpus else ["cpu"]


class Queue:
    """This run's place in the host's queue until it holds its slots."""

    def __init__(self, root: Root, run_id: str, gpus: int) -> None:
        self.root, self.run_id = root, run_id
        self.kind = "gpu" if gpus else "cpu"
        self.needed = max(1, gpus)
        self.names = slot_names(root, gpus)
        self.ticket = root.queue / f"{time.time_ns():020d}~{self.kind}~{run_id}"
        for folder in (root.queue, root.slots):
            folder.mkdir(parents=True, exist_ok=True)
        create_once(self.ticket, identify().to_json())

    def position(self) -> int:
        """1 is next."""
        ahead = [w for w in waiting(self.root) if w.kind == self.kind]
        mine = self.ticket.name.partition("~")[2]
        return next((w.position for w in ahead if f"{w.kind}~{w.run_id}" == mine), 1)

    def try_take(self) -> list[Slot] | None:
        """The slots, if this run is next and enough are free; the ticket goes with success."""
        if self.position() != 1:
            return None
        held: list[Slot] = []
        for name in self.names:
            if len(held) < self.needed and (slot := take(self.root.slots / name)) is not None:
                held.append(slot)
        if len(held) < self.needed:
            for slot in held:
                os.close(slot.fd)
            return None
        for slot in held:
            os.ftruncate(slot.fd, 0)
            os.pwrite(slot.fd, self.run_id.encode(), 0)
        self.leave()
        return held

    def leave(self) -> None:
        self.ticket.unlink(missing_ok=True)


def take(path: Path) -> Slot | None:
    """Lock one slot without waiting."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        return None
    return Slot(path.name, fd)


def holders(root: Root) -> dict[str, str]:
    """Slot by slot, the run that holds it."""
    return {path.name: path.read_text(errors="replace") for path in sorted(root.slots.glob("*")) if _held(path)}


def _held(path: Path) -> bool:
    """Does a run hold it? Asked by a shared lock, so that two who ask at once don't take each other for a run."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(fd)


def queue(root: Root, *, tidies: bool = True) -> list[dict[str, Any]]:
    """Who holds a slot of this host (position 0) and who waits, in order. `tidies`: tickets of the dead are taken away."""
    if root.host_file.exists():
        from engine.supervisor import slurm  # only where somebody states something about this host

        if slurm.options_of(root) is not None:
            return slurm.queue(root)
    rows: list[dict[str, Any]] = [
        {"run_id": run_id, "position": 0, "slot": name, "kind": "cpu" if name == "cpu" else "gpu"}
        for name, run_id in holders(root).items()
    ]
    waits = waiting(root, tidies=tidies)
    return rows + [{"run_id": w.run_id, "position": w.position, "slot": "", "kind": w.kind} for w in waits]


def waiting(root: Root, *, tidies: bool = True) -> list[Waiting]:
    """Who waits on this host, in order, per kind of slot."""
    try:
        names = sorted(n for n in os.listdir(root.queue) if not n.startswith("."))
    except FileNotFoundError:
        return []
    counts: dict[str, int] = {}
    found = []
    for name in names:
        _, kind, run_id = [*name.split("~", 2), "", ""][:3]
        if not alive(Identity.from_json(read_json(root.queue / name))):
            if tidies:
                (root.queue / name).unlink(missing_ok=True)
            continue
        counts[kind] = counts.get(kind, 0) + 1
        found.append(Waiting(run_id, counts[kind], kind))
    return found
