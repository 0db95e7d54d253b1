"""What happens between a console and a host when the way breaks, freezes or leads nowhere."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from engine.protocol.layout import Root
from remote import helper_session
from remote.backoff import pause_s
from remote.helper_link import HelperLink
from remote.helper_session import NoHelper, Session, Start
from remote.host import UnknownRun, Unreachable
from remote.ssh.errors import ConnectionLost, NoWay
from remote.ssh.host import SshHost
from tests.live import Specs
from tests.polling import until
from tests.remote.box import Box
from tests.remote.delay import Proxy


def test_pauses_grow_from_half_a_second_to_half_a_minute() -> None:
    assert [pause_s(n, 1.0) for n in (1, 2, 3, 4, 7, 100)] == [0.5, 1.0, 2.0, 4.0, 30.0, 30.0]


def test_consoles_that_lost_the_same_host_do_not_come_back_at_once() -> None:
    assert pause_s(4, 0.0) == 2.0


def test_a_login_shell_that_prints_does_no_harm(box: Box, root: Root) -> None:
    host = box.host(root.path, before="echo Welcome to the machine; head -c 100000 /dev/zero")
    assert host.run_ids() == []
    host.close()


def test_what_comes_before_is_there_for_the_runs(box: Box, root: Root, specs: Specs) -> None:
    host = box.host(root.path, before="export MY_TOOL=hammer")
    spec = specs.sh('echo "$MY_TOOL"')
    host.launch(spec)
    until(lambda: host.read(spec.run_id, "log").data == b"hammer\n", "the word")
    until(lambda: host.observe(spec.run_id).final, "the end")
    host.close()


def test_a_host_without_python3_says_so(box: Box, root: Root) -> None:
    host = box.host(root.path, before="PATH=/nowhere")
    with pytest.raises(NoHelper, match=r"no python3.*apt-get install"):
        host.facts()
    host.close()


def test_a_root_that_can_not_be_used_says_so(box: Box, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    host = box.host(tmp_path / "file" / "below")
    with pytest.raises(NoHelper, match=r"root can't be used.*file"):
        host.facts()
    host.close()


def test_a_host_that_is_not_there_is_told_at_once_and_not_waited_for(box: Box, root: Root) -> None:
    with Proxy(box.server.port) as proxy:
        port = proxy.port
    host = box.host(root.path, port, patience_s=60)
    before = time.monotonic()
    with pytest.raises(NoWay, match="does not answer"):
        host.facts()
    assert time.monotonic() - before < 10
    host.close()


def test_a_helper_that_was_killed_is_started_anew(ssh_host: SshHost) -> None:
    first = int(ssh_host.link.session().hello["pid"])
    os.kill(first, signal.SIGKILL)
    assert ssh_host.run_ids() == []
    assert int(ssh_host.link.session().hello["pid"]) != first


def test_the_end_of_the_way_under_a_request_is_a_loss_and_no_answer(box: Box, root: Root) -> None:
    with box.connect() as connection:
        session = Session(connection, Start(str(root.path)))
        threading.Timer(0.2, os.kill, (int(session.hello["pid"]), signal.SIGKILL)).start()
        with pytest.raises(ConnectionLost):
            session.ask("range", path="/dev/zero", at=0, count=1 << 40, on_part=lambda head, data: None)


def test_a_frozen_peer_is_noticed_within_the_deadline(box: Box, root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """The helper is stopped, its TCP connection lives on: only the missing signs of life can tell."""
    monkeypatch.setattr(helper_session, "DEADLINE_S", 2.5)
    with box.connect() as connection:
        session = Session(connection, Start(str(root.path)))
        os.kill(int(session.hello["pid"]), signal.SIGSTOP)
        try:
            before = time.monotonic()
            with pytest.raises(ConnectionLost, match="silent"):
                session.ask("runs")
            assert time.monotonic() - before < 8
        finally:
            os.kill(int(session.hello["pid"]), signal.SIGKILL)


def test_a_request_whose_answer_was_lost_is_asked_again_and_done_once(box: Box, root: Root, specs: Specs) -> None:
    spec = specs.sh("echo started")
    with Proxy(box.server.port) as proxy:
        host = box.host(root.path, proxy.port)
        host.run_ids()
        timer = threading.Timer(0.05, proxy.cut)
        timer.start()
        assert host.launch(spec).state in ("queued", "starting", "running", "succeeded")
        timer.join()
        until(lambda: host.observe(spec.run_id).final, "the end")
        assert host.read(spec.run_id, "log").data == b"started\n"
        host.close()


def test_a_way_that_stays_cut_ends_the_patience(box: Box, root: Root) -> None:
    with Proxy(box.server.port) as proxy:
        host = box.host(root.path, proxy.port, patience_s=1.0)
        host.run_ids()
        proxy.refuses = True
        proxy.cut()
        with pytest.raises(Unreachable):
            host.run_ids()
        proxy.refuses = False
        assert host.run_ids() == []
        host.close()


def test_an_error_of_the_host_is_not_tried_again(ssh_host: SshHost) -> None:
    with pytest.raises(UnknownRun):
        ssh_host.observe("20200101-000000-nobody-xxxxx")
    assert ssh_host.link.losses == 0


def test_hanging_up_leaves_no_helper_behind(box: Box, root: Root) -> None:
    host = box.host(root.path)
    pid = int(host.link.session().hello["pid"])
    host.close()
    until(lambda: not Path(f"/proc/{pid}").exists(), "the helper to end")


def test_a_closed_host_stays_closed(box: Box, root: Root) -> None:
    host = box.host(root.path)
    host.run_ids()
    host.close()
    with pytest.raises(ConnectionLost, match="closed"):
        host.run_ids()


def test_two_consoles_may_stop_the_same_run(box: Box, root: Root, specs: Specs) -> None:
    hosts = [box.host(root.path), box.host(root.path)]
    spec = specs.sh("echo on; exec sleep 60")
    hosts[0].launch(spec)
    until(lambda: hosts[0].observe(spec.run_id).state == "running", "the run")
    threads = [threading.Thread(target=h.stop, args=(spec.run_id, f"c{n}")) for n, h in enumerate(hosts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: hosts[1].observe(spec.run_id).final, "the end")
    assert [h.observe(spec.run_id).state for h in hosts] == ["stopped", "stopped"]
    for host in hosts:
        host.close()


def test_a_clock_an_hour_off_changes_no_state(box: Box, root: Root, specs: Specs) -> None:
    """Every judgement about a run's age is made where it runs; the console only shows how far the clocks are apart."""
    host = box.host(root.path)
    now = time.time()
    assert abs(host.clock_skew_s(now)) < 60
    assert host.clock_skew_s(now - 3600) > 3500
    host.close()


def test_a_link_that_was_never_used_closes(box: Box) -> None:
    HelperLink(lambda: box.connect(), Start()).close()
