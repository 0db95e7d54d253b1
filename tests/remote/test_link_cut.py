"""A machine in a network namespace whose link the test cuts: the host's contract holds on a cable with a loose contact, 25 ms
away; a loss longer than the deadline is noticed by its silence, and nothing comes twice or is missing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.protocol.layout import Root
from remote.mirror import Mirror
from remote.ssh.host import SshHost
from tests.contracts.host import HostContract
from tests.live import Specs, log_of, wait_final
from tests.polling import until
from tests.remote.box import Box
from tests.remote.delay import Proxy
from tests.remote.link_cut import Flapping, Link, needs_namespace
from tests.remote.sshd import make_key, needs_sshd

pytestmark = [needs_namespace, needs_sshd]


@pytest.fixture(scope="module")
def link() -> Iterator[Link]:
    with Link() as link:
        yield link


@pytest.fixture(scope="module")
def box(link: Link, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    folder = tmp_path_factory.mktemp("far-box")
    key = make_key(folder / "key")
    with link.sshd(folder / "sshd", key) as server:
        yield Box(server, key, folder)


class TestOnALooseCable(HostContract):
    """The contract suite; the link goes down for a moment twice a second."""

    @pytest.fixture
    def host(self, root: Root, box: Box, link: Link) -> Iterator[SshHost]:
        with Proxy(box.server.port, 0.025, box.server.address) as proxy:
            host = box.host(root.path, proxy.port)
            with Flapping(link):
                yield host
            host.close()


def test_a_link_that_is_gone_for_longer_than_the_deadline_loses_nothing(
    root: Root, box: Box, link: Link, tmp_path: Path, specs: Specs
) -> None:
    spec = specs.sh("for i in $(seq 1200); do echo line $i of many; sleep 0.01; done")
    host = box.host(root.path)
    host.launch(spec)
    with Mirror(Root(tmp_path / "here").run(spec.run_id), "box") as mirror:
        host.follow(spec.run_id, mirror)
        until(lambda: mirror.offsets().get("log", 0) > 100, "the first lines")
        link.cut()
        try:
            until(
                lambda: host.link.problem is not None or not host.link.session().alive, "the silence to be noticed", 30
            )
        except Exception:  # no way to the host: that is the notice
            assert host.link.problem is not None
        before = mirror.offsets()["log"]
        link.mend()
        assert mirror.complete.wait(60)
        assert mirror.offsets()["log"] > before
        wait_final(root.run(spec.run_id))
        wanted = log_of(root.run(spec.run_id))
        assert hashlib.sha256(log_of(mirror.paths)).digest() == hashlib.sha256(wanted).digest()
        assert host.link.losses >= 1
    host.close()
