"""Aliases of instances for `ssh NAME`: a file of our own, and one Include line in `~/.ssh/config` if the user agrees.

The alias verifies the machine's pinned host key (`HostKeyAlias`, own known_hosts, `StrictHostKeyChecking yes`), so a reused
address is neither an alarm nor a hole.
Guarantees: `~/.ssh/config` changes by one line at its top, keeps its mode and its symbolic link, and is whole at any moment.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from remote.cloud.locked_file import rewrite

_HEAD = "# fractal-console: "


@dataclass(frozen=True)
class Alias:
    """One instance as `ssh` should see it."""

    name: str
    address: str
    user: str
    host_key_alias: str
    known_hosts: Path
    identity: Path | None = None

    def block(self) -> str:
        lines = [
            f"HostName {self.address}",
            f"User {self.user}",
            f"HostKeyAlias {self.host_key_alias}",
            f"UserKnownHostsFile {_quoted(self.known_hosts)}",
            "GlobalKnownHostsFile /dev/null",
            "StrictHostKeyChecking yes",
            "ServerAliveInterval 15",
        ]
        if self.identity is not None:
            lines += [f"IdentityFile {_quoted(self.identity)}", "IdentitiesOnly yes"]
        return f"{_HEAD}{self.name}\nHost {self.name}\n" + "".join(f"  {line}\n" for line in lines)


def put_alias(file: Path, alias: Alias) -> None:
    """Write the alias, in the place of an earlier one of the same name."""
    rewrite(file, lambda text: "".join({**_blocks(text), alias.name: alias.block()}.values()))


def remove_alias(file: Path, name: str) -> None:
    if file.exists():
        rewrite(file, lambda text: "".join(block for other, block in _blocks(text).items() if other != name))


def _blocks(text: str) -> dict[str, str]:
    parts = text.split(_HEAD)[1:]
    return {part.partition("\n")[0]: _HEAD + part for part in parts}


def _quoted(path: Path) -> str:
    return f'"{path}"' if " " in str(path) else str(path)


def include_line(own: Path) -> str:
    return f"Include {_quoted(own)}"


def is_included(user_config: Path, own: Path) -> bool:
    """Is our line there? Another way of including the same file (a pattern) is not seen, and then asked about once more."""
    try:
        return include_line(own) in [line.strip() for line in user_config.read_text().splitlines()]
    except FileNotFoundError:
        return False


def add_include(user_config: Path, own: Path) -> None:
    """Put the line on top: below a Host line it would belong to that host alone."""
    if is_included(user_config, own):
        return
    real = Path(os.path.realpath(user_config))
    mode = real.stat().st_mode & 0o777 if real.exists() else 0o600
    # The lock lies beside our own file: nothing of ours is left in `~/.ssh`.
    own.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    rewrite(real, lambda text: f"{include_line(own)}\n{text}", mode, own.with_name(f".{own.name}.lock"))
