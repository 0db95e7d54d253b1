"""The guard over hours of a clock that only moves when told, against the fake account's true bill."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from engine.protocol.durable import read_json
from remote.cloud import fake_account as faults
from remote.cloud.activity import Activity
from remote.cloud.clock import Time
from remote.cloud.cloud_errors import AskPerson
from remote.cloud.cloud_models import Instance
from remote.cloud.cloud_paths import CloudPaths
from remote.cloud.fake_account import FakeAccount
from remote.cloud.fake_lambda import FakeLambda
from remote.cloud.guard import AlreadyGuarded, Watch, armed, look_once, take_lock, watch
from remote.cloud.guard_look import Hooks, Look, look
from remote.cloud.lambda_cloud import LambdaCloud
from remote.cloud.ledger import Entry, Ledger
from remote.cloud.renting import Wish, launch, plan_launch
from tests.remote.conftest import Clock


@dataclass
class World:
    """A machine, what can be seen of it, and what was asked."""

    cloud: LambdaCloud
    ledger: Ledger
    account: FakeAccount
    clock: Clock
    entry: Entry
    activity: Activity | None = field(default_factory=lambda: Activity(running=1))
    unverified: list[str] | None = field(default_factory=lambda: ["critic.pt"])
    saves: list[float] = field(default_factory=list)

    def hooks(self) -> Hooks:
        return Hooks(
            activity=lambda entry, instance: self.activity,
            ask_save=lambda entry: self.saves.append(self.clock.at),
            unverified=lambda entry: self.unverified,
        )

    def look(self) -> Look:
        return look(self.cloud, self.ledger, self.hooks(), self.clock.now())

    def pass_time(self, hours: float, step_s: float = 60.0) -> None:
        end = self.clock.at + hours * 3600
        while self.clock.at < end and self.ledger.open():
            self.look()
            self.clock.at += step_s

    def now_entry(self) -> Entry:
        found = self.ledger.get(self.entry.uuid)
        assert found
        return found

    @property
    def billed_usd(self) -> float:
        return self.account.billed_usd(str(self.entry.instance_id))


Make = Callable[..., World]


@pytest.fixture
def make(cloud: LambdaCloud, ledger: Ledger, account: FakeAccount, clock: Clock) -> Make:
    def build(**wish: object) -> World:
        plan = plan_launch(cloud, Wish("a100", "a100", **wish))  # type: ignore[arg-type]
        entry = launch(cloud, ledger, plan, Time(clock.now, clock.sleep))
        return World(cloud, ledger, account, clock, entry)

    return build


def test_a_busy_machine_ends_within_its_lease_and_is_saved_before(make: Make) -> None:
    world = make(max_hours=2, max_usd=50)
    world.pass_time(5)
    assert world.account.burning() == []
    assert world.entry.lease_until - 600 <= world.saves[0] <= world.entry.lease_until - 500
    assert world.clock.at <= world.entry.lease_until + 200


@pytest.mark.parametrize("max_usd", [0.10, 0.50, 2.58])
def test_the_true_bill_stays_within_the_budget(make: Make, max_usd: float) -> None:
    world = make(max_hours=100, max_usd=max_usd)
    world.pass_time(10)
    assert world.account.burning() == []
    assert 0.25 * max_usd < world.billed_usd <= max_usd


def test_an_idle_machine_ends_after_its_idle_time_and_a_grace(make: Make) -> None:
    world = make(max_hours=10, idle_minutes=30)
    world.pass_time(1)
    world.activity, idle_since = Activity(load=0.1), world.clock.at
    world.pass_time(3)
    assert world.account.burning() == []
    assert idle_since + 1800 <= world.clock.at <= idle_since + 1800 + 600 + 300


def test_a_machine_whose_files_are_verified_ends_without_waiting_for_the_grace(make: Make) -> None:
    world = make(max_hours=10, idle_minutes=30)
    world.unverified, world.activity = [], Activity()
    world.pass_time(5)
    assert world.clock.at <= world.entry.asked_at + 90 + 1800 + 400


def test_a_machine_that_can_not_be_looked_into_is_kept_until_its_lease(make: Make) -> None:
    world = make(max_hours=2, max_usd=50, idle_minutes=30)
    world.activity = None
    world.pass_time(1.5)
    assert len(world.account.burning()) == 1
    world.pass_time(2)
    assert world.account.burning() == []


def test_an_hour_of_sleep_over_the_lease_ends_the_machine_at_the_next_look_and_a_grace(make: Make) -> None:
    world = make(max_hours=2, max_usd=50)
    world.pass_time(1.5)
    world.clock.at += 3600
    woke = world.clock.at
    world.pass_time(3)
    assert world.account.burning() == []
    assert world.clock.at <= woke + 600 + 300


def test_hold_keeps_the_machine_and_says_at_every_look_that_it_bills(make: Make) -> None:
    world = make(max_hours=1, on_cap="hold")
    world.pass_time(2)
    done = world.look()
    assert len(world.account.burning()) == 1
    assert [note.action for note in done.notes] == ["hold"]
    assert done.exit_code == 1


def test_hold_ends_when_the_files_are_verified_after_all(make: Make) -> None:
    world = make(max_hours=1, on_cap="hold")
    world.pass_time(2)
    world.unverified = []
    world.pass_time(1)
    assert world.account.burning() == []


def test_an_end_is_pursued_until_the_provider_confirms_it(make: Make) -> None:
    world = make(max_hours=1, on_cap="terminate")
    world.account.machines[str(world.entry.instance_id)].is_stubborn = True
    world.pass_time(2)
    assert world.now_entry().state == "ending"
    world.account.machines[str(world.entry.instance_id)].is_stubborn = False
    world.pass_time(0.2)
    assert world.now_entry().state == "ended"


def test_without_the_list_the_lease_still_ends_the_machine(make: Make) -> None:
    world = make(max_hours=1, on_cap="terminate")
    world.pass_time(0.5)
    world.account.fail_next("instances", *[faults.NOT_DONE_500] * 100_000)
    world.pass_time(3)
    assert world.account.burning() == []


@pytest.mark.parametrize("hook", ["activity", "ask_save", "unverified"])
def test_a_hook_that_breaks_does_not_keep_the_machine_alive(make: Make, hook: str) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("ssh broke")

    world = make(max_hours=1, idle_minutes=10)
    hooks = Hooks(**{**world.hooks().__dict__, hook: broken})
    while world.clock.at < world.entry.asked_at + 2 * 3600:
        look(world.cloud, world.ledger, hooks, world.clock.now())
        world.clock.at += 60
    assert world.account.burning() == []


def test_one_machine_with_a_fault_leaves_the_others_guarded(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make(max_hours=1, on_cap="terminate")
    plan = plan_launch(world.cloud, Wish("a10", "second", max_hours=1, on_cap="terminate"))
    second = launch(world.cloud, world.ledger, plan, Time(world.clock.now, world.clock.sleep))
    terminate = world.cloud.terminate

    def refuse_the_first(instance_id: str) -> None:
        if instance_id == world.entry.instance_id:
            raise AskPerson("no rights")
        terminate(instance_id)

    monkeypatch.setattr(world.cloud, "terminate", refuse_the_first)
    world.clock.at += 2 * 3600
    world.look()
    assert [m.id for m in world.account.burning() if m.end_asked is None] == [world.entry.instance_id]
    assert world.account.machines[str(second.instance_id)].end_asked is not None


@pytest.mark.parametrize("fate", ["unhealthy", "preempted"])
def test_a_sick_machine_is_told(make: Make, fate: str) -> None:
    world = make()
    world.account.machines[str(world.entry.instance_id)].fate = fate
    world.clock.at += 200
    assert [note.action for note in world.look().notes] == ["look", "nothing"]


def test_a_preempted_machine_is_looked_after_until_its_caps(make: Make) -> None:
    world = make(max_hours=1, on_cap="terminate")
    world.account.machines[str(world.entry.instance_id)].fate = "preempted"
    world.pass_time(2)
    assert world.account.burning() == []


def test_a_new_lease_keeps_the_machine(make: Make) -> None:
    world = make(max_hours=1, max_usd=50)
    world.pass_time(0.9)
    world.ledger.extend(world.entry.uuid, world.entry.asked_at + 2 * 3600, 50.0, world.clock.at)
    world.pass_time(0.5)
    assert len(world.account.burning()) == 1


def test_a_machine_of_somebody_else_is_told_and_never_touched(make: Make) -> None:
    world = make(max_hours=1)
    world.account.machines[str(world.entry.instance_id)].tags = []
    world.ledger._db.execute("delete from entries")
    done = world.look()
    assert [note.action for note in done.notes] == ["look"]
    assert world.account.count("POST", "/terminate") == 0
    assert done.exit_code == 1


def test_an_account_that_can_not_be_read_is_exit_code_2(make: Make) -> None:
    world = make()
    world.account.fail_next("instances", *[faults.NOT_DONE_500] * 9)
    assert world.look().exit_code == 2


def test_a_wrong_clock_is_told_and_the_guard_goes_on(make: Make) -> None:
    world = make(max_hours=1, on_cap="terminate")
    world.account.now = lambda: world.clock.at - 1800
    assert [n.name for n in world.look().notes] == ["clock", "a100"]


def test_a_quiet_account_is_exit_code_0(cloud: LambdaCloud, ledger: Ledger, clock: Clock) -> None:
    assert look(cloud, ledger, Hooks(), clock.now()).exit_code == 0


@pytest.fixture
def todo(paths: CloudPaths, fake: FakeLambda, clock: Clock, cloud: LambdaCloud) -> Watch:
    class Lasting:
        """The one client of the test, not closed after each look."""

        def __enter__(self) -> LambdaCloud:
            return cloud

        def __exit__(self, *_: object) -> None: ...

    return Watch(paths, Lasting, Hooks(), clock.now, clock.sleep)  # type: ignore[arg-type]


def test_the_guard_goes_home_when_nothing_has_been_rented_for_a_while(todo: Watch, clock: Clock) -> None:
    start = clock.at
    watch(todo)
    assert 600 < clock.at - start < 800


def test_the_guard_stays_while_a_machine_is_open(todo: Watch, make: Make) -> None:
    world = make(max_hours=3, max_usd=50)
    watch(todo)
    assert world.now_entry().state == "ended"
    assert world.clock.at > world.entry.lease_until


def test_a_guard_without_a_key_goes_on_and_says_so(paths: CloudPaths, clock: Clock) -> None:
    def no_key() -> LambdaCloud:
        raise AskPerson("there is no Lambda API key")

    done = look_once(Watch(paths, no_key, Hooks(), clock.now, clock.sleep))
    assert done.exit_code == 2
    beat = read_json(paths.guard_beat)
    assert beat
    assert "no Lambda API key" in beat["notes"][0]["because"]
    assert armed(paths, clock.at + 5) == "the guard looks and can't tell: AskPerson: there is no Lambda API key"


def test_the_screen_can_tell_whether_a_guard_watches(todo: Watch, paths: CloudPaths, clock: Clock) -> None:
    assert armed(paths, clock.at) == "no guard has run here"
    look_once(todo)
    assert armed(paths, clock.at + 30).startswith("armed (resident), looked")
    assert "NOT ARMED" in armed(paths, clock.at + 3600)


def test_a_second_guard_goes_away_while_the_first_beats(todo: Watch, paths: CloudPaths, clock: Clock) -> None:
    import os

    lock = take_lock(paths, clock.at)
    assert lock is not None
    look_once(todo)
    with pytest.raises(AlreadyGuarded):
        take_lock(paths, clock.at + 30)
    assert take_lock(paths, clock.at + 3600) is None  # stuck: worked around
    os.close(lock)


def test_the_log_tells_what_was_done_and_keeps_quiet_otherwise(todo: Watch, make: Make, paths: CloudPaths) -> None:
    make(max_hours=1, on_cap="terminate")
    watch(todo)
    lines = Path(paths.guard_log).read_text().splitlines()
    assert [line.split(": ")[1] for line in lines] == ["terminate", "ended"]


def test_the_log_does_not_repeat_itself(todo: Watch, account: FakeAccount, paths: CloudPaths) -> None:
    order = {"instance_type_name": "gpu_1x_a10", "region_name": "us-west-1", "ssh_key_names": ["laptop"]}
    account.launch({**order, "name": "left-behind"})
    for _ in range(3):
        look_once(todo)
    assert [line.split(": ")[1] for line in paths.guard_log.read_text().splitlines()] == ["look"]


def test_the_instance_given_to_a_look_is_the_one_of_the_entry(make: Make) -> None:
    world = make()
    world.clock.at += 200
    seen: list[tuple[str, str]] = []

    def see(entry: Entry, instance: Instance) -> Activity:
        seen.append((entry.name, instance.id))
        return Activity()

    look(world.cloud, world.ledger, Hooks(activity=see), world.clock.now())
    assert seen == [("a100", world.entry.instance_id)]
