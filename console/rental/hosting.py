"""A rented machine as a host: `run PHASE --host a100` right after `instances launch a100`, with its pinned key.

Where `hosts.yaml` names a host of that name, that entry goes before.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from engine.config.hosts import HostEntry, read_hosts
from remote.host import HostError, Unreachable

if TYPE_CHECKING:
    from remote.cloud.cloud_models import Instance
    from remote.cloud.cloud_paths import CloudPaths
    from remote.cloud.instance_login import Aim
    from remote.cloud.ledger import Entry
    from remote.ssh.connection import Connection
    from remote.ssh.host import SshHost
    from remote.ssh.trust import Person

    Look = Callable[[str], Instance]
    """How a machine is seen at the provider."""


def rented(cloud_folder: Path, name: str) -> Entry | None:
    """The open machine of this name; costs a look at a file where nothing was ever rented."""
    from remote.cloud.cloud_paths import CloudPaths

    paths = CloudPaths(cloud_folder)
    if not paths.ledger.exists():
        return None
    from remote.cloud.ledger import Ledger

    with Ledger(paths.ledger) as ledger:
        return ledger.open_named(name)


def host_of(
    entry: Entry, cloud_folder: Path, person: Person | None, aim: Aim | None = None, look: Look | None = None
) -> SshHost:
    """The machine; its address is asked of the provider at each connection, because only the id is certain."""
    from remote.cloud import instance_login
    from remote.cloud.cloud_paths import CloudPaths
    from remote.ssh.connect import connect
    from remote.ssh.host import SshHost
    from remote.ssh.trust import Person, Trust

    paths = CloudPaths(cloud_folder)
    trust = Trust(paths.pins)

    def enter() -> Connection:
        return connect((aim or instance_login.aim)(entry, _addressed(entry, paths, look)), trust, person or Person())

    named = read_hosts([cloud_folder.parent / "hosts.yaml"]).get(
        entry.name
    )  # says where its root is, if somebody named it
    return SshHost(entry.name, named.entry if named else HostEntry(ssh=entry.name), trust, person, enter)


def _addressed(entry: Entry, paths: CloudPaths, look: Look | None) -> Instance:
    """The machine as the provider knows it now, with an address."""
    from remote.cloud.account import open_account
    from remote.cloud.cloud_errors import CloudError

    if entry.instance_id is None:
        raise HostError(f"{entry.name}: its launch has no answer yet. Look: fractal-console instances sweep")
    try:
        if look is not None:
            instance = look(entry.instance_id)
        else:
            with open_account(paths, os.environ) as cloud:
                instance = cloud.instance(entry.instance_id)
    except CloudError as error:
        raise Unreachable(f"{entry.name}: its address is not known ({error})") from None
    if instance.ip is None:
        raise Unreachable(f"{entry.name} has no address yet. Wait for it: fractal-console instances wait {entry.name}")
    return instance
