"""Ending a run: the ladder, its targets, its patience; and asking for a checkpoint without killing anybody."""

from __future__ import annotations

import errno
import signal
import time
from pathlib import Path

import pytest

from engine.protocol.durable import read_json
from engine.supervisor import ladder
from engine.supervisor.ladder import ask, handles, members, requests, rung_due
from engine.supervisor.slots import holders
from remote.local_host import LocalHost
from tests.live import (
    Specs,
    events_of,
    identities,
    kill,
    kill_and_wait,
    log_of,
    processes_under,
    wait_final,
    wait_in_log,
    wait_state,
    words_of_supervisor,
)
from tests.polling import until

DEAF = "trap '' INT TERM; echo ready; while :; do sleep 0.05; done"


@pytest.mark.parametrize(
    ("since", "grace", "climbed", "rung"),
    [
        (0.0, 5.0, 0, 0),
        (4.9, 5.0, 1, None),
        (5.0, 5.0, 1, 1),
        (9.9, 5.0, 2, None),
        (10.0, 5.0, 2, 2),
        (99.0, 5.0, 3, None),
        (99.0, 5.0, 0, 2),
        (0.0, 0.0, 0, 2),
        (0.0, 0.0, 1, 2),
        (0.0, 0.0, 3, None),
        (1.0, -1.0, 0, 2),
        (2.0, 0.5, 1, 2),
    ],
)
def test_the_rung_that_is_due(since: float, grace: float, climbed: int, rung: int | None) -> None:
    assert rung_due(since, grace, climbed) == rung


def signals_sent(paths: object) -> list[str]:
    return [e["signal"] for e in events_of(paths.supervisor_events) if e["kind"] == "signal"]  # type: ignore[attr-defined]


def test_a_program_that_hears_the_first_word_gets_only_that(host: LocalHost, specs: Specs) -> None:
    spec = specs.sh("trap 'echo tidy; exit 0' INT; echo ready; while :; do sleep 0.05; done")
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    wait_in_log(paths, b"ready")
    host.stop(spec.run_id, "ann", "enough")
    status = wait_final(paths)
    assert (status.state, status.code) == ("stopped", 0)
    assert b"tidy" in log_of(paths)
    assert signals_sent(paths) == ["SIGINT"]


def test_a_deaf_program_is_led_to_the_last_rung(host: LocalHost, specs: Specs) -> None:
    spec = specs.sh(DEAF, grace_s=0.3)
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    wait_in_log(paths, b"ready")
    host.stop(spec.run_id, "ann")
    status = wait_final(paths)
    assert (status.state, status.signal) == ("stopped", "SIGKILL")
    assert signals_sent(paths) == ["SIGINT", "SIGTERM", "SIGKILL"]


def test_the_whole_family_is_stopped(host: LocalHost, specs: Specs) -> None:
    spec = specs.sh(
        "sh -c 'sleep 60 & sleep 61' & sh -c \"trap '' INT TERM; sleep 62\" & echo ready; wait", grace_s=0.3
    )
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    wait_in_log(paths, b"ready")
    host.stop(spec.run_id, "ann")
    assert wait_final(paths).state == "stopped"
    until(lambda: not processes_under(host.root.path), "the whole family to be gone")


def test_a_stopped_process_is_woken_to_hear_it(host: LocalHost, specs: Specs) -> None:
    spec = specs.sh("echo ready; exec sleep 60")
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    wait_state(paths, "running")
    kill(identities(paths)["command"], signal.SIGSTOP)
    host.stop(spec.run_id, "ann")
    assert wait_final(paths).signal == "SIGINT"


def test_stopping_twice_keeps_the_first_name_and_climbs_once(host: LocalHost, specs: Specs) -> None:
    spec = specs.sh(DEAF, grace_s=0.4)
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    wait_in_log(paths, b"ready")
    for who in ("ann", "bob", "cy"):
        host.stop(spec.run_id, who, f"says {who}")
    status = wait_final(paths)
    assert "ann" in status.reason
    assert signals_sent(paths) == ["SIGINT", "SIGTERM", "SIGKILL"]
    assert words_of_supervisor(paths).count("stop-asked") == 1


