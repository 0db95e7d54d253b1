"""Runs through Slurm: `sbatch` of a script whose body is the supervisor, so log, tail, stop and exit code work as everywhere.

A root is Slurm's where its `host.json` says `{"slurm": {"options": ["--partition=gpu"]}}`; it lies on a file system that the
nodes share. Guarantees: submitting a run twice leaves one that runs (the claim decides); a job that Slurm puts back into its
queue goes on in the same run as its next attempt, and what the attempt before wrote is kept.
Does not guarantee: that a program which ignores SIGUSR2 loses nothing at Slurm's time limit.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.protocol.durable import read_json, write_json
from engine.protocol.layout import Root, RunPaths
from engine.protocol.spec import RunSpec
from engine.protocol.status import heartbeat_age
from engine.protocol.version import VERSION

# Before Slurm's own limit the program is asked for a checkpoint: as submitit does, and enough to write some gigabytes.
SIGNAL_BEFORE_S = 120

# A supervisor that gives no sign for so long hears no request either.
_UNHEARD_S = 30.0

_PREFIX = "fractal-"


class SubmitError(Exception):
    """sbatch refused; nothing was started."""


def options_of(root: Root) -> list[str] | None:
    """What sbatch is told besides; None where runs do not go through Slurm."""
    stated = (read_json(root.host_file) or {}).get("slurm")
    return [str(o) for o in stated.get("options", [])] if isinstance(stated, dict) else None


def script(root: Root, run_id: str, code: Path, boot: str) -> str:
    """The job: nothing but the supervisor, in the foreground. Pure."""
    argv = ["python3", "-S", "-E", "-c", boot, str(code), "attend", str(root.path), run_id]
    return f"#!/bin/sh\nexec {shlex.join(argv)}\n"


def sbatch_argv(root: Root, spec: RunSpec, options: list[str]) -> list[str]:
    """The command; what the host's file says comes last and wins. Pure."""
    output = root.run(spec.run_id).supervisor_output
    argv = ["sbatch", "--parsable", f"--job-name={_PREFIX}{spec.run_id}", "--requeue", "--open-mode=append"]
    argv += [f"--output={output}", f"--error={output}", f"--signal=B:USR2@{SIGNAL_BEFORE_S}", f"--nodes={spec.nodes}"]
    argv += ["--ntasks-per-node=1"] if spec.nodes > 1 else []
    argv += [f"--gres=gpu:{spec.gpus}"] if spec.gpus else []
    if spec.timeout_s is not None:  # ours comes first, with a reason; Slurm's is the net under it
        argv.append(f"--time={int((spec.timeout_s + 3 * spec.grace_s) / 60) + 3}")
    return argv + options


def submit(root: Root, spec: RunSpec, code: Path, boot: str) -> None:
    """Hand the run to Slurm, once."""
    paths = root.run(spec.run_id)
    with _one_at_a_time(paths):
        if paths.slurm.exists() or paths.claim.exists():
            return
        job = _submitted_before(spec.run_id)
        if job is None:
            job = _sbatch(root, spec, script(root, spec.run_id, code, boot))
        write_json(paths.slurm, {"v": VERSION, "job": job})


def _sbatch(root: Root, spec: RunSpec, body: str) -> str:
    options = options_of(root) or []
    try:
        return _said_by(sbatch_argv(root, spec, options), body).partition(";")[0]
    except SubmitError as error:
        told = f" It was told {shlex.join(options)}: mend that with `hosts add … --sbatch=…`" if options else ""
        raise SubmitError(f"{error}.{told}") from None


def _submitted_before(run_id: str) -> str | None:
    """A job of this name whose number was not written down: whoever submitted it died in between."""
    said = _said_by(["squeue", "--noheader", "--format=%i", f"--name={_PREFIX}{run_id}"])
    return said.split()[0] if said else None


def _said_by(argv: list[str], stdin: str = "") -> str:
    try:
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        raise SubmitError(
            f"{argv[0]} could not be run: {error}. Is this machine a login node of the cluster?"
        ) from None
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise SubmitError(f"{argv[0]} refused: {said[-1].rpartition('error: ')[2] if said else done.returncode}")
    return done.stdout.strip()


@contextmanager
def _one_at_a_time(paths: RunPaths) -> Iterator[None]:
    fd = os.open(paths.folder / ".submit", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def job_of(paths: RunPaths) -> str | None:
    """The number of the run's job."""
    value = read_json(paths.slurm)
    return None if value is None else str(value["job"])


def end_unheard(paths: RunPaths) -> None:
    """A stop was asked for: where no supervisor is there to hear it (the job waits, or is stuck), Slurm ends the job."""
    job = job_of(paths)
    age = heartbeat_age(paths.heartbeat, time.time())
    if job is not None and (not paths.claim.exists() or (age is not None and age > _UNHEARD_S)):
        try:
            _said_by(["scancel", job])
        except SubmitError:  # it is over already, or Slurm is silent: then the request itself is heard, or asked again
            pass


def queue(root: Root) -> list[dict[str, Any]]:
    """Our runs in Slurm's queue: those on a node, then those that wait, in its order."""
    said = _said_by(["squeue", "--me", "--noheader", "--sort=-p,i", "--format=%T|%j|%N|%b"])
    lines = [line.split("|") for line in said.splitlines()]
    mine = [(t, j[len(_PREFIX) :], n, b) for t, j, n, b in lines if j.startswith(_PREFIX) and _is_ours(root, j)]
    rows = [_row(run_id, 0, node, gres) for state, run_id, node, gres in mine if state != "PENDING"]
    waiting = [(run_id, gres) for state, run_id, _, gres in mine if state == "PENDING"]
    return rows + [_row(run_id, at, "", gres) for at, (run_id, gres) in enumerate(waiting, 1)]


def _is_ours(root: Root, job_name: str) -> bool:
    """Of this root, and not one that has ended and whose job Slurm is still clearing away."""
    paths = root.run(job_name[len(_PREFIX) :])
    return paths.spec.exists() and not paths.result.exists()


def _row(run_id: str, position: int, slot: str, gres: str) -> dict[str, Any]:
    return {"run_id": run_id, "position": position, "slot": slot, "kind": "gpu" if "gpu" in gres else "cpu"}


# On the node


def take_over(paths: RunPaths) -> int:
    """In a job that Slurm has started again: put the marks of the attempt before aside; which attempt this is (1: the first)."""
    restarts = int(os.environ.get("SLURM_RESTART_COUNT") or 0)
    if not restarts or paths.result.exists() or not paths.claim.exists():
        return 1
    for path in (paths.claim, paths.exit, paths.started):
        if path.exists():
            path.rename(path.with_name(f".{path.name}.attempt-{restarts}"))
    return restarts + 1


def requeue() -> str | None:
    """Have Slurm start this job again later; the problem, if it will not."""
    try:
        _said_by(["scontrol", "requeue", os.environ["SLURM_JOB_ID"]])
    except (SubmitError, KeyError) as error:
        return str(error)
    return None
