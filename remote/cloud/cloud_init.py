"""What a machine is told at its first boot: its host key, and the opt-in guard.

Guarantees: the text is a cloud-config (JSON is YAML, so nothing can be mis-indented) below the provider's megabyte; it never
holds the API key. The guard's files are the very modules that run here.
Does not guarantee: that the image honours it. A host key that did not arrive is seen at the first connection.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

from remote.cloud.instance_guard import Settings
from remote.ssh.pins import HostKeyPair

SETTINGS_FILE = "/etc/fractal-guard.json"
KEY_FILE = "/run/fractal-guard/api-key"
_CODE = "/opt/fractal-guard"
_MOST_BYTES = 1_000_000

_SERVICE = f"""\
[Unit]
Description=fractal-console: end this machine at its caps
After=network-online.target

[Service]
Type=oneshot
WorkingDirectory={_CODE}
ExecStart=/usr/bin/python3 -m remote.cloud.instance_guard {SETTINGS_FILE}
"""

_TIMER = """\
[Unit]
Description=fractal-console: look at this machine every minute

[Timer]
OnBootSec=120
OnUnitActiveSec=60

[Install]
WantedBy=timers.target
"""


class TooLarge(ValueError):
    """More than the provider takes."""


def user_data(host_key: HostKeyPair, guard: Settings | None = None) -> str:
    """The cloud-config of one launch."""
    config: dict[str, Any] = {
        "ssh_deletekeys": True,
        "ssh_keys": {"ed25519_private": host_key.private, "ed25519_public": host_key.public},
    }
    if guard is not None:
        config |= {"write_files": guard_files(guard), "runcmd": guard_commands()}
    text = "#cloud-config\n" + json.dumps(config, indent=1) + "\n"
    if len(text.encode()) > _MOST_BYTES:
        raise TooLarge(f"user_data is {len(text)} bytes; the provider takes {_MOST_BYTES}")
    return text


def guard_files(guard: Settings) -> list[dict[str, str]]:
    """Everything that the guard on the machine consists of."""
    here = Path(__file__).parent
    code = {f"{_CODE}/remote/cloud/{name}": (here / name).read_text() for name in _MODULES}
    code[f"{_CODE}/remote/__init__.py"] = ""
    units = {
        "/etc/systemd/system/fractal-guard.service": _SERVICE,
        "/etc/systemd/system/fractal-guard.timer": _TIMER,
        SETTINGS_FILE: json.dumps(asdict(guard), indent=1) + "\n",
    }
    return [{"path": path, "content": text, "permissions": "0644"} for path, text in {**code, **units}.items()]


_MODULES = ("__init__.py", "activity.py", "guard_rules.py", "instance_guard.py")


def guard_commands() -> list[list[str]]:
    return [["systemctl", "daemon-reload"], ["systemctl", "enable", "--now", "fractal-guard.timer"]]


# Reads its orders from stdin, so that the key stands in no argument list. One line of Python that any rented box can run.
_INSTALLER = (
    "import json,os,subprocess,sys\n"
    "o=json.load(sys.stdin)\n"
    "for f in o['files']:\n"
    " p=o['prefix']+f['path']\n"
    " os.makedirs(os.path.dirname(p),exist_ok=True)\n"
    " d=os.open(p,os.O_WRONLY|os.O_CREAT|os.O_TRUNC,int(f['permissions'],8))\n"
    " os.fchmod(d,int(f['permissions'],8))\n"
    " os.write(d,f['content'].encode())\n"
    " os.close(d)\n"
    "for c in o['commands']: subprocess.run(c,check=True)\n"
)


def arm_command(become_root: str = "sudo ") -> str:
    """Run over SSH with `arm_orders` on stdin: puts guard, caps of now and key there, also where cloud-init did not."""
    return f"{become_root}python3 -c {shlex.quote(_INSTALLER)}"


def arm_orders(guard: Settings, api_key: str, prefix: str = "", commands: list[list[str]] | None = None) -> bytes:
    """The key goes into memory (`/run`), readable by root alone, and is gone after a restart."""
    key = {"path": KEY_FILE, "content": api_key, "permissions": "0600"}
    orders = guard_commands() if commands is None else commands
    return json.dumps({"prefix": prefix, "files": [*guard_files(guard), key], "commands": orders}).encode()


def end_command() -> list[str]:
    """The command with which a plan ends the bill from the machine itself."""
    return [
        "sudo",
        "env",
        f"PYTHONPATH={_CODE}",
        "/usr/bin/python3",
        "-m",
        "remote.cloud.instance_guard",
        SETTINGS_FILE,
        "--end",
    ]
