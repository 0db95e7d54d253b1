"""What runs on hosts beyond this machine, kept up with here: copies of runs that grow, the last word on plans.

    far.attach(run_id)        its copy grows from now on, until `close`
    far.hear_plan(plan)       ask its host once; the runs that have begun are noted and copied
    far.catch_up()            everything that was left open, as after a shut laptop; what could not be heard, in words
    far.attend()              the same without waiting, for a screen that calls it again and again

Guarantees: a host that can't be reached holds no other up, and nothing here ends because of it; the index is touched by the
calling thread only.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from engine.protocol.durable import create_once, read_json
from engine.protocol.layout import PlanPaths, Root
from engine.protocol.status import QUEUED, Status
from remote.host import LOCAL, HostError

if TYPE_CHECKING:
    from console.store import RunRow, Store
    from engine.protocol.plan import Plan
    from engine.protocol.plan_status import PlanSaid
    from remote.host import Host
    from remote.mirrors import Followable, Mirrors
    from remote.ssh.host import SshHost

# How long a verb waits for a copy to be up to date before it shows what is here.
_LEVEL_S = 10.0
_LOOK_S = 0.05


class Far:
    """See above."""

    def __init__(self, root: Root, store: Store, host_of: Callable[[str], Host]) -> None:
        self._root, self._store, self._host_of = root, store, host_of
        self.problems: dict[str, str] = {}
        """Host → why it can't be heard now, as the last `attend` found it."""
        self._asking: set[str] = set()
        self._settled: set[str] = set()
        """Plans that need no look any more: of this machine, or over."""

    @cached_property
    def mirrors(self) -> Mirrors:
        """Made with the first run that lies elsewhere."""
        from remote.mirrors import Mirrors

        return Mirrors(self._root, self._followable)

    def _followable(self, name: str) -> Followable:
        from console.errors import UserError

        try:
            host: SshHost = self._host_of(name)  # type: ignore[assignment]
        except UserError as error:  # forgotten since, or its file is broken: one more reason why it can't be heard
            raise HostError(str(error)) from None
        return host

    def close(self) -> None:
        if "mirrors" in self.__dict__:
            self.mirrors.close()

    # Runs

    def attach(self, run_id: str) -> None:
        """Have a copy of a remote run grow here, in the same layout, so that every reader has one code path."""
        row = self._store.run(run_id)
        if row is not None and row.host != LOCAL and not self._root.run(run_id).result.exists():
            self.mirrors.follow(run_id, row.host)

    def log_lag(self, run_id: str) -> int:
        """How many bytes of a run's log are on its host and not here yet."""
        return self.mirrors.log_lag(run_id) if "mirrors" in self.__dict__ else 0

    def attend(self) -> None:
        """Hear and copy what goes on elsewhere, without waiting for anybody."""
        for plan in self.open_plans():
            from engine.protocol.plan_status import plan_said

            if plan.host not in self._asking:
                self._asking.add(plan.host)
                threading.Thread(target=self._ask_aside, args=(plan,), daemon=True, name=f"ask {plan.host}").start()
            for run_id in _begun(plan, plan_said(self._root.plan(plan.plan_id))):
                self._note(run_id, plan)
        open_runs = [(row.run_id, row.host) for row in self._open_runs()]
        if open_runs or "mirrors" in self.__dict__:
            self.mirrors.attend(open_runs)

    def _ask_aside(self, plan: Plan) -> None:
        try:
            self._try(self.problems, plan.host, lambda: self._ask(plan))
        finally:
            self._asking.discard(plan.host)

    def _open_runs(self) -> list[RunRow]:
        return [row for row in self._store.open_runs() if row.host != LOCAL]

    # Plans

    def begin_plan(self, plan: Plan) -> None:
        """The first file of a plan's mirror, before its host has been asked: a crash can't hide what was started."""
        paths = self._root.plan(plan.plan_id)
        paths.folder.mkdir(parents=True, exist_ok=True)
        create_once(paths.plan, plan.to_json())

    def forget_plan(self, plan: Plan) -> None:
        """Its host has refused it: nothing was started."""
        paths = self._root.plan(plan.plan_id)
        paths.plan.unlink(missing_ok=True)
        paths.folder.rmdir()

    def hear_plan(self, plan: Plan) -> PlanSaid:
        """Ask a plan's host how far it is; `HostError` where it does not answer."""
        from engine.protocol.plan_status import plan_said

        if plan.host != LOCAL:
            self._ask(plan)
        said = plan_said(self._root.plan(plan.plan_id))
        for run_id in _begun(plan, said) if plan.host != LOCAL else ():
            self._note(run_id, plan)
            self.attach(run_id)
        return said

    def _ask(self, plan: Plan) -> None:
        from engine.protocol.plan_status import note_heard

        status = self._host_of(plan.host).plan_status(plan.plan_id)
        note_heard(self._root.plan(plan.plan_id), status, plan.host, time.time())

    def _note(self, run_id: str, plan: Plan) -> None:
        """A run that a plan has begun is a run like any other."""
        if self._store.run(run_id) is None:
            from remote.mirrors import begin

            spec = next(i.run for i in plan.items if i.run is not None and i.run.run_id == run_id)
            status = Status(QUEUED, f"begun by {plan.plan_id}")
            begin(self._root, spec, status)
            self._store.put_run(spec, status)

    def open_plans(self) -> list[Plan]:
        """Plans on other hosts whose end has not been heard."""
        found = []
        for plan_id in self._root.plan_ids():
            paths = self._root.plan(plan_id)
            value = None if plan_id in self._settled else read_json(paths.plan)
            if value is None:
                continue
            if _host_in(value) == LOCAL or (plan := _still_open(paths, value)) is None:
                self._settled.add(plan_id)
            else:
                found.append(plan)
        return found

    # After a while away

    def catch_up(self) -> list[str]:
        """Hear every host on which something was left open; returns a line for each that can't be reached."""
        plans, runs = self.open_plans(), self._open_runs()
        hosts = {plan.host for plan in plans} | {row.host for row in runs}
        problems = self._connect(hosts)
        for plan in plans:
            if plan.host not in problems:
                self._try(problems, plan.host, lambda plan=plan: self.hear_plan(plan))  # type: ignore[misc]
        runs = self._open_runs()
        for row in runs:
            if row.host not in problems:
                self._try(problems, row.host, lambda row=row: self.attach(row.run_id))  # type: ignore[misc]
        self.wait_level([row.run_id for row in runs if row.host not in problems])
        return [f"{name} can't be heard, so its runs are shown as they were: {said}" for name, said in problems.items()]

    def _connect(self, hosts: Iterable[str]) -> dict[str, str]:
        """All at once: the slowest decides, not their sum."""
        problems: dict[str, str] = {}
        tries = [threading.Thread(target=self._try, args=(problems, name, lambda n=name: self._host_of(n).root_path()))
                 for name in sorted(hosts)]  # fmt: skip
        for one in tries:
            one.start()
        for one in tries:
            one.join()
        return problems

    def _try(self, problems: dict[str, str], host: str, work: Callable[[], object]) -> None:
        from console.errors import UserError

        try:
            work()
            problems.pop(host, None)
        except (HostError, UserError, OSError) as error:
            problems[host] = str(error)

    def wait_level(self, run_ids: Iterable[str], limit_s: float = _LEVEL_S) -> None:
        """Until the copies hold everything but their logs, or the time is over."""
        limit = time.monotonic() + limit_s
        waited = list(run_ids)
        while time.monotonic() < limit and not all(self.mirrors.is_level(run_id) for run_id in waited):
            time.sleep(_LOOK_S)


def _begun(plan: Plan, said: PlanSaid) -> list[str]:
    """The runs that a plan's host has started."""
    pairs = zip(plan.items, said.states, strict=False)
    return [item.run.run_id for item, state in pairs if item.run is not None and state != "waiting"]


def _still_open(paths: PlanPaths, value: dict[str, Any]) -> Plan | None:
    from engine.protocol.plan import Plan
    from engine.protocol.plan_status import plan_said

    return None if plan_said(paths).is_done else Plan.from_json(value, str(paths.plan))


def _host_in(value: dict[str, object]) -> str:
    items = value.get("items")
    runs = [i["run"] for i in items if i.get("run")] if isinstance(items, list) else []
    return str(runs[0].get("host", LOCAL)) if runs else LOCAL
