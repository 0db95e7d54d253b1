"""A machine behind a real OpenSSH server passes the same contract as this one; and again with a far one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine.protocol.layout import Root
from remote.ssh.host import SshHost
from tests.contracts.host import HostContract
from tests.remote.box import Box
from tests.remote.delay import Proxy
from tests.remote.link_cut import missing


@pytest.fixture
def host(ssh_host: SshHost) -> SshHost:
    return ssh_host


class TestSshHost(HostContract):
    """The contract suite, through SSH."""


@pytest.mark.skipif(not missing(), reason="test_link_cut.py does the same 25 ms away, on a link that is cut besides")
class TestFarSshHost(HostContract):
    """The contract suite, with 25 ms each way between."""

    @pytest.fixture
    def host(self, root: Root, box: Box) -> Iterator[SshHost]:
        with Proxy(box.server.port, delay_s=0.025) as proxy:
            host = box.host(root.path, proxy.port)
            yield host
            host.close()
