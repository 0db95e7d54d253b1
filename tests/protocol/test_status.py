"""The state of a run as a truth table over its traces, and what a reader finds in a folder."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.protocol.identity import identify
from engine.protocol.layout import RunPaths
from engine.protocol.status import (
    FINAL,
    HEARTBEAT_BYTES,
    Status,
    Traces,
    conclude,
    heartbeat_age,
    heartbeat_line,
    observe,
)
from engine.protocol.version import NewerProtocol

NOTHING = Traces(
    spec_age_s=1.0,
    claimed=False,
    status=None,
    exit=None,
    result=None,
    same_boot=True,
    supervisor_alive=False,
    shim_alive=False,
    command_alive=False,
    heartbeat_age_s=None,
)
CLAIMED = replace(NOTHING, claimed=True)
RUNS = replace(
    CLAIMED,
    status={"state": "running", "started": 5.0},
    supervisor_alive=True,
    shim_alive=True,
    command_alive=True,
    heartbeat_age_s=0.5,
)
ALONE = replace(RUNS, supervisor_alive=False)
GONE = replace(ALONE, shim_alive=False, command_alive=False)
STOP = {"by": "ann", "why": "enough"}

TABLE: list[tuple[str, Traces, str, str]] = [
    ("a fresh spec waits for its supervisor", NOTHING, "queued", "not yet claimed"),
    ("nobody came for a minute", replace(NOTHING, spec_age_s=61.0), "lost", "launch it again"),
    ("claimed, no state yet", replace(CLAIMED, supervisor_alive=True), "starting", "claimed"),
    ("claimed by one that died at once", CLAIMED, "lost", "died before"),
    ("queued", replace(RUNS, status={"state": "queued"}), "queued", ""),
    ("killed in the queue", replace(GONE, status={"state": "queued"}), "lost", "queue"),
    ("running", RUNS, "running", ""),
    ("no sign for ten seconds is no news yet", replace(RUNS, heartbeat_age_s=10.0), "running", ""),
    ("no sign for longer", replace(RUNS, heartbeat_age_s=10.1), "stalled", "no sign for 10 s"),
    ("running, heartbeat not there", replace(RUNS, heartbeat_age_s=None), "running", ""),
    ("the clock went back", replace(RUNS, heartbeat_age_s=-3600.0), "running", ""),
    ("supervisor killed", ALONE, "orphaned", "runs on"),
    ("supervisor and command gone, shim about to write", replace(ALONE, command_alive=False), "orphaned", ""),
    ("supervisor and shim killed", replace(ALONE, shim_alive=False), "orphaned", "runs on"),
    ("all killed", GONE, "lost", "vanished"),
    ("reboot", replace(GONE, same_boot=False), "lost", "restarted"),
    ("reboot after the end was written", replace(GONE, same_boot=False, result={"state": "stopped"}), "stopped", ""),
    ("reboot after the exit was written", replace(GONE, same_boot=False, exit={"code": 0}), "succeeded", ""),
    ("supervisor gone, exit code 0", replace(GONE, exit={"code": 0}), "succeeded", "ended well"),
    ("supervisor gone, exit code 3", replace(GONE, exit={"code": 3}), "failed", "exit code 3"),
    ("supervisor gone, signal", replace(GONE, exit={"code": None, "signal": "SIGSEGV"}), "failed", "SIGSEGV"),
    (
        "supervisor gone, not started",
        replace(GONE, exit={"code": 127, "error": "no such command"}),
        "failed",
        "no such command",
    ),
    (
        "supervisor gone, stopped",
        replace(GONE, exit={"signal": "SIGINT"}, status={"state": "running", "stop": STOP}),
        "stopped",
        "stopped by ann: enough",
    ),
    (
        "supervisor gone, stopped by its time limit",
        replace(
            GONE,
            exit={"signal": "SIGINT"},
            status={
                "state": "running",
                "stop": {"by": "its time limit", "why": "it ran longer than 5 s", "cause": "timeout"},
            },
        ),
        "failed",
        "it ran longer than 5 s",
    ),
    (
        "exit known, shim still records: the last word is not spoken",
        replace(ALONE, command_alive=False, exit={"code": 0}),
        "orphaned",
        "recorded",
    ),
    (
        "state decided, files being hashed",
        replace(RUNS, status={"state": "succeeded"}, command_alive=False),
        "running",
        "recorded",
    ),
    ("a result stands above all", replace(RUNS, result={"state": "failed", "reason": "x"}), "failed", "x"),
    ("a result stands above a reboot", replace(GONE, same_boot=False, result={"state": "failed"}), "failed", ""),
]


@pytest.mark.parametrize(("traces", "state", "words"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_the_state_that_traces_mean(traces: Traces, state: str, words: str) -> None:
    status = conclude(traces)
    assert status.state == state
    assert words in status.reason


@pytest.mark.parametrize(("traces", "state"), [(row[1], row[2]) for row in TABLE], ids=[row[0] for row in TABLE])
def test_every_conclusion_but_running_says_why(traces: Traces, state: str) -> None:
    said = (traces.result or traces.status or {}).get("reason", "")
    assert conclude(traces).reason or said == "" or state == "running"
    if state in ("lost", "orphaned", "stalled"):
        assert conclude(traces).reason


def every_trace() -> list[Traces]:
    """Every combination of what may be found."""
    statuses: list[dict[str, Any] | None] = [None, *({"state": s} for s in ("queued", "starting", "running", "failed"))]
    exits: list[dict[str, Any] | None] = [None, {"code": 0}, {"code": 1}]
    flags = [True, False]
    return [
        Traces(1.0, claimed, status, exit_, None, boot, sup, shim, command, beat)
        for claimed, status, exit_, boot, sup, shim, command, beat in itertools.product(
            flags, statuses, exits, flags, flags, flags, flags, [None, 1.0, 99.0]
        )
        if boot or not (sup or shim or command)
    ]


def test_nothing_that_lives_is_ever_called_final() -> None:
    for traces in every_trace():
        if traces.status is not None and (traces.supervisor_alive or traces.shim_alive):
            assert not conclude(traces).final, traces


def test_nothing_that_is_gone_is_ever_called_live() -> None:
    for traces in every_trace():
        living = traces.supervisor_alive or traces.shim_alive or traces.command_alive
        if traces.status is not None and not living:
            assert conclude(traces).final, traces


def test_success_is_never_concluded_without_an_exit_code_of_zero() -> None:
    for traces in every_trace():
        if conclude(traces).state == "succeeded":
            assert traces.exit == {"code": 0}


def test_a_status_survives_json() -> None:
    status = Status("failed", "exit code 3", code=3, started=1.0, ended=2.0, extra={"a": 1})
    assert Status.from_json(json.loads(json.dumps(status.to_json()))) == status
    assert Status.from_json({"state": "running", "from_the_future": 1}) == Status("running")


def test_an_exit_code_of_zero_survives_json() -> None:
    assert Status.from_json(Status("succeeded", code=0).to_json()).code == 0


def test_exactly_the_ends_are_final() -> None:
    assert set(FINAL) == {"succeeded", "failed", "stopped", "lost"}
    assert [Status(s).live for s in ("queued", "starting", "running", "stalled", "orphaned")] == [True] * 5


def test_a_heartbeat_never_changes_its_size() -> None:
    assert {len(heartbeat_line(now, beat)) for now in (0.0, 1e9, 9e11) for beat in (0, 10**12)} == {HEARTBEAT_BYTES}


def test_the_age_of_a_heartbeat_is_read_back(tmp_path: Path) -> None:
    (tmp_path / "heartbeat").write_bytes(heartbeat_line(1000.0, 7))
    assert heartbeat_age(tmp_path / "heartbeat", 1004.5) == 4.5


@pytest.mark.parametrize("content", [b"", b"\0" * 64, b"x 1\n", b"\xff"])
def test_a_broken_heartbeat_has_no_age(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "heartbeat").write_bytes(content)
    assert heartbeat_age(tmp_path / "heartbeat", 1.0) is None


def test_a_newer_folder_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text('{"v": 2, "state": "succeeded"}')
    with pytest.raises(NewerProtocol, match=r"result\.json.*protocol 2.*git pull"):
        observe(RunPaths(tmp_path))


def test_a_half_written_status_is_no_status(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text("{}")
    (tmp_path / "claim").write_text(json.dumps(identify().to_json()))
    (tmp_path / "status.json").write_text('{"state": "runn')
    assert observe(RunPaths(tmp_path)).state == "starting"


def test_a_stalled_supervisor_is_seen_by_its_heartbeat(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text("{}")
    (tmp_path / "status.json").write_text(json.dumps({"state": "running", "supervisor": identify().to_json()}))
    (tmp_path / "heartbeat").write_bytes(heartbeat_line(1000.0, 1))
    assert observe(RunPaths(tmp_path), now=1005.0).state == "running"
    assert observe(RunPaths(tmp_path), now=1030.0).state == "stalled"


def test_a_shim_that_told_its_name_itself_makes_an_orphan(tmp_path: Path) -> None:
    """The supervisor may die between starting the shim and saying so; the shim's own file still names it."""
    dead = {**identify().to_json(), "start": "0"}
    (tmp_path / "spec.json").write_text("{}")
    (tmp_path / "status.json").write_text(json.dumps({"state": "starting", "supervisor": dead}))
    assert observe(RunPaths(tmp_path)).state == "lost"
    (tmp_path / "started.json").write_text(json.dumps({"shim": identify().to_json()}))
    assert observe(RunPaths(tmp_path)).state == "orphaned"
