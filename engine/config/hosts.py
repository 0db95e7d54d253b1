"""The hosts that a person has named: `configs/hosts.yaml` of a project (shared), then `~/.fractal/hosts.yaml` (one's own).

    hosts:
      gpu:
        ssh: lambda                        # an alias of ~/.ssh/config, or user@host:port
        root: /lambda/nfs/mine/.fractal    # on a file system that outlives the machine
        before: source ~/.local/bin/env
        workdir: ~/Fractal
        env: ~/Fractal/.venv
      cluster:
        ssh: login
        kind: slurm                        # runs are Slurm's jobs; root lies where the nodes see it too
        sbatch: --partition=gpu --time=24:00:00

Both are read; one's own entry wins over the project's of the same name.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from engine.config.errors import ConfigError, nearest
from engine.config.load import check
from engine.config.yaml_file import read_yaml
from engine.protocol.durable import write_bytes
from engine.protocol.layout import safe_id


class HostEntry(BaseModel):
    """How one host is reached and where things lie on it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ssh: str
    """An alias of `~/.ssh/config`, a host name, or `user@host:port`."""
    root: str = "~/.fractal"
    """Where everything of ours lies there."""
    before: str = ""
    """A shell command that comes before the helper; what it sets is there for the runs too."""
    workdir: str = ""
    """The folder in which the helper, and so a step that names no other, begins."""
    env: str = ""
    """An existing virtual environment there; its `bin` comes first in the `PATH` of runs."""
    kind: Literal["ssh", "slurm"] = "ssh"
    """`slurm`: it is a login node, and runs are handed to `sbatch`."""
    sbatch: str = ""
    """What `sbatch` is told besides, as on its command line."""

    @property
    def stated(self) -> dict[str, Any]:
        """What the host's own `host.json` has to say of it."""
        return {"slurm": {"options": shlex.split(self.sbatch)}} if self.kind == "slurm" else {}

    @model_validator(mode="after")
    def _fits(self) -> HostEntry:
        if self.sbatch and self.kind != "slurm":
            raise ValueError("`sbatch` is for hosts of `kind: slurm`")
        shlex.split(self.sbatch)
        return self

    @field_validator("ssh", "root")
    @classmethod
    def _said(cls, value: str) -> str:
        if not value.strip() or "\n" in value:
            raise ValueError("must be one line and not empty")
        return value.strip()

    @field_validator("before")
    @classmethod
    def _one_line(cls, value: str) -> str:
        return "; ".join(line.strip() for line in value.strip().splitlines() if line.strip())


class HostsFile(BaseModel):
    """A whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hosts: dict[str, HostEntry] = {}


@dataclass(frozen=True)
class Named:
    """A host with the file that names it."""

    name: str
    entry: HostEntry
    file: Path


def read_hosts(files: list[Path]) -> dict[str, Named]:
    """Every host of these files; a later file wins."""
    found: dict[str, Named] = {}
    for file in files:
        if file.exists():
            for name, entry in load_file(file).hosts.items():
                found[name] = Named(name, entry, file)
    return found


def load_file(file: Path) -> HostsFile:
    """One file, checked; `ConfigError` names it and the key."""
    read = check(HostsFile, read_yaml(file) or {}, str(file))
    for name in read.hosts:
        check_name(name, str(file))
    return read


def check_name(name: str, where: str) -> str:
    """A name that can be typed and can name a folder."""
    if name == "local":
        raise ConfigError(f"{where}: `local` is this machine; give the host another name")
    try:
        return safe_id(name)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from None


def host_named(found: dict[str, Named], name: str) -> Named:
    """The host, or an error with the nearest name."""
    if name not in found:
        known = ", ".join(["local", *sorted(found)])
        raise ConfigError(f"there is no host {name!r}{nearest(name, ['local', *found])}. Known: {known}")
    return found[name]


def put_host(file: Path, name: str, entry: HostEntry) -> None:
    """Write or replace an entry; the other entries stay, comments do not."""
    check_name(name, str(file))
    hosts = dict(load_file(file).hosts) if file.exists() else {}
    _write(file, {**hosts, name: entry})


def remove_host(file: Path, name: str) -> None:
    """Take an entry away."""
    _write(file, {n: e for n, e in load_file(file).hosts.items() if n != name})


def _write(file: Path, hosts: dict[str, HostEntry]) -> None:
    body: dict[str, Any] = {"hosts": {n: e.model_dump(exclude_defaults=True) for n, e in hosts.items()}}
    file.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(file, yaml.safe_dump(body, sort_keys=True, allow_unicode=True).encode())
