"""Run folders as a supervisor leaves them, laid down at once: many runs for tests of what looks at many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.protocol.durable import create_once, write_json
from engine.protocol.events import encode
from engine.protocol.layout import Root, RunPaths
from engine.protocol.spec import RunSpec, hash_of

BEGAN = 1_790_000_000.0


def lay_run(
    root: Root,
    run_id: str,
    config: Mapping[str, Any] | None = None,
    curves: Mapping[str, Sequence[float]] | None = None,
    facts: Mapping[str, Any] | None = None,
    *,
    state: str = "succeeded",
    at: float = 0.0,
    seconds: float = 60.0,
    events: Sequence[Mapping[str, Any]] = (),
    **more: Any,
) -> RunPaths:
    """A run that has ended; a point a second per curve."""
    config = dict(config or {})
    paths = root.run(run_id)
    paths.folder.mkdir(parents=True)
    began = BEGAN + at
    given: dict[str, Any] = {
        "project": "tiny",
        "phase": "phase1-tiny",
        "step": "make",
        "preset": "cpu",
        "variant": "cpu",
        "cwd": "/",
        "work": str(root.path / "work"),
        "seed": config.get("seed"),
        "config": config,
        "config_hash": hash_of(config),
        "family": hash_of({k: v for k, v in config.items() if k != "seed"}),
        "created": began,
        "created_by": "ann@desk",
        **more,
    }
    create_once(paths.spec, RunSpec(run_id=run_id, argv=["true"], **given).to_json())
    paths.events.write_bytes(
        b"".join(encode(dict(e)) for e in [*_points(curves or {}, began), *_facts(facts or {}), *events])
    )
    paths.log.write_text(f"{run_id} at work\n")
    write_json(paths.result, {"state": state, "reason": "as told", "started": began, "ended": began + seconds})
    return paths


def _points(curves: Mapping[str, Sequence[float]], began: float) -> list[dict[str, Any]]:
    longest = max(map(len, curves.values()), default=0)
    return [
        {
            "kind": "metric",
            "step": at + 1,
            "time": began + at,
            "values": {name: values[at] for name, values in curves.items() if at < len(values)},
        }
        for at in range(longest)
    ]


def _facts(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"kind": "fact", "name": name, "value": value} for name, value in facts.items()]


def lay_sweep(root: Root) -> None:
    """Two rates, two seeds each; the second rate is the better one."""
    for at, (lr, seed) in enumerate(((0.1, 0), (0.1, 1), (0.2, 0), (0.2, 1))):
        accuracy = [0.1, lr + 0.5 + seed * 0.1]
        lay_run(
            root,
            f"run-{at}",
            {"lr": lr, "width": 8, "seed": seed},
            {"eval/accuracy": accuracy, "train/loss": [3.0, 1.0, 0.5]},
            at=at,
            variant=f"cpu+lr={lr},seed={seed}",
        )
