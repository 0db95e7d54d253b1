"""What every host promises, as tests. A module of tests inherits `HostContract` and gives a `host` and a `specs` fixture.

Everything goes through the host's own calls, so the same lines hold for a host on another machine. `specs` makes runs in
a folder that is there on the host.
"""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from typing import Any

import pytest

from engine.protocol.checks import compile_check
from engine.protocol.plan import Item
from engine.protocol.status import Status
from remote.host import Host, HostError, LaunchError, UnknownRun
from tests.live import Specs, plan_of, step
from tests.polling import until


def ended(host: Host, run_id: str) -> Status:
    def final() -> Status | None:
        status = host.observe(run_id)
        return status if status.final else None

    status = until(final, f"the end of {run_id}")
    assert status is not None
    return status


def running(host: Host, run_id: str) -> Status:
    def there() -> Status | None:
        status = host.observe(run_id)
        return status if status.state == "running" else None

    status = until(there, f"{run_id} to run")
    assert status is not None
    return status


def whole(host: Host, run_id: str, file: str) -> bytes:
    """A file read in small pieces, by offset."""
    data, offset = b"", 0
    while True:
        chunk = host.read(run_id, file, offset, 7)
        if not chunk.data:
            return data
        data += chunk.data
        offset = chunk.offset + len(chunk.data)


def plan_ended(host: Host, plan_id: str) -> dict[str, Any]:
    def done() -> dict[str, Any]:
        progress = (host.read_plan(plan_id, "status.json") or {}).get("progress") or {}
        return progress if progress.get("stage") == "done" else {}

    return until(done, f"the end of plan {plan_id}")


