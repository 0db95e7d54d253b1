"""Any machine that `ssh` reaches, as a host.

    host = SshHost("gpu", HostEntry(ssh="lambda"), trust, person)

Guarantees: see `remote.host.Host`; besides: one connection and one helper process there, both come back after a loss; a
request whose answer was lost is asked again and done once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.config.hosts import HostEntry
from engine.protocol.plan import Plan
from engine.protocol.spec import RunSpec
from engine.protocol.status import Status
from engine.supervisor.ops import Chunk
from remote.helper_link import Follower, HelperLink, Shelled
from remote.helper_session import Start
from remote.ssh.config import Target, resolve
from remote.ssh.connect import connect
from remote.ssh.connection import Connection
from remote.ssh.trust import Person, Trust
from remote.sync import Sync, Synced
from remote.tree import Tree


def _silent(line: str) -> None:
    pass


class SshHost:
    """See `remote.host.Host`. Connects at the first call."""

    def __init__(
        self,
        name: str,
        entry: HostEntry,
        trust: Trust,
        person: Person | None = None,
        open_connection: Callable[[], Connection] | None = None,
        patience_s: float = 20.0,
    ) -> None:
        self.name, self.entry = name, entry
        self._trust, self._person = trust, person or Person()
        start = Start(entry.root, entry.before, entry.workdir, entry.stated)
        self.link = HelperLink(open_connection or self._connect, start, patience_s)
        self._sync = Sync(self.link)
        self._sync_lock = threading.Lock()

    def _connect(self) -> Connection:
        return connect(self.target(), self._trust, self._person)

    def target(self) -> Target:
        """What `ssh` makes of the host's alias, now."""
        return resolve(self.entry.ssh)

    @property
    def path_prefix(self) -> list[str]:
        """The `bin` of the environment that the host's file names: for the spec of a run there."""
        return [f"{self.absolute(self.entry.env)}/bin"] if self.entry.env else []

    def absolute(self, path: str) -> str:
        """A path of the host's file as the host sees it; relative ones begin at home."""
        home = str(self.link.session().hello["home"])
        path = path.replace("~", home, 1) if path == "~" or path.startswith("~/") else path
        return path if path.startswith("/") else str(Path(home) / path)

    def clock_skew_s(self, now: float) -> float:
        """How far the host's clock is ahead of `now`, which was read before the connection was made."""
        return float(self.link.session().hello["time"]) - now

    def root_path(self) -> str:
        return str(self.link.persist(_hello).head["root"])

    def facts(self) -> dict[str, Any]:
        return _without_marks(self.link.ask("facts").head)

    def put_tree(self, tree: Tree) -> str:
        with self._sync_lock:
            return self._sync.put(tree).path

    def look_tree(self, tree: Tree) -> Synced:
        """What `put_tree` would send; sends nothing."""
        with self._sync_lock:
            return self._sync.look(tree)

    def launch(self, spec: RunSpec) -> Status:
        return _status(self.link.ask("launch", spec=spec.to_json()).head)

    def launch_plan(self, plan: Plan) -> str:
        return str(self.link.ask("launch-plan", plan=plan.to_json()).head["said"])

    def run_ids(self) -> list[str]:
        return list(self.link.ask("runs").head["runs"])

    def spec(self, run_id: str) -> RunSpec:
        return RunSpec.from_json(self.link.ask("spec", run=run_id).head["spec"], f"spec of {run_id} on {self.name}")

    def observe(self, run_id: str) -> Status:
        return _status(self.link.ask("observe", run=run_id).head)

    def read(self, run_id: str, file: str, offset: int = 0, limit: int = 1 << 20) -> Chunk:
        answer = self.link.ask("read", run=run_id, file=file, at=offset, limit=limit)
        return Chunk(answer.head["at"], answer.payload, answer.head["size"], answer.head["rewritten"])

    def read_plan(self, plan_id: str, file: str) -> dict[str, Any] | None:
        value: dict[str, Any] | None = self.link.ask("read-plan", plan=plan_id, file=file).head["value"]
        return value

    def plan_status(self, plan_id: str) -> dict[str, Any] | None:
        value: dict[str, Any] | None = self.link.ask("plan-status", plan=plan_id).head["value"]
        return value

    def stop(self, run_id: str, by: str, why: str = "", grace_s: float | None = None) -> Status:
        return _status(self.link.ask("stop", run=run_id, by=by, why=why, grace_s=grace_s).head)

    def checkpoint(self, run_id: str, by: str) -> Status:
        return _status(self.link.ask("checkpoint", run=run_id, by=by).head)

    def stop_plan(self, plan_id: str, by: str, why: str = "") -> None:
        self.link.ask("stop-plan", plan=plan_id, by=by, why=why)

    def follow(self, run_id: str, follower: Follower) -> int:
        """Tell the follower (a `remote.mirror.Mirror`) everything of a run, across losses, until `unfollow`."""
        return self.link.follow(run_id, follower)

    def unfollow(self, number: int) -> None:
        self.link.unfollow(number)

    def shell(self, script: str, say: Callable[[str], None] = _silent, timeout_s: float = 60.0) -> Shelled:
        """Run a short script of `sh` there (`ps`, `nvidia-smi`, an installation); each line is told as it comes."""
        return self.link.shell(script, say, timeout_s)

    def queue(self) -> list[dict[str, Any]]:
        return list(self.link.ask("queue").head["queue"])

    def close(self) -> None:
        self.link.close()


def _hello(session: Any) -> Any:
    from remote.helper_session import Answer

    return Answer(session.hello)


def _status(head: dict[str, Any]) -> Status:
    return Status.from_json(head["status"])


def _without_marks(head: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in head.items() if k != "re"}
