"""The end of a run: its files recorded, its end explained, `result.json` written last.

Done by the supervisor; by the shim where the supervisor was killed. Doing it twice gives the same files.
"""

from __future__ import annotations

import glob
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engine.protocol.durable import read_json
from engine.protocol.events import Event, every_event
from engine.protocol.files import describe, shown_path, unchanged, unique_values
from engine.protocol.layout import RunPaths
from engine.protocol.spec import Output, RunSpec
from engine.protocol.status import FAILED, STOPPED, SUCCEEDED
from engine.protocol.version import VERSION
from engine.supervisor.cause import MemoryKills, explain, log_tail, memory_kills
from engine.supervisor.shim import write_last


@dataclass(frozen=True)
class End:
    """How a run ended."""

    state: str
    reason: str
    cause: str = ""


def finish(paths: RunPaths, spec: RunSpec, before: MemoryKills, known: dict[str, Any] | None = None) -> End:
    """Record artifacts and result of a run whose command has ended; `known` is the supervisor's own status."""
    status = (read_json(paths.status) or {}) if known is None else known
    exit_ = read_json(paths.exit) or {
        "code": None,
        "error": "its exit code is unknown: shim and supervisor were killed",
    }
    artifacts = record_artifacts(spec, read_all(paths.events))
    missing = [a["path"] for a in artifacts if a.get("missing") and a.get("required")]
    end = decide(exit_, status.get("stop"), missing, before, memory_kills(), log_tail(paths.log))
    write_last(paths, paths.artifacts, {"v": VERSION, "artifacts": artifacts})
    result: dict[str, Any] = {
        "v": VERSION,
        **asdict(end),
        "started": status.get("started"),
        **{key: exit_.get(key) for key in ("code", "signal", "ended", "cpu_s", "max_rss_kb") if key in exit_},
    }
    write_last(paths, paths.result, result)
    return end


def decide(
    exit_: dict[str, Any],
    stop: dict[str, Any] | None,
    missing: list[str],
    before: MemoryKills,
    after: MemoryKills,
    tail: bytes,
) -> End:
    """The final state that these traces mean. Pure."""
    if stop:
        state = FAILED if stop.get("cause") == "timeout" else STOPPED
        words = f"{stop.get('why', '')}" if stop.get("cause") else f"stopped by {stop['by']}: {stop.get('why', '')}"
        return End(state, words.rstrip(": "), str(stop.get("cause", "")))
    if exit_.get("error"):
        return End(FAILED, str(exit_["error"]), "not-started" if exit_.get("code") == 127 else "unknown")
    if exit_.get("code") == 0 and missing:
        return End(FAILED, f"exit code 0, but it did not make what it promised: {', '.join(missing)}", "missing-output")
    if exit_.get("code") == 0:
        return End(SUCCEEDED, "exit code 0")
    cause = explain(exit_.get("code"), exit_.get("signal"), before, after, tail)
    return End(FAILED, cause.reason, cause.word)


def read_all(path: Path) -> list[Event]:
    """Every announcement of a file."""
    return [e for e in every_event(path) if e.get("kind") in ("artifact", "model")]


def record_artifacts(spec: RunSpec, events: list[Event]) -> list[dict[str, Any]]:
    """Every promised or announced file with size and hash; a promised one that is not there is marked missing."""
    announced = {str(e.get("path")): e for e in events}
    recorded: dict[str, dict[str, Any]] = {}
    for output in spec.outputs:
        found = matches(Path(spec.work), output)
        if not found:
            recorded[output.path] = {"path": output.path, "missing": True, "required": output.required}
        for path in found:
            shown = shown_path(path, spec.work)
            recorded[shown] = {**_describe(path, shown, announced.get(shown)), "required": output.required}
            if output.unique and path.suffix == ".jsonl":
                recorded[shown]["unique"] = {key: unique_values(path, key) for key in output.unique}
    for shown, event in announced.items():
        path = Path(spec.work) / shown
        if shown in recorded:
            continue
        if path.exists():
            recorded[shown] = {**_describe(path, shown, event), "required": False}
        else:  # announced and taken away again: an announcement alone is no evidence of a file
            recorded[shown] = {"path": shown, "missing": True, "required": False}
    return [recorded[name] for name in sorted(recorded)]


def matches(work: Path, output: Output) -> list[Path]:
    """The files that an output's pattern names."""
    names = glob.glob(output.path, root_dir=work, recursive=True)
    return [work / name for name in sorted(names)]


def _describe(path: Path, shown: str, event: Event | None) -> dict[str, Any]:
    """The event's own description where the file has not changed since: large files are hashed once."""
    keys = ("path", "size", "sha256", "mtime_ns", "rows")
    if event is not None and unchanged(path, event):
        return {key: event[key] for key in keys if key in event}
    return describe(path, shown)


def missing_inputs(spec: RunSpec) -> list[str]:
    """Inputs that no earlier step has left in the work folder."""
    return [
        name
        for name in spec.inputs
        if not glob.glob(name, root_dir=spec.work, recursive=True) and not os.path.exists(name)
    ]
