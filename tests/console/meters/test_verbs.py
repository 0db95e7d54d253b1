"""What a run uses, by verb: in `status`, and as events for those who name them."""

from __future__ import annotations

from pathlib import Path

from engine.protocol.events import encode
from engine.protocol.layout import Root
from tests.console.conftest import Console


def test_status_tells_the_last_sample_and_events_only_when_named(console: Console, project: Path, root: Root) -> None:
    console("run", "phase1-tiny", "make")
    run_id = root.run_ids()[0]
    sample = {"kind": "meters", "time": 1.0, "cpu": 0.5, "cores": 2, "gpus": [{"index": 0, "util": 97}]}
    with open(root.run(run_id).supervisor_events, "ab") as file:
        file.write(encode(sample))
    page = console("status", "last").out
    assert "50 % of 2" in page
    assert "97 %" in page
    assert console("status", "last", "--json").json["meters"] == sample
    assert '"meters"' not in console("events", "last").out
    assert console("events", "last", "--kind", "meters").json == sample
