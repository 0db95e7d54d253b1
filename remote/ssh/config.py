"""What an SSH alias means, as `ssh` itself sees it.

Where OpenSSH is installed, `ssh -G ALIAS` answers: Include, Match, tokens and the order of files are then right by
construction. Elsewhere Paramiko's parser reads `~/.ssh/config` (no Include there).
Guarantees: an alias can't become an option of `ssh`; the answer is resolved (paths expanded, jumps as a list).
Does not guarantee: options that no connection here needs; they are left to `ssh` itself.
"""

from __future__ import annotations

import getpass
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from remote.ssh.errors import BadSshConfig

_DEFAULT_KEYS = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa")

# A `Match exec` or a host name look-up may take its time; longer is a hang.
_ASK_S = 15.0


@dataclass(frozen=True)
class Target:
    """Where and how to connect."""

    alias: str
    hostname: str
    port: int = 22
    user: str = ""
    identity_files: tuple[Path, ...] = ()
    identities_only: bool = False
    agent_socket: str | None = None
    """None: no agent."""
    proxy_jump: tuple[str, ...] = ()
    """Hops in order, each `[user@]host[:port]`."""
    proxy_command: str | None = None
    known_hosts: tuple[Path, ...] = ()
    host_key_alias: str | None = None
    connect_timeout_s: float | None = None
    asked: Spec | None = None
    """As it was named, where user or port were given with the name."""

    @property
    def typed(self) -> str:
        """What follows `ssh` on a command line to get here: the alias alone, or `-p 2222 root@box`."""
        if self.asked is None:
            return self.alias
        port = f"-p {self.asked.port} " if self.asked.port else ""
        return port + (f"{self.asked.user}@" if self.asked.user else "") + self.asked.host

    @property
    def as_hop(self) -> str:
        """The same as `ssh -J` takes it: `root@box:2222`."""
        if self.asked is None:
            return self.alias
        user = f"{self.asked.user}@" if self.asked.user else ""
        return user + self.asked.host + (f":{self.asked.port}" if self.asked.port else "")

    @property
    def known_as(self) -> str:
        """The name under which known_hosts files list its key."""
        if self.host_key_alias:
            return self.host_key_alias
        host = self.hostname.lower()
        return host if self.port == 22 else f"[{host}]:{self.port}"


def resolve(alias: str, config: Path | None = None, environ: Mapping[str, str] | None = None) -> Target:
    """The target that an alias, host name, or `user@host:port` names; `config` stands for `~/.ssh/config`."""
    spec = parse_spec(alias)
    environ = os.environ if environ is None else environ
    options = _asked(spec, config) if shutil.which("ssh") else _parsed(spec, config)
    return target_of(spec, options, environ)


@dataclass(frozen=True)
class Spec:
    """`[user@]host[:port]` taken apart."""

    host: str
    user: str | None = None
    port: int | None = None


_SPEC = re.compile(r"(?:(?P<user>[^@\s]+)@)?(?P<host>\[[0-9A-Fa-f:.%\w]+\]|[^@:\s\[\]]+)(?::(?P<port>\d{1,5}))?\Z")


def parse_spec(text: str) -> Spec:
    """Refuses what `ssh` could read as an option, and what is no host name."""
    found = _SPEC.match(text.removeprefix("ssh://"))
    if found is None or found["host"].startswith("-") or (found["user"] or "").startswith("-"):
        raise BadSshConfig(f"{text!r} is no SSH host: give an alias of ~/.ssh/config, or user@host or user@host:port")
    port = int(found["port"]) if found["port"] else None
    if port is not None and not 0 < port < 65536:
        raise BadSshConfig(f"{text!r}: there is no port {port}")
    return Spec(found["host"].strip("[]"), found["user"], port)


