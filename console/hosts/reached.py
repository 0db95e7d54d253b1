"""The hosts that a workspace reaches, by name: this machine; another connects at its first call and stays connected."""

from __future__ import annotations

import threading
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

from engine.protocol.layout import Root, default_root
from remote.host import LOCAL

if TYPE_CHECKING:
    from console.hosts.actions import HostDesk
    from remote.host import Host
    from remote.local_host import LocalHost
    from remote.ssh.host import SshHost


class Reached:
    """May be asked from any thread: hosts are heard from several."""

    def __init__(self, configs: Path, root: Root) -> None:
        self._configs, self._root = configs, root
        self._hosts: dict[str, SshHost] = {}
        self._lock = threading.Lock()

    @cached_property
    def local(self) -> LocalHost:
        from remote.local_host import LocalHost

        return LocalHost(self._root)

    def named(self, name: str) -> Host:
        if name == LOCAL:
            return self.local
        with self._lock:
            if name not in self._hosts:
                from console.hosts.actions import open_host

                self._hosts[name] = open_host(name, desk(self._configs, self._root))
            return self._hosts[name]

    def beyond(self, name: str) -> SshHost:
        """One that is not this machine."""
        assert name != LOCAL
        return cast("SshHost", self.named(name))

    def close(self) -> None:
        for host in self._hosts.values():
            host.close()


def desk(configs: Path | None = None, root: Root | None = None) -> HostDesk:
    """The hosts of this user and of the project in the current folder, with the person at the terminal."""
    from console.hosts.actions import HostDesk
    from console.hosts.person import at_the_terminal, say

    own = (root or Root(default_root())).path
    shared = (configs or Path("configs")) / "hosts.yaml"
    return HostDesk(own / "hosts.yaml", shared, own / "known_hosts", at_the_terminal(), say)