def test_a_second_stop_may_hurry(host: LocalHost, specs: Specs) -> None:
    spec = specs.sh(DEAF, grace_s=600.0)
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    wait_in_log(paths, b"ready")
    host.stop(spec.run_id, "ann")
    until(lambda: "signal" in words_of_supervisor(paths), "the first rung")
    host.stop(spec.run_id, "bob", grace_s=0.0)
    status = wait_final(paths)
    assert (status.state, status.signal) == ("stopped", "SIGKILL")
    assert "ann" in status.reason


def test_a_second_stop_never_slows_down(host: LocalHost, specs: Specs) -> None:
    spec = specs.sh(DEAF, grace_s=0.2)
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    wait_in_log(paths, b"ready")
    host.stop(spec.run_id, "ann")
    host.stop(spec.run_id, "bob", grace_s=600.0)
    assert wait_final(paths).signal == "SIGKILL"


def test_a_run_is_stopped_in_the_queue_without_ever_starting(host: LocalHost, specs: Specs) -> None:
    first, second = specs.sh("exec sleep 60"), specs.sh("echo started")
    host.launch(first)
    wait_state(host.root.run(first.run_id), "running")
    host.launch(second)
    waiting = host.root.run(second.run_id)
    until(lambda: host.observe(second.run_id).position == 1, "its place in the queue")
    host.stop(second.run_id, "ann", "changed my mind")
    status = wait_final(waiting)
    assert status.state == "stopped"
    assert "ann" in status.reason
    assert log_of(waiting) == b""
    assert not waiting.exit.exists()
    assert [row["run_id"] for row in host.queue()] == [first.run_id]


def test_a_stop_before_the_supervisor_came_is_heard_when_it_comes(host: LocalHost, specs: Specs) -> None:
    from engine.supervisor.ops import prepare

    spec = specs.sh("echo started")
    prepare(host.root, spec)
    host.stop(spec.run_id, "ann")
    assert host.observe(spec.run_id).state == "queued"
    host.launch(spec)
    assert wait_final(host.root.run(spec.run_id)).state in ("stopped", "succeeded")


def test_the_system_that_shuts_down_stops_the_run(host: LocalHost, specs: Specs) -> None:
    spec = specs.sh("trap 'echo tidy; exit 0' INT; echo ready; while :; do sleep 0.05; done")
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    wait_in_log(paths, b"ready")
    wait_state(paths, "running")
    kill(identities(paths)["supervisor"], signal.SIGTERM)
    status = wait_final(paths)
    assert status.state == "stopped"
    assert "SIGTERM" in status.reason


def test_a_supervisor_that_is_told_to_end_a_hundred_times_still_ends_well(host: LocalHost, specs: Specs) -> None:
    """The signal may fall into the middle of any write."""
    spec = specs.sh(DEAF, grace_s=0.3)
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    wait_in_log(paths, b"ready")
    wait_state(paths, "running")
    supervisor = identities(paths)["supervisor"]

    def told_again() -> bool:
        kill(supervisor, signal.SIGTERM)
        return paths.result.exists()

    until(told_again, "the end")
    assert wait_final(paths).state == "stopped"
    assert paths.supervisor_output.read_bytes() == b""


def test_the_terminal_that_closes_does_not_end_the_run(host: LocalHost, specs: Specs) -> None:
    spec = specs.sh("echo ready; sleep 0.5; echo through")
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    wait_in_log(paths, b"ready")
    wait_state(paths, "running")
    kill(identities(paths)["supervisor"], signal.SIGHUP)
    kill(identities(paths)["shim"], signal.SIGHUP)
    assert wait_final(paths).state == "succeeded"
    assert b"through" in log_of(paths)


def test_an_orphan_can_be_stopped(host: LocalHost, specs: Specs) -> None:
    spec = specs.sh(DEAF, grace_s=0.3)
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    wait_in_log(paths, b"ready")
    wait_state(paths, "running")
    kill_and_wait(identities(paths)["supervisor"])
    wait_state(paths, "orphaned")
    host.stop(spec.run_id, "ann", "enough")
    status = wait_final(paths)
    assert status.state == "stopped"
    assert "ann: enough" in status.reason
    until(lambda: not processes_under(host.root.path), "all of it to be gone")
    assert holders(host.root) == {}


