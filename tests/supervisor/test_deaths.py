"""Any of the three processes may be killed at any moment: the log goes on, the exit code is kept, the state is true."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from engine.protocol.durable import read_json
from engine.protocol.identity import alive
from engine.protocol.layout import RunPaths
from engine.protocol.spec import LogMetric, Output
from engine.supervisor.slots import holders
from remote.local_host import LocalHost
from tests.live import (
    Specs,
    events_of,
    identities,
    kill,
    kill_and_wait,
    log_of,
    wait_final,
    wait_in_log,
    wait_state,
)
from tests.polling import until

# Runs until the test lets it go on, so that nothing depends on how fast the machine is.
SLOW = "echo one; while [ ! -e go ]; do sleep 0.02; done; echo two; "


def begun(host: LocalHost, specs: Specs, script: str, **more: object) -> RunPaths:
    spec = specs.sh(script, **more)
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    wait_in_log(paths, b"one")
    wait_state(paths, "running")
    return paths


def go(specs: Specs) -> None:
    (specs.folder / "go").touch()


def result_of(paths: RunPaths) -> dict[str, object]:
    return until(lambda: read_json(paths.result) or {}, "the result")


def test_a_killed_supervisor_costs_neither_log_nor_exit_code_nor_result(host: LocalHost, specs: Specs) -> None:
    paths = begun(host, specs, SLOW + "echo x > out.txt; exit 7", outputs=[Output("out.txt")])
    kill_and_wait(identities(paths)["supervisor"])
    assert wait_state(paths, "orphaned").reason
    go(specs)
    status = wait_final(paths)
    assert (status.state, status.code) == ("failed", 7)
    assert log_of(paths) == b"one\ntwo\n"
    assert result_of(paths)["code"] == 7
    assert (read_json(paths.artifacts) or {})["artifacts"][0]["path"] == "out.txt"


def test_a_killed_supervisor_does_not_hide_a_missing_output(host: LocalHost, specs: Specs) -> None:
    paths = begun(host, specs, SLOW, outputs=[Output("model.pt")])
    kill_and_wait(identities(paths)["supervisor"])
    go(specs)
    status = wait_final(paths)
    assert status.state == "failed"
    assert "model.pt" in status.reason


def test_a_killed_supervisor_costs_no_metric_of_the_log(host: LocalHost, specs: Specs) -> None:
    script = "echo loss 0; echo one; while [ ! -e go ]; do sleep 0.02; done; echo loss 1; echo loss 2; printf 'loss 3'"
    paths = begun(host, specs, script, log_metrics=[LogMetric(r"loss (\d+)", "loss")])
    until(lambda: paths.log_events.exists(), "the first metric")
    kill_and_wait(identities(paths)["supervisor"])
    go(specs)
    assert wait_final(paths).state == "succeeded"
    result_of(paths)
    assert [e["values"]["loss"] for e in events_of(paths.log_events)] == [0, 1, 2, 3]


def test_a_torn_metric_of_the_log_is_mended(host: LocalHost, specs: Specs) -> None:
    script = "echo loss 0; echo one; while [ ! -e go ]; do sleep 0.02; done; echo loss 1"
    paths = begun(host, specs, script, log_metrics=[LogMetric(r"loss (\d+)", "loss")])
    until(lambda: paths.log_events.exists(), "the first metric")
    kill_and_wait(identities(paths)["supervisor"])
    with open(paths.log_events, "ab") as file:
        file.write(b'{"kind":"metric","valu')
    go(specs)
    wait_final(paths)
    result_of(paths)
    assert [e["values"]["loss"] for e in events_of(paths.log_events)] == [0, 1]


def test_a_killed_shim_costs_nothing(host: LocalHost, specs: Specs) -> None:
    paths = begun(host, specs, SLOW + "exit 7")
    kill_and_wait(identities(paths)["shim"])
    go(specs)
    status = wait_final(paths)
    assert (status.state, status.code) == ("failed", 7)
    assert log_of(paths) == b"one\ntwo\n"
    assert result_of(paths)["code"] == 7


def test_without_its_shim_a_run_still_has_its_time_limit(host: LocalHost, specs: Specs) -> None:
    paths = begun(host, specs, "echo one; exec sleep 60", timeout_s=1.5, grace_s=0.5)
    kill_and_wait(identities(paths)["shim"])
    status = wait_final(paths)
    assert status.state == "failed"
    assert "1.5 s" in status.reason


def test_without_its_shim_a_run_can_be_stopped(host: LocalHost, specs: Specs) -> None:
    paths = begun(host, specs, "echo one; exec sleep 60")
    kill_and_wait(identities(paths)["shim"])
    host.stop(paths.run_id, "ann")
    assert wait_final(paths).state == "stopped"


def test_without_its_shim_the_metrics_of_the_log_go_on(host: LocalHost, specs: Specs) -> None:
    patterns = [LogMetric(r"loss (\d+)", "loss")]
    script = "echo loss 0; echo one; while [ ! -e go ]; do sleep 0.02; done; echo loss 1"
    paths = begun(host, specs, script, log_metrics=patterns)
    kill_and_wait(identities(paths)["shim"])
    go(specs)
    wait_final(paths)
    assert [e["values"]["loss"] for e in events_of(paths.log_events)] == [0, 1]


def test_supervisor_and_shim_killed_leave_an_orphan_that_then_is_lost(host: LocalHost, specs: Specs) -> None:
    paths = begun(host, specs, SLOW)
    who = identities(paths)
    kill(who["supervisor"])
    kill_and_wait(who["shim"])
    kill_and_wait(who["supervisor"])
    wait_state(paths, "orphaned")
    go(specs)
    status = wait_final(paths)
    assert status.state == "lost"
    assert log_of(paths) == b"one\ntwo\n"
    assert "killed together" in status.reason


def test_all_three_killed_is_lost_and_the_slot_is_free(host: LocalHost, specs: Specs) -> None:
    paths = begun(host, specs, "echo one; exec sleep 60")
    who = identities(paths)
    for name in ("supervisor", "shim", "command"):
        kill(who[name])
    assert wait_final(paths).state == "lost"
    until(lambda: holders(host.root) == {}, "the slot")


def test_a_killed_command_is_a_failure_with_its_signal(host: LocalHost, specs: Specs) -> None:
    paths = begun(host, specs, "echo one; exec sleep 60")
    kill(identities(paths)["command"])
    status = wait_final(paths)
    assert (status.state, status.signal) == ("failed", "SIGKILL")


def test_the_next_run_starts_after_an_orphan_has_ended_and_not_before(host: LocalHost, specs: Specs) -> None:
    paths = begun(host, specs, SLOW)
    who = identities(paths)
    kill(who["shim"])
    kill_and_wait(who["supervisor"])
    after = specs.sh("echo started")
    host.launch(after)
    until(lambda: host.observe(after.run_id).position == 1, "its place in the queue")
    assert alive(who["command"])
    assert list(holders(host.root).values()) == [paths.run_id]
    go(specs)
    assert wait_final(host.root.run(after.run_id)).state == "succeeded"


def test_a_supervisor_killed_in_the_queue_is_lost_and_leaves_no_ticket(host: LocalHost, specs: Specs) -> None:
    first, second, third = specs.sh("exec sleep 60"), specs.sh("echo two"), specs.sh("echo three")
    host.launch(first)
    wait_state(host.root.run(first.run_id), "running")
    host.launch(second)
    until(lambda: host.observe(second.run_id).position == 1, "its place in the queue")
    host.launch(third)
    until(lambda: host.observe(third.run_id).position == 2, "its place in the queue")
    kill_and_wait(identities(host.root.run(second.run_id))["supervisor"])
    status = host.observe(second.run_id)
    assert (status.state, "queue" in status.reason) == ("lost", True)
    until(lambda: host.observe(third.run_id).position == 1, "the third to move up")
    host.stop(first.run_id, "ann")
    assert wait_final(host.root.run(third.run_id)).state == "succeeded"
    assert log_of(host.root.run(second.run_id)) == b""


def test_a_lost_run_is_not_started_again_by_launching_it(host: LocalHost, specs: Specs) -> None:
    spec = specs.sh("echo one; exec sleep 60")
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    wait_in_log(paths, b"one")
    wait_state(paths, "running")
    for identity in identities(paths).values():
        kill(identity)
    wait_final(paths)
    assert host.launch(spec).state == "lost"
    assert log_of(paths) == b"one\n"


def test_a_machine_that_restarted_is_told_apart(host: LocalHost, specs: Specs) -> None:
    from engine.protocol.durable import write_json

    paths = begun(host, specs, "echo one; exec sleep 60")
    for identity in identities(paths).values():
        kill_and_wait(identity)
    status = read_json(paths.status) or {}
    write_json(paths.status, {**status, "supervisor": {**status["supervisor"], "boot": "of yesterday"}})
    assert host.observe(paths.run_id).state == "lost"
    assert "restarted" in host.observe(paths.run_id).reason


def holds_a_pipe(pid: int) -> bool:
    try:
        return any(os.readlink(f"/proc/{pid}/fd/{fd}").startswith("pipe:") for fd in os.listdir(f"/proc/{pid}/fd"))
    except FileNotFoundError:  # one was closed while we looked
        return True


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks at descriptors through /proc")
def test_a_folder_that_is_moved_away_at_the_last_moment_leaves_nobody_waiting(host: LocalHost, specs: Specs) -> None:
    spec = specs.sh("until [ -e go ]; do sleep 0.02; done")
    host.launch(spec)
    paths = host.root.run(spec.run_id)
    wait_state(paths, "running")
    who = identities(paths)
    os.kill(who["supervisor"].pid, signal.SIGSTOP)
    (specs.folder / "go").touch()
    until(lambda: paths.exit.exists() and not holds_a_pipe(who["shim"].pid), "the shim's last word")
    os.kill(who["shim"].pid, signal.SIGSTOP)  # it has not seen the result yet
    os.kill(who["supervisor"].pid, signal.SIGCONT)
    until(paths.result.exists, "the result")
    paths.folder.rename(host.root.path / "moved")
    os.kill(who["shim"].pid, signal.SIGCONT)
    until(lambda: not any(alive(identity) for identity in who.values()), "supervisor and shim to leave")
