"""A real Slurm on one node, started by the tests: munge, slurmctld and slurmd with a configuration and ports of their own."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.polling import until
from tests.remote.sshd import free_port

_SBIN = "/usr/sbin:/usr/bin:/sbin:/bin"


def missing() -> str:
    """Why there is no Slurm here; empty where there is one."""
    tools = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol")
    absent = [tool for tool in tools if not shutil.which(tool, path=_SBIN)]
    if absent:
        return f"no {absent[0]} here: apt install slurm-wlm munge"
    return "" if os.getuid() == 0 else "a Slurm of the tests' own is started as root"


needs_slurm = pytest.mark.skipif(bool(missing()), reason=missing() or "here")


@dataclass
class Cluster:
    """`with Cluster(folder) as cluster`; `cluster.conf` for SLURM_CONF."""

    folder: Path
    nodes: int = 1
    """More than one: several slurmd on this machine, each a node (where Slurm was built for that)."""
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def conf(self) -> Path:
        return self.folder / "slurm.conf"

    def __enter__(self) -> Cluster:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        try:
            self._munge()
            self._write_conf()
            self._start(["/usr/sbin/slurmctld", "-D", "-f", str(self.conf)], "slurmctld")
            for name in self._names() if self.nodes > 1 else [""]:
                more = ["-N", name] if name else []
                self._start(["/usr/sbin/slurmd", "-D", "-f", str(self.conf), *more], f"slurmd{name}")
            until(self._is_idle, "the node to be idle", 60)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.conf.exists():  # a job's step would go on looking for a controller that is gone
            self.ask("scancel", "--me")
            with contextlib.suppress(AssertionError):
                until(lambda: not self.ask("squeue", "-h"), "the queue to be empty")
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, argv: list[str], name: str, user: str | None = None) -> None:
        with open(self.folder / f"{name}.out", "wb") as out:
            env = {**os.environ, "SLURM_CONF": str(self.conf)}
            self._processes.append(subprocess.Popen(argv, stdout=out, stderr=out, env=env, user=user))

    def _munge(self) -> None:
        folder = Path(f"/run/fractal-test-munge-{os.getpid()}")
        folder.mkdir(exist_ok=True)
        self.socket = folder / "socket"
        key = folder / "key"
        key.write_bytes(os.urandom(128))
        user = pwd.getpwnam("munge")
        for path in (folder, key):
            os.chown(path, user.pw_uid, user.pw_gid)
        key.chmod(0o400)
        folder.chmod(0o755)
        files = [f"--{name}-file={folder / name}" for name in ("key", "pid", "log", "seed")]
        self._start(["/usr/sbin/munged", "--foreground", f"--socket={self.socket}", *files], "munged", "munge")
        until(self.socket.exists, "munge's socket")

    def _write_conf(self) -> None:
        host, each = socket.gethostname(), "-%n" if self.nodes > 1 else ""
        nodes = ",".join(self._names()) if self.nodes > 1 else host
        lines = [
            "ClusterName=test", f"SlurmctldHost={host}(127.0.0.1)", "SlurmUser=root", "SlurmdUser=root",
            "AuthType=auth/munge", f"AuthInfo=socket={self.socket},cred_expire=5", "ProctrackType=proctrack/linuxproc",
            "TaskPlugin=task/none", "JobAcctGatherType=jobacct_gather/none", "KillWait=5",
            "AccountingStorageType=accounting_storage/none", "SelectType=select/cons_tres",
            "SelectTypeParameters=CR_Core", "MpiDefault=none", "SwitchType=switch/none", "ReturnToService=2",
            f"SlurmctldPort={free_port()}", f"SlurmdPort={free_port()}", f"StateSaveLocation={self.folder}/state",
            f"SlurmdSpoolDir={self.folder}/spool{each}", f"SlurmctldPidFile={self.folder}/ctld.pid",
            f"SlurmdPidFile={self.folder}/slurmd{each}.pid",
            "SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0", *self._node_lines(host),
            f"PartitionName=all Nodes={nodes} Default=YES MaxTime=INFINITE State=UP",
        ]  # fmt: skip
        self.conf.write_text("\n".join(lines) + "\n")

    def _names(self) -> list[str]:
        return [f"node{n}" for n in range(1, self.nodes + 1)]

    def _node_lines(self, host: str) -> list[str]:
        rest = "NodeAddr=127.0.0.1 CPUs=1 RealMemory=1000 State=UNKNOWN"
        if self.nodes == 1:
            return [f"NodeName={host} {rest}"]
        return [f"NodeName={name} NodeHostname={host} Port={free_port()} {rest}" for name in self._names()]

    def ask(self, *argv: str) -> str:
        env = {**os.environ, "SLURM_CONF": str(self.conf)}
        return subprocess.run(argv, env=env, capture_output=True, text=True, check=False).stdout

    def _is_idle(self) -> bool:
        dead = [p.args for p in self._processes if p.poll() is not None]
        assert not dead, f"{dead} ended: {''.join(f.read_text() for f in self.folder.glob('*.out'))[-2000:]}"
        return self.ask("sinfo", "-h", "-N", "-o", "%T").split() == ["idle"] * self.nodes
