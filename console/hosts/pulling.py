"""Pulling a run's files for the screen: with a connection of its own, and nobody to answer a question."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from console.errors import foreseen
from console.hosts.actions import HostDesk, open_host
from console.words import size
from engine.protocol.layout import Root


def pull_words(root: Root, configs: Path, run_id: str, host_name: str) -> tuple[str, bool]:
    """Bring everything here, verified; what happened in words, and whether all of it is here. Blocks."""
    from remote.pull import pull_run

    desk = HostDesk(root.path / "hosts.yaml", configs / "hosts.yaml", root.path / "known_hosts")
    try:
        with closing(open_host(host_name, desk)) as host:
            done = pull_run(host, run_id, root)
    except Exception as error:
        return foreseen(error) or f"{type(error).__name__}: {error} (this is a bug)", False
    if done.problems:
        return f"{run_id}: {done.problems[0]}", False
    return f"{len(done.pulled)} file(s) of {run_id} are here, verified: {size(sum(p.size for p in done.pulled))}", True