def _asked(spec: Spec, config: Path | None) -> dict[str, list[str]]:
    argv = ["ssh", "-G"]
    argv += ["-F", str(config)] if config else []
    argv += ["-l", spec.user] if spec.user else []
    argv += ["-p", str(spec.port)] if spec.port else []
    try:
        done = subprocess.run(
            [*argv, "--", spec.host], capture_output=True, text=True, timeout=_ASK_S, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise BadSshConfig(
            f"`ssh -G {spec.host}` did not answer within {_ASK_S:.0f} s: is there a slow Match exec?"
        ) from None
    if done.returncode != 0:
        raise BadSshConfig(f"`ssh -G {spec.host}` failed: {done.stderr.strip() or done.returncode}")
    return parse_g(done.stdout)


def parse_g(text: str) -> dict[str, list[str]]:
    """`ssh -G` prints one `key value` a line; some keys come several times."""
    options: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if value:
            options.setdefault(key.lower(), []).append(value)
    return options


def _parsed(spec: Spec, config: Path | None) -> dict[str, list[str]]:
    from paramiko.config import SSHConfig
    from paramiko.ssh_exception import ConfigParseError, SSHException

    file = config or Path("~/.ssh/config").expanduser()
    try:
        found = SSHConfig.from_path(str(file)).lookup(spec.host) if file.exists() else {"hostname": spec.host}
    except (ConfigParseError, SSHException, OSError) as error:
        raise BadSshConfig(f"{file}: {error}") from None
    options = {key: list(value) if isinstance(value, list) else [str(value)] for key, value in found.items()}
    return options | ({"user": [spec.user]} if spec.user else {}) | ({"port": [str(spec.port)]} if spec.port else {})


def target_of(spec: Spec, options: Mapping[str, list[str]], environ: Mapping[str, str]) -> Target:
    """The target that resolved options describe."""
    hostname = _one(options, "hostname") or spec.host
    port = int(_one(options, "port") or 22)
    user = _one(options, "user") or spec.user or getpass.getuser()
    tokens = {"%%": "%", "%h": hostname, "%n": spec.host, "%p": str(port), "%r": user, "%d": str(Path.home()),
              "%u": getpass.getuser()}  # fmt: skip
    timeout = _one(options, "connecttimeout")
    return Target(
        alias=spec.host,
        hostname=hostname,
        port=port,
        user=user,
        identity_files=tuple(_path(name, tokens, environ) for name in _identities(options)),
        identities_only=_one(options, "identitiesonly") == "yes",
        agent_socket=_agent(options, tokens, environ),
        proxy_jump=_hops(_one(options, "proxyjump")),
        proxy_command=_command(_one(options, "proxycommand"), tokens),
        known_hosts=_known_hosts(options, tokens, environ),
        host_key_alias=_one(options, "hostkeyalias"),
        connect_timeout_s=float(timeout) if timeout and timeout.isdigit() else None,
        asked=spec,
    )


def _one(options: Mapping[str, list[str]], key: str) -> str | None:
    values = options.get(key)
    return values[0] if values and values[0] != "none" else None


def _identities(options: Mapping[str, list[str]]) -> list[str]:
    named = options.get("identityfile")
    return [name for name in named if name != "none"] if named else list(_DEFAULT_KEYS)


def _known_hosts(
    options: Mapping[str, list[str]], tokens: Mapping[str, str], environ: Mapping[str, str]
) -> tuple[Path, ...]:
    user = options.get("userknownhostsfile") or ["~/.ssh/known_hosts ~/.ssh/known_hosts2"]
    system = options.get("globalknownhostsfile") or ["/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"]
    names = " ".join(user + system).split()
    return tuple(_path(name, tokens, environ) for name in names if name not in ("none", "/dev/null"))


def _agent(options: Mapping[str, list[str]], tokens: Mapping[str, str], environ: Mapping[str, str]) -> str | None:
    named = (options.get("identityagent") or ["SSH_AUTH_SOCK"])[0]
    if named == "none":
        return None
    if named in ("SSH_AUTH_SOCK", "$SSH_AUTH_SOCK"):
        return environ.get("SSH_AUTH_SOCK") or None
    return str(_path(named.strip('"'), tokens, environ))


def _path(text: str, tokens: Mapping[str, str], environ: Mapping[str, str]) -> Path:
    filled = re.sub(r"%.", lambda m: tokens.get(m[0], m[0]), text)
    filled = re.sub(r"\$\{(\w+)\}", lambda m: environ.get(m[1], m[0]), filled)
    return Path(filled).expanduser()


def _hops(text: str | None) -> tuple[str, ...]:
    return tuple(hop.strip() for hop in text.split(",")) if text else ()


def _command(text: str | None, tokens: Mapping[str, str]) -> str | None:
    return re.sub(r"%.", lambda m: tokens.get(m[0], m[0]), text) if text else None
