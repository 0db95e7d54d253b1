"""What a run is: everything that was decided before it started, written once as `spec.json`.

The id is made by the client, so that launching again after a lost answer is harmless. Nothing here is secret: tokens come
from the host's own environment, never from a spec.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.protocol.durable import read_json
from engine.protocol.version import VERSION, require_readable


@dataclass(frozen=True)
class Output:
    """A file that the step promises."""

    path: str
    """Relative to the work folder; `*` and `?` match within one folder, `**` across folders."""
    required: bool = True
    """Missing at the end fails the run; unverified elsewhere blocks the termination of a rented machine."""
    unique: list[str] = field(default_factory=list)
    """Keys of a `.jsonl` whose different values are counted at the end, because a gate asks."""


@dataclass(frozen=True)
class LogMetric:
    """A declared pattern that turns a line of the log into a metric."""

    pattern: str
    """A regular expression with a group `value` (or its first group), and optionally a group `step`."""
    name: str


@dataclass(frozen=True)
class RunSpec:
    """One run, resolved."""

    run_id: str
    project: str
    phase: str
    step: str
    preset: str
    variant: str
    """The preset and the overrides that differ from it: names the work folder, so that variants never mix their files."""
    argv: list[str]
    cwd: str
    work: str
    attempt: int = 1
    retry_of: str | None = None
    plan: str | None = None
    tree: str = ""
    """Hash of the snapshot that the run executes in."""
    code: str = ""
    """Hash of the part of the tree that the step depends on: what makes a tick stale."""
    git: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    config_hash: str = ""
    family: str = ""
    """Hash of the config without its seed: what runs of one experiment with several seeds share."""
    seed: int | None = None
    env: dict[str, str] = field(default_factory=dict)
    path_prefix: list[str] = field(default_factory=list)
    """Folders put before `PATH`, such as the `bin` of a virtual environment."""
    gpus: int = 0
    """On each node."""
    nodes: int = 1
    grace_s: float = 10.0
    """Between the rungs of the stop ladder."""
    timeout_s: float | None = None
    inputs: list[str] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    log_metrics: list[LogMetric] = field(default_factory=list)
    created: float = 0.0
    created_by: str = ""
    host: str = "local"
    v: int = VERSION

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @staticmethod
    def from_json(value: dict[str, Any], where: str = "spec.json") -> RunSpec:
        """The spec in `value`; fields that a later version added are ignored."""
        require_readable(where, value.get("v"))
        known = {f.name for f in dataclasses.fields(RunSpec)}
        kept = {k: v for k, v in value.items() if k in known}
        kept["outputs"] = [Output(**o) for o in value.get("outputs", [])]
        kept["log_metrics"] = [LogMetric(**m) for m in value.get("log_metrics", [])]
        return RunSpec(**kept)


def read_spec(path: Path) -> RunSpec | None:
    """The spec of a run folder; None where there is none."""
    value = read_json(path)
    return None if value is None else RunSpec.from_json(value, str(path))


def new_id(*words: str, now: float | None = None) -> str:
    """An id that sorts by time and says what it is: `20261120-093000-ouroboros-train-x7k2`."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(time.time() if now is None else now))
    alphabet = "abcdefghjkmnpqrstuvwxyz23456789"
    tail = "".join(secrets.choice(alphabet) for _ in range(5))
    return "-".join([stamp, *words, tail])


def hash_of(value: object) -> str:
    """A short stable hash of a JSON value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
