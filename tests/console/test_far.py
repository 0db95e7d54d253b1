"""What a screen hears of other hosts while it stands open: never waiting, never touching the index from another thread."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, cast

import pytest

from console.hosts.far import Far
from console.store import Store
from engine.protocol.layout import Root
from engine.protocol.plan import Plan
from remote.host import Host, Unreachable
from remote.ssh.host import SshHost
from tests.live import Specs, plan_of, step
from tests.polling import until


@pytest.fixture
def here(tmp_path: Path) -> Root:
    """The console's own root, apart from the machine's."""
    (tmp_path / "here").mkdir()
    return Root(tmp_path / "here")


@pytest.fixture
def store(here: Root) -> Any:
    store = Store(here.path / "console.db")
    yield store
    store.close()


def far_plan(specs: Specs) -> Plan:
    return plan_of(
        step(specs.sh("echo one", host="box", step="one")), step(specs.sh("echo two", host="box", step="two"))
    )


def test_an_open_screen_sees_a_plan_there_to_its_end(here: Root, store: Store, ssh_host: SshHost, specs: Specs) -> None:
    far = Far(here, store, lambda name: ssh_host)
    plan = far_plan(specs)
    far.begin_plan(plan)
    ssh_host.launch_plan(plan)

    def both_here() -> bool:
        far.attend()
        return not far.open_plans() and all(here.run(i.run.run_id).result.exists() for i in plan.items if i.run)

    until(both_here, "both runs to be here")
    assert [row.host for row in store.runs()] == ["box", "box"]
    far.close()


def test_a_host_that_does_not_answer_keeps_no_screen_waiting(here: Root, store: Store, specs: Specs) -> None:
    asked, go = threading.Event(), threading.Event()

    class Hung:
        def plan_status(self, plan_id: str) -> None:
            asked.set()
            go.wait(20)
            raise Unreachable("box does not answer")

    far = Far(here, store, lambda name: cast(Host, Hung()))
    far.begin_plan(far_plan(specs))
    far.attend()
    assert asked.wait(20)
    far.attend()
    go.set()
    until(lambda: far.problems.get("box") == "box does not answer", "the reason")
    far.close()


def test_catching_up_names_the_hosts_that_can_not_be_heard(here: Root, store: Store, specs: Specs) -> None:
    class Gone:
        def root_path(self) -> str:
            raise Unreachable("box: no route")

    far = Far(here, store, lambda name: cast(Host, Gone()))
    far.begin_plan(far_plan(specs))
    assert far.catch_up() == ["box can't be heard, so its runs are shown as they were: box: no route"]
    far.close()
