"""What Slurm says of a job, and what that makes the run."""

from __future__ import annotations

import pytest

from engine.protocol.slurm_job import Job, conclude_job, parse_job
from engine.protocol.status import Status

LINE = (
    "JobId=7 JobName=fractal-x UserId=me(1) JobState=PENDING Reason=Resources Dependency=(null) Restarts=2 "
    "NodeList=(null) Command=(null)"
)


def test_a_line_of_scontrol_is_read() -> None:
    assert parse_job(LINE) == Job("PENDING", "Resources", "", 2)
    assert parse_job("JobState=RUNNING Reason=None NodeList=n[1-2]") == Job("RUNNING", "", "n[1-2]", 0)


@pytest.mark.parametrize(
    ("job", "said", "exit_", "state", "words"),
    [
        (Job("PENDING", "Priority"), None, None, "queued", "Priority"),
        (Job("PENDING", "BeginTime", "", 1), Status("queued"), None, "queued", "waits again"),
        (Job("RUNNING", "", "n1"), None, None, "starting", "on n1"),
        (Job("RUNNING"), Status("running"), None, "running", ""),
        (Job("COMPLETING"), Status("succeeded"), None, "running", "being recorded"),
        (Job("TIMEOUT"), Status("running"), None, "failed", "--time="),
        (Job("OUT_OF_MEMORY"), Status("running"), None, "failed", "--mem="),
        (Job("NODE_FAIL"), Status("running"), None, "lost", "node failed"),
        (Job("CANCELLED"), None, None, "stopped", "in Slurm"),
        (Job("FAILED", "NonZeroExitCode"), Status("running"), {"code": 3}, "failed", "exit code 3"),
        (None, Status("running"), None, "lost", "knows its job no more"),
    ],
)
def test_a_state_of_slurm_is_a_state_of_the_run(
    job: Job | None, said: Status | None, exit_: dict[str, int] | None, state: str, words: str
) -> None:
    status = conclude_job(job, said, {}, exit_, 1.0, None)
    assert status.state == state
    assert words in status.reason


def test_a_supervisor_without_a_sign_is_stalled() -> None:
    assert conclude_job(Job("RUNNING", "", "n1"), Status("running"), {}, None, 60.0, None).state == "stalled"


def test_a_stop_that_was_asked_for_names_who_asked() -> None:
    status = conclude_job(Job("CANCELLED"), None, {}, None, None, {"by": "ann", "why": "enough"})
    assert status.reason == "stopped by ann: enough"
