"""The newest lines of a log on another host, for the screen: with a connection of its own, and nobody to answer a question."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from console.errors import foreseen
from console.hosts.actions import HostDesk, open_host
from console.hosts.tail import last_lines
from console.logs.text import plain
from engine.protocol.layout import Root

_LINES = 200
_END_BYTES = 64 << 10


def log_end(root: Root, configs: Path, run_id: str, host_name: str) -> tuple[str, bool]:
    """The lines as plain text, safe to show, and whether they could be had; else why not. Blocks."""
    desk = HostDesk(root.path / "hosts.yaml", configs / "hosts.yaml", root.path / "known_hosts")
    try:
        with closing(open_host(host_name, desk)) as host:
            chunk = host.read(run_id, "log", -_END_BYTES, _END_BYTES)
    except Exception as error:
        return foreseen(error) or f"{type(error).__name__}: {error} (this is a bug)", False
    lines = last_lines(chunk.data, _LINES).split(b"\n")
    return "\n".join(map(plain, lines)).rstrip("\n") or "nothing is written there yet", True
