"""A machine behind a real OpenSSH server passes the same contract as this one; and again with a far one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine.protocol.layout import Root
from remote.ssh_host import SshHost
from tests.contracts.host import HostContract
from tests.remote.box import Box
from tests.remote.delay import Proxy
from tests.remote.sshd import Sshd, make_key, needs_sshd

pytestmark = needs_sshd


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    folder = tmp_path_factory.mktemp("box")
    key = make_key(folder / "key")
    with Sshd(folder / "sshd", [key]) as server:
        yield Box(server, key, folder)


@pytest.fixture
def host(root: Root, box: Box) -> Iterator[SshHost]:
    host = box.host(root.path)
    yield host
    host.close()


class TestSshHost(HostContract):
    """The contract suite, through SSH."""


class TestFarSshHost(HostContract):
    """The contract suite, with 25 ms each way between."""

    @pytest.fixture
    def host(self, root: Root, box: Box) -> Iterator[SshHost]:
        with Proxy(box.server.port, delay_s=0.025) as proxy:
            host = box.host(root.path, proxy.port)
            yield host
            host.close()