class HostContract:
    """The suite."""

    def test_it_has_a_name_and_says_what_the_machine_is(self, host: Host) -> None:
        facts = host.facts()
        assert host.name
        assert facts["cores"] >= 1
        assert facts["memory_bytes"] > 0
        assert facts["free_bytes"] > 0
        assert isinstance(facts["gpus"], int)
        assert facts["system"]
        assert facts["python"]

    def test_its_root_is_an_absolute_path(self, host: Host) -> None:
        assert host.root_path().startswith("/")

    def test_a_run_that_ends_well_has_succeeded(self, host: Host, specs: Specs) -> None:
        spec = specs.sh("echo hello")
        host.launch(spec)
        status = ended(host, spec.run_id)
        assert (status.state, status.code) == ("succeeded", 0)

    def test_an_exit_code_is_kept(self, host: Host, specs: Specs) -> None:
        spec = specs.sh("exit 7")
        host.launch(spec)
        status = ended(host, spec.run_id)
        assert (status.state, status.code) == ("failed", 7)
        assert "7" in status.reason

    def test_a_signal_is_named(self, host: Host, specs: Specs) -> None:
        spec = specs.sh("kill -SEGV $$")
        host.launch(spec)
        status = ended(host, spec.run_id)
        assert (status.state, status.code, status.signal) == ("failed", None, "SIGSEGV")

    def test_stdout_and_stderr_come_back_byte_for_byte(self, host: Host, specs: Specs) -> None:
        spec = specs.sh(r"printf 'a\000b\377\r\n'; printf 'err\n' >&2; printf 'no newline'")
        host.launch(spec)
        ended(host, spec.run_id)
        assert whole(host, spec.run_id, "log") == b"a\0b\xff\r\nerr\nno newline"

    def test_a_negative_offset_reads_the_tail(self, host: Host, specs: Specs) -> None:
        spec = specs.sh("printf 0123456789")
        host.launch(spec)
        ended(host, spec.run_id)
        chunk = host.read(spec.run_id, "log", -4)
        assert (chunk.offset, chunk.data, chunk.size) == (6, b"6789", 10)

    def test_a_negative_offset_beyond_the_start_reads_everything(self, host: Host, specs: Specs) -> None:
        spec = specs.sh("printf 0123456789")
        host.launch(spec)
        ended(host, spec.run_id)
        assert host.read(spec.run_id, "log", -400).data == b"0123456789"

    def test_an_offset_beyond_the_end_says_that_the_file_was_replaced(self, host: Host, specs: Specs) -> None:
        spec = specs.sh("printf 0123456789")
        host.launch(spec)
        ended(host, spec.run_id)
        chunk = host.read(spec.run_id, "log", 11)
        assert (chunk.offset, chunk.data, chunk.rewritten) == (0, b"", True)

    def test_a_file_that_is_not_there_yet_is_empty(self, host: Host, specs: Specs) -> None:
        spec = specs.sh("true")
        host.launch(spec)
        ended(host, spec.run_id)
        chunk = host.read(spec.run_id, "log.rank3")
        assert (chunk.offset, chunk.data, chunk.size, chunk.rewritten) == (0, b"", 0, False)

    def test_a_file_outside_the_run_folder_is_refused(self, host: Host, specs: Specs) -> None:
        spec = specs.sh("true")
        host.launch(spec)
        with pytest.raises(HostError):
            host.read(spec.run_id, "../../../../../../etc/passwd")
        with pytest.raises(HostError):
            host.read(spec.run_id, "/etc/passwd")
        ended(host, spec.run_id)

    @pytest.mark.parametrize("run_id", ["20200101-000000-nobody-xxxxx", "../runs", "", "a b"])
    def test_an_unknown_run_is_named_as_such(self, host: Host, run_id: str) -> None:
        with pytest.raises(UnknownRun):
            host.observe(run_id)
        with pytest.raises(UnknownRun):
            host.spec(run_id)
        with pytest.raises(UnknownRun):
            host.stop(run_id, "tester")

    def test_the_spec_comes_back_as_it_was_given(self, host: Host, specs: Specs) -> None:
        spec = specs.sh("true", config={"lr": 1e-4, "deep": {"er": [1, 2]}}, seed=3, env={"A": "ä"})
        host.launch(spec)
        ended(host, spec.run_id)
        assert host.spec(spec.run_id) == spec

    def test_launching_the_same_id_again_changes_nothing(self, host: Host, specs: Specs) -> None:
        spec = specs.sh("echo started")
        host.launch(spec)
        ended(host, spec.run_id)
        status = host.launch(replace(spec, argv=["/bin/sh", "-c", "echo other"]))
        assert status.state == "succeeded"
        assert whole(host, spec.run_id, "log") == b"started\n"
        assert host.spec(spec.run_id) == spec

    def test_ten_launches_at_once_start_it_once(self, host: Host, specs: Specs) -> None:
        spec = specs.sh("echo started")
        problems: list[BaseException] = []

        def launch() -> None:
            try:
                host.launch(spec)
            except BaseException as error:
                problems.append(error)

        threads = [threading.Thread(target=launch) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert ended(host, spec.run_id).state == "succeeded"
        assert problems == []
        assert whole(host, spec.run_id, "log") == b"started\n"
        assert host.run_ids() == [spec.run_id]

    def test_runs_are_listed_oldest_first(self, host: Host, specs: Specs) -> None:
        first = specs.sh("true", run_id="20260101-000000-a-aaaaa")
        second = specs.sh("true", run_id="20260102-000000-a-aaaaa")
        for spec in (second, first):
            host.launch(spec)
            ended(host, spec.run_id)
        assert host.run_ids() == [first.run_id, second.run_id]

    def test_a_stop_ends_a_run_and_says_by_whom_and_why(self, host: Host, specs: Specs) -> None:
        spec = specs.sh("echo on; exec sleep 60")
        host.launch(spec)
        running(host, spec.run_id)
        host.stop(spec.run_id, "tester", "enough seen")
        status = ended(host, spec.run_id)
        assert (status.state, status.signal) == ("stopped", "SIGINT")
        assert "tester" in status.reason
        assert "enough seen" in status.reason

    def test_stopping_what_has_ended_changes_nothing(self, host: Host, specs: Specs) -> None:
        spec = specs.sh("exit 3")
        host.launch(spec)
        before = ended(host, spec.run_id)
        assert host.stop(spec.run_id, "tester") == before
        assert host.observe(spec.run_id) == before

    def test_the_second_run_waits_for_the_first(self, host: Host, specs: Specs) -> None:
        first, second = specs.sh("exec sleep 60"), specs.sh("echo second")
        host.launch(first)
        running(host, first.run_id)
        host.launch(second)
        until(lambda: host.observe(second.run_id).position == 1, "a place in the queue")
        rows = [(row["run_id"], row["position"]) for row in host.queue()]
        assert rows == [(first.run_id, 0), (second.run_id, 1)]
        host.stop(first.run_id, "tester")
        assert ended(host, second.run_id).state == "succeeded"
        assert host.queue() == []

    def test_events_are_read_while_the_run_goes_on(self, host: Host, specs: Specs) -> None:
        line = '{"kind":"metric","step":1,"values":{"loss":0.5}}'
        spec = specs.sh(f"echo '{line}' >> \"$FRACTAL_EVENTS\"; exec sleep 60")
        host.launch(spec)
        chunk = until(lambda: c if (c := host.read(spec.run_id, "events.jsonl")).data else None, "an event")
        assert chunk is not None
        assert json.loads(chunk.data) == json.loads(line)
        host.stop(spec.run_id, "tester", grace_s=0)
        ended(host, spec.run_id)

    def test_a_checkpoint_request_reaches_a_program_that_handles_it(self, host: Host, specs: Specs) -> None:
        spec = specs.sh("trap 'echo saved; exit 0' USR2; echo ready; while :; do sleep 0.05; done")
        host.launch(spec)
        until(lambda: b"ready" in host.read(spec.run_id, "log").data, "the program's handler")
        host.checkpoint(spec.run_id, "tester")
        assert ended(host, spec.run_id).state == "succeeded"
        assert b"saved" in host.read(spec.run_id, "log").data

    def test_a_command_that_does_not_exist_fails_in_words(self, host: Host, specs: Specs) -> None:
        spec = specs.argv(["no-such-program-anywhere"])
        host.launch(spec)
        status = ended(host, spec.run_id)
        assert status.state == "failed"
        assert "no-such-program-anywhere" in status.reason

    def test_a_plan_runs_its_steps_in_order_and_passes_its_gate(self, host: Host, specs: Specs) -> None:
        first = specs.sh("""echo '{"kind":"fact","name":"rows","value":12}' >> "$FRACTAL_EVENTS" """, step="make")
        second = specs.sh("echo used", step="use")
        gate = Item("gate", "enough", checks=[compile_check("fact rows of make >= 10")])
        plan = plan_of(step(first), gate, step(second))
        host.launch_plan(plan)
        progress = plan_ended(host, plan.plan_id)
        assert (progress["outcome"], progress["states"]) == ("passed", ["succeeded", "passed", "succeeded"])
        assert whole(host, second.run_id, "log") == b"used\n"

    def test_the_status_of_a_plan_says_whether_somebody_executes_it(self, host: Host, specs: Specs) -> None:
        plan = plan_of(step(specs.sh("true")))
        assert host.plan_status(plan.plan_id) is None
        host.launch_plan(plan)
        plan_ended(host, plan.plan_id)
        said = until(
            lambda: s if not (s := host.plan_status(plan.plan_id) or {})["executing"] else None, "its executor's end"
        )
        assert said is not None
        assert said["progress"]["outcome"] == "passed"

    def test_a_plan_stops_at_a_failed_gate(self, host: Host, specs: Specs) -> None:
        first, second = specs.sh("true", step="make"), specs.sh("echo used", step="use")
        gate = Item("gate", "enough", checks=[compile_check("fact rows of make >= 10")])
        plan = plan_of(step(first), gate, step(second))
        host.launch_plan(plan)
        progress = plan_ended(host, plan.plan_id)
        assert (progress["outcome"], progress["states"][1:]) == ("blocked", ["failed", "waiting"])
        assert "rows" in progress["reason"]
        assert second.run_id not in host.run_ids()

    def test_a_plan_can_be_stopped(self, host: Host, specs: Specs) -> None:
        spec = specs.sh("exec sleep 60", grace_s=0.5)
        plan = plan_of(step(spec), end=None)
        host.launch_plan(plan)
        until(lambda: spec.run_id in host.run_ids() and host.observe(spec.run_id).state == "running", "the step")
        host.stop_plan(plan.plan_id, "tester", "enough")
        host.stop(spec.run_id, "tester", "do not wait for a checkpoint")
        assert plan_ended(host, plan.plan_id)["outcome"] == "stopped"
        assert ended(host, spec.run_id).state == "stopped"

    def test_a_plan_that_is_not_there_reads_as_nothing(self, host: Host) -> None:
        assert host.read_plan("20200101-000000-nobody-xxxxx", "status.json") is None

    def test_a_launch_that_can_not_be_made_is_a_launch_error(self, host: Host, specs: Specs) -> None:
        with pytest.raises(LaunchError):
            host.launch(specs.sh("true", run_id="../outside"))
