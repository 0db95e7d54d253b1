"""A remote run's copy here: whole, once, also when the way to the host is cut again and again."""

from __future__ import annotations

import hashlib
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.protocol.layout import Root
from engine.protocol.status import observe
from remote.mirror import Gap, Mirror
from remote.ssh.host import SshHost
from tests.live import Specs, log_of, processes_under
from tests.polling import until
from tests.remote.box import Box
from tests.remote.delay import Proxy


def test_a_mirror_holds_the_same_files_as_the_run(ssh_host: SshHost, root: Root, here: Root, specs: Specs) -> None:
    spec = specs.sh("echo hello; exit 3")
    ssh_host.launch(spec)
    with Mirror(here.run(spec.run_id), ssh_host.name) as mirror:
        ssh_host.follow(spec.run_id, mirror)
        assert mirror.complete.wait(20)
        there = root.run(spec.run_id).folder
        copied = {p.name for p in mirror.paths.folder.iterdir() if not p.name.startswith(".")} - {"observed.json"}
        assert {"spec.json", "status.json", "exit.json", "log", "supervisor.jsonl", "result.json"} <= copied
        # The supervisor's own last words (`ended`, its last status) come after the result.
        until(lambda: all((mirror.paths.folder / n).read_bytes() == (there / n).read_bytes() for n in copied), "all")
        assert (observe(mirror.paths).state, observe(mirror.paths).code) == ("failed", 3)


def test_a_running_run_is_running_in_its_mirror(ssh_host: SshHost, here: Root, specs: Specs) -> None:
    spec = specs.sh("echo on; exec sleep 60")
    ssh_host.launch(spec)
    with Mirror(here.run(spec.run_id), ssh_host.name) as mirror:
        ssh_host.follow(spec.run_id, mirror)
        until(lambda: mirror.status is not None and mirror.status.state == "running", "the state")
        assert observe(mirror.paths).state == "running"
        ssh_host.stop(spec.run_id, "tester", grace_s=0)
        assert mirror.complete.wait(20)
        assert observe(mirror.paths).state == "stopped"


def test_two_consoles_get_every_byte_once_while_their_connections_are_cut(
    root: Root, box: Box, here: Root, tmp_path: Path, specs: Specs
) -> None:
    """A writer that tears its lines, two consoles, ten cuts of each, and one helper killed by its id."""
    script = (
        "import random,sys,time\n"
        "r = random.Random(1)\n"
        "for n in range(300):\n"
        "    sys.stdout.buffer.write(r.randbytes(r.randrange(1, 40_000))); sys.stdout.buffer.flush()\n"
        "    time.sleep(0.01)\n"
    )
    spec = specs.py(script)
    luck = random.Random(2)
    with Proxy(box.server.port) as proxy, Proxy(box.server.port) as other:
        hosts = [box.host(root.path, proxy.port), box.host(root.path, other.port)]
        mirrors = [Mirror(Root(tmp_path / name).run(spec.run_id), "box") for name in ("a", "b")]
        hosts[0].launch(spec)
        for host, mirror in zip(hosts, mirrors, strict=True):
            mirror.begin()
            host.follow(spec.run_id, mirror)
        for _ in range(10):
            size = mirrors[0].offsets().get("log", 0)
            until(lambda: mirrors[0].complete.is_set() or mirrors[0].offsets().get("log", 0) > size, "more of the log")  # noqa: B023
            luck.choice([proxy, other]).cut()
        os.kill(int(hosts[1].link.session().hello["pid"]), signal.SIGKILL)
        for mirror in mirrors:
            until(mirror.complete.is_set, "the end", 60)
        for host in hosts:
            host.close()
        wanted = log_of(root.run(spec.run_id))
        assert len(wanted) > 4_000_000
        for mirror in mirrors:
            assert hashlib.sha256(log_of(mirror.paths)).digest() == hashlib.sha256(wanted).digest()
            mirror.close()
        assert hosts[0].link.losses + hosts[1].link.losses >= 5


def test_a_run_folder_deleted_under_a_tail_is_said_and_the_copy_stays(
    ssh_host: SshHost, root: Root, here: Root, specs: Specs
) -> None:
    spec = specs.sh("echo kept")
    ssh_host.launch(spec)
    with Mirror(here.run(spec.run_id), ssh_host.name) as mirror:
        number = ssh_host.follow(spec.run_id, mirror)
        assert mirror.complete.wait(20)
        until(lambda: not processes_under(root.path), "the supervisor's end")
        root.run(spec.run_id).folder.rename(root.path / "moved")
        until(lambda: mirror.notes, "a word about it")
        assert "is gone" in mirror.notes[0]
        assert log_of(mirror.paths) == b"kept\n"
        ssh_host.unfollow(number)


@pytest.fixture
def mirror(here: Root) -> Iterator[Mirror]:
    with Mirror(here.run("r"), "box", now=lambda: 1000.0) as mirror:
        yield mirror


def test_a_piece_that_came_twice_is_written_once(mirror: Mirror) -> None:
    for _ in range(2):
        mirror.take({"file": "log", "at": 0}, b"abc")
    mirror.take({"file": "log", "at": 2}, b"cde")
    assert log_of(mirror.paths) == b"abcde"


def test_a_piece_beyond_the_end_is_refused(mirror: Mirror) -> None:
    mirror.take({"file": "log", "at": 0}, b"abc")
    with pytest.raises(Gap):
        mirror.take({"file": "log", "at": 4}, b"x")
    assert mirror.offsets() == {"log": 3}


def test_a_rewritten_file_begins_anew_and_the_old_one_is_kept(mirror: Mirror) -> None:
    mirror.take({"file": "log", "at": 0}, b"old")
    mirror.take({"file": "log", "rewritten": True}, b"")
    mirror.take({"file": "log", "at": 0}, b"new")
    assert log_of(mirror.paths) == b"new"
    assert (mirror.paths.folder / ".log.before-1").read_bytes() == b"old"
    assert "rewritten" in mirror.notes[0]


@pytest.mark.parametrize("name", ["../x", "a/b", "/etc/passwd", "", ".mirror"])
def test_a_host_can_not_write_outside_the_mirror(mirror: Mirror, name: str) -> None:
    with pytest.raises(OSError):
        mirror.take({"file": name, "whole": True}, b"x")


def test_a_second_console_does_not_write_the_same_mirror(mirror: Mirror) -> None:
    assert not Mirror(mirror.paths, "box").begin()


def test_a_state_that_was_not_heard_for_long_says_so(mirror: Mirror) -> None:
    mirror.take({"status": {"state": "running"}}, b"")
    assert observe(mirror.paths, 1010.0).reason == ""
    status = observe(mirror.paths, 1000.0 + 3600)
    assert (status.state, status.reason) == ("running", "not heard of for 60 min on box")


def test_it_knows_how_much_of_the_log_is_still_on_its_way(mirror: Mirror) -> None:
    assert mirror.log_lag == 0
    mirror.take({"file": "log", "at": 0, "size": 1000}, b"x" * 400)
    assert mirror.log_lag == 600
    mirror.take({"file": "log", "at": 400, "size": 1000}, b"x" * 600)
    assert mirror.log_lag == 0
