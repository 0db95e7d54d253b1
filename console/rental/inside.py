"""Into a rented machine: what runs there, what its GPUs do, and a shell of one's own.

seen = look(connection)                    # one command, one answer
argv = shell_argv(paths, name)             # ssh by our own config, with the pinned host key
"""

from __future__ import annotations

from dataclasses import dataclass

from remote.cloud.cloud_paths import CloudPaths
from remote.host import HostError
from remote.ssh.connection import Connection

_MARK = "--8<--fractal--"
_PROCESSES = "ps -eo pid,user,pcpu,pmem,etime,args --sort=-pcpu | cut -c1-160 | head -n 25"
_GPUS = "nvidia-smi || echo 'no nvidia-smi here'"
_LOOK_S = 20.0


@dataclass(frozen=True)
class Inside:
    """What a look showed, as the machine printed it."""

    processes: str
    gpus: str


SCRIPT = f"{_PROCESSES}; echo '{_MARK}'; {_GPUS} 2>&1"


def look(connection: Connection) -> Inside:
    """`ps` by use of the processor, and `nvidia-smi`."""
    done = connection.run(SCRIPT, timeout_s=_LOOK_S)
    return parted(done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


def parted(said: str, problem: str = "") -> Inside:
    """What `SCRIPT` printed, in its two parts."""
    processes, mark, gpus = said.partition(_MARK)
    if not mark:
        raise HostError(f"`ps` did not come to its end there: {(problem or said).strip()[-200:]}")
    return Inside(processes.rstrip(), gpus.strip())


def shell_argv(paths: CloudPaths, name: str) -> list[str]:
    """A login by our own config file alone, whether or not `~/.ssh/config` includes it."""
    return ["ssh", "-F", str(paths.ssh_config), name]