def test_an_orphan_without_its_shim_can_be_stopped(host: LocalHost, specs: Specs) -> None:
    spec = specs.sh("echo ready; exec sleep 60", grace_s=0.3)
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    wait_state(paths, "running")
    who = identities(paths)
    kill(who["supervisor"])
    kill_and_wait(who["shim"])
    wait_state(paths, "orphaned")
    host.stop(spec.run_id, "ann", "enough")
    status = wait_final(paths)
    assert (status.state, status.signal) == ("stopped", "SIGINT")
    assert "ann: enough" in status.reason
    assert paths.result.exists()


def test_a_checkpoint_reaches_who_handles_it_and_spares_who_does_not(host: LocalHost, specs: Specs) -> None:
    script = """
sleep 60 &
child=$!
trap 'echo saved' USR2
echo ready
while :; do sleep 0.05; kill -0 $child || { echo child died; exit 5; }; done
"""
    spec = specs.sh(script)
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    wait_in_log(paths, b"ready")
    host.checkpoint(spec.run_id, "ann")
    wait_in_log(paths, b"saved")
    until(lambda: "checkpoint-asked" in words_of_supervisor(paths), "the note of it")
    assert host.observe(spec.run_id).state == "running"
    assert b"child died" not in log_of(paths)


def test_a_checkpoint_asked_of_nobody_is_said_and_harms_nobody(host: LocalHost, specs: Specs) -> None:
    spec = specs.sh("echo ready; exec sleep 60")
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    wait_in_log(paths, b"ready")
    wait_state(paths, "running")
    host.checkpoint(spec.run_id, "ann")
    until(lambda: "checkpoint-asked" in words_of_supervisor(paths), "the note of it")
    note = next(e for e in events_of(paths.supervisor_events) if e["kind"] == "checkpoint-asked")
    assert (note["told"], note["by"]) == (0, "ann")
    assert host.observe(spec.run_id).state == "running"


def test_requests_are_seen_once_and_oldest_first(tmp_path: Path) -> None:
    box, seen = tmp_path / "stop", set[str]()
    for when, who in ((3.0, "cy"), (1.0, "ann"), (2.0, "bob")):
        ask(box, "stop", who, "", when)
    assert [r.by for r in requests(box, seen)] == ["ann", "bob", "cy"]
    assert requests(box, seen) == []


def test_a_request_on_a_full_disk_is_said_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, value: object) -> bool:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ladder, "create_once", full)
    ask(tmp_path, "stop", "ann/b~c@home", "no room", 1.0, grace_s=0.5)
    ask(tmp_path, "checkpoint", "plan", "", 2.0)
    assert {f.stat().st_size for f in tmp_path.iterdir()} == {0}
    found = {r.kind: r for r in requests(tmp_path, set())}
    assert (found["stop"].by, found["stop"].grace_s) == ("ann/b~c@home", 0.5)
    assert (found["checkpoint"].by, found["checkpoint"].grace_s) == ("plan", None)


def test_a_request_that_is_not_whole_yet_is_read_later(tmp_path: Path) -> None:
    (tmp_path / "stop-x").write_text('{"kind": "st')
    seen = set[str]()
    assert requests(tmp_path, seen) == []
    (tmp_path / "stop-x").write_text('{"kind": "stop", "by": "ann"}')
    assert [r.by for r in requests(tmp_path, seen)] == ["ann"]


def test_handlers_and_members_are_read_off_the_processes(host: LocalHost, specs: Specs) -> None:
    spec = specs.sh("trap : USR2; sleep 60 & echo ready; while :; do sleep 0.05; done")
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    wait_in_log(paths, b"ready")
    wait_state(paths, "running")
    leader = identities(paths)["command"].pid
    assert handles(leader, signal.SIGUSR2)
    assert not handles(leader, signal.SIGUSR1)
    assert len(members(leader)) >= 2
    assert leader in members(leader)


def test_a_stop_says_which_rung_it_is_on(host: LocalHost, specs: Specs) -> None:
    spec = specs.sh(DEAF, grace_s=600.0)
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    wait_in_log(paths, b"ready")
    host.stop(spec.run_id, "ann")
    until(lambda: "SIGINT" in (host.observe(spec.run_id).stopping or ""), "the rung")
    begun = time.monotonic()
    host.stop(spec.run_id, "ann", grace_s=0)
    wait_final(paths)
    assert time.monotonic() - begun < 15
    assert (read_json(paths.result) or {})["state"] == "stopped"
