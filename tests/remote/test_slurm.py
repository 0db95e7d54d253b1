"""A real Slurm passes the host's contract; its limits, its queue and its second attempts keep a run whole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine.config.hosts import HostEntry
from engine.protocol.durable import write_json
from engine.protocol.layout import Root
from engine.supervisor import slurm
from remote.host import LaunchError
from remote.local_host import LocalHost
from remote.ssh.host import SshHost
from remote.ssh.trust import Trust
from tests.contracts.host import HostContract, ended, running, whole
from tests.live import Specs, events_of
from tests.polling import until
from tests.remote.box import Box
from tests.remote.slurm_cluster import Cluster, needs_slurm

pytestmark = needs_slurm


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster


@pytest.fixture
def on_slurm(root: Root, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Root]:
    monkeypatch.setenv("SLURM_CONF", str(cluster.conf))
    write_json(root.host_file, {"slurm": {"options": []}})
    yield root
    cluster.ask("scancel", "--me")
    until(lambda: not cluster.ask("squeue", "-h"), "the queue to be empty", 60)


@pytest.fixture
def host(on_slurm: Root) -> LocalHost:
    return LocalHost(on_slurm)


class TestSlurmHost(HostContract):
    """The contract suite, every run a job."""


def test_a_job_that_was_cancelled_in_slurm_is_stopped(host: LocalHost, specs: Specs, cluster: Cluster) -> None:
    spec = specs.sh("exec sleep 60", grace_s=0.5)
    host.launch(spec)
    running(host, spec.run_id)
    cluster.ask("scancel", str(slurm.job_of(host.root.run(spec.run_id))))
    status = ended(host, spec.run_id)
    assert status.state == "stopped"
    assert "Slurm" in status.reason


def test_a_stop_takes_a_waiting_job_out_of_the_queue(host: LocalHost, specs: Specs) -> None:
    first, second = specs.sh("exec sleep 60"), specs.sh("echo never")
    host.launch(first)
    running(host, first.run_id)
    host.launch(second)
    host.stop(second.run_id, "tester", "changed my mind")
    status = ended(host, second.run_id)
    assert (status.state, status.reason) == ("stopped", "stopped by tester: changed my mind")
    host.stop(first.run_id, "tester", grace_s=0)


def test_slurms_exit_code_is_the_commands(host: LocalHost, specs: Specs, cluster: Cluster) -> None:
    spec = specs.sh("exit 7")
    host.launch(spec)
    ended(host, spec.run_id)
    job = str(slurm.job_of(host.root.run(spec.run_id)))
    until(lambda: "ExitCode=7:0" in cluster.ask("scontrol", "show", "job", "-o", job), "Slurm to say 7")


AGAIN = """
trap 'date > "$FRACTAL_WORK/saved"; echo "{\\"kind\\":\\"checkpoint\\",\\"path\\":\\"saved\\"}" >> "$FRACTAL_EVENTS"' USR2
if [ -e "$FRACTAL_WORK/saved" ]; then echo second; exit 0; fi
echo first
while :; do sleep 0.05; done
"""


def test_at_slurms_limit_a_run_saves_and_goes_on_in_its_next_attempt(
    host: LocalHost, specs: Specs, cluster: Cluster
) -> None:
    spec = specs.sh(AGAIN)
    host.launch(spec)
    until(lambda: b"first" in host.read(spec.run_id, "log").data, "the first attempt")
    paths = host.root.run(spec.run_id)
    # What `--signal=B:USR2@120` does two minutes before the limit.
    cluster.ask("scancel", "--batch", "--signal=USR2", str(slurm.job_of(paths)))
    until(lambda: host.observe(spec.run_id).state == "queued", "the job to be in the queue again")
    assert until(lambda: host.observe(spec.run_id).final, "the second attempt", 90)
    assert host.observe(spec.run_id).state == "succeeded"
    assert whole(host, spec.run_id, "log") == b"first\nsecond\n"
    told = [e for e in events_of(paths.supervisor_events) if e["kind"] == "attempt"]
    assert [e["number"] for e in told] == [1, 2]


def test_a_program_that_can_not_save_is_not_started_again(host: LocalHost, specs: Specs, cluster: Cluster) -> None:
    spec = specs.sh("echo on; exec sleep 60")
    host.launch(spec)
    until(lambda: b"on" in host.read(spec.run_id, "log").data, "the program")
    paths = host.root.run(spec.run_id)
    cluster.ask("scancel", "--batch", "--signal=USR2", str(slurm.job_of(paths)))
    until(lambda: any(e["kind"] == "checkpoint-asked" for e in events_of(paths.supervisor_events)), "the word on it")
    assert host.observe(spec.run_id).state == "running"
    host.stop(spec.run_id, "tester", grace_s=0)


def test_a_submission_that_slurm_refuses_is_said_with_its_own_words(host: LocalHost, specs: Specs) -> None:
    write_json(host.root.host_file, {"slurm": {"options": ["--partition=nowhere"]}})
    with pytest.raises(LaunchError, match="nowhere"):
        host.launch(specs.sh("true"))


def test_a_login_node_is_reached_through_ssh(on_slurm: Root, box: Box, specs: Specs, cluster: Cluster) -> None:
    on_slurm.host_file.unlink()
    before = f"SLURM_CONF={cluster.conf}; export SLURM_CONF"
    entry = HostEntry(ssh="box", root=str(on_slurm.path), before=before, kind="slurm", sbatch="--comment=mine")
    host = SshHost("cluster", entry, Trust(box.folder / "own_known_hosts"), open_connection=box.connect)
    spec = specs.sh("echo on $SLURM_JOB_ID")
    host.launch(spec)
    assert ended(host, spec.run_id).state == "succeeded"
    job = str(slurm.job_of(on_slurm.run(spec.run_id)))
    assert whole(host, spec.run_id, "log") == f"on {job}\n".encode()
    assert "Comment=mine" in cluster.ask("scontrol", "show", "job", "-o", job)
    host.close()
