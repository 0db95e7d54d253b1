"""A random life: answers that lie, connections that drop, a laptop that sleeps, consoles that die. Then the bill is read.

Whatever happens: no launch is posted twice, nothing burns after its caps, and no cost shown is below the true bill.
"""

from __future__ import annotations

import random
from contextlib import suppress

import pytest

from remote.cloud import fake_account as faults
from remote.cloud.activity import Activity
from remote.cloud.clock import Time
from remote.cloud.cloud_errors import CloudError
from remote.cloud.fake_account import FakeAccount
from remote.cloud.guard_look import Hooks, look
from remote.cloud.instances import terminate
from remote.cloud.lambda_cloud import LambdaCloud
from remote.cloud.ledger import LAUNCH_TAG, Ledger, NameTaken
from remote.cloud.renting import Wish, launch, plan_launch
from tests.remote.conftest import Clock

_LIES = [
    faults.DONE_BUT_500,
    faults.NOT_DONE_500,
    faults.DONE_BUT_DROPPED,
    faults.NOT_DONE_DROPPED,
    faults.LOGIN_PAGE,
    faults.TOO_MANY,
]
_OPERATIONS = ["launch", "terminate", "instances", "instance"]


class Crash(BaseException):
    """The console dies here: nothing of ours may catch it."""


class Life:
    def __init__(self, seed: int, cloud: LambdaCloud, ledger: Ledger, account: FakeAccount, clock: Clock) -> None:
        self.random = random.Random(seed)
        self.cloud, self.ledger, self.account, self.clock = cloud, ledger, account, clock
        self.time = Time(clock.now, self._sleep)

    def _sleep(self, seconds: float) -> None:
        if self.random.random() < 0.02:
            raise Crash
        self.clock.sleep(seconds)

    def trouble(self) -> None:
        """Some of the next answers go wrong."""
        self.account.faults.clear()
        self.account.appear_s = self.random.choice([0, 0, 40, 200])
        for operation in _OPERATIONS:
            if self.random.random() < 0.5:
                self.account.fail_next(operation, *self.random.choices(_LIES, k=self.random.randint(1, 7)))

    def try_launch(self, name: str) -> None:
        with suppress(CloudError, NameTaken, Crash):
            caps = {"max_hours": self.random.choice([0.5, 1, 2]), "idle_minutes": self.random.choice([None, 20])}
            wish = Wish(self.random.choice(["a10", "a100"]), name, on_cap="save-then-terminate", **caps)
            launch(self.cloud, self.ledger, plan_launch(self.cloud, wish), self.time)

    def try_end(self) -> None:
        entries = [e for e in self.ledger.open() if e.instance_id]
        with suppress(CloudError, Crash):
            if entries:
                terminate(self.cloud, self.ledger, self.random.choice(entries), "asked", self.time, deadline_s=60)

    def guard(self) -> None:
        hooks = Hooks(
            activity=lambda entry, instance: self.random.choice([None, Activity(), Activity(running=1)]),
            unverified=lambda entry: self.random.choice([None, [], ["a"]]),
        )
        look(self.cloud, self.ledger, hooks, self.clock.now())

    def live(self, minutes: int) -> None:
        for minute in range(minutes):
            if self.random.random() < 0.2:
                self.trouble()
            if self.random.random() < 0.3:
                self.try_launch(f"m{minute % 3}")
            if self.random.random() < 0.05:
                self.try_end()
            self.guard()
            self.clock.at += self.random.choice([60, 60, 60, 60, 1200])
            self.check_costs()

    def check_costs(self) -> None:
        for entry in self.ledger.all():
            if entry.instance_id in self.account.machines:
                assert self.account.billed_usd(entry.instance_id) <= entry.cost_usd(self.clock.at) + 1e-9

    def settle(self) -> None:
        """The weather clears; the guard goes on for the longest lease and the time in which a launch may appear."""
        self.account.faults.clear()
        self.account.appear_s = 0
        for _ in range(180):
            self.guard()
            self.clock.at += 60


@pytest.mark.parametrize("seed", range(6))
def test_no_weather_leaves_a_machine_burning(
    seed: int, cloud: LambdaCloud, ledger: Ledger, account: FakeAccount, clock: Clock
) -> None:
    account.is_rate_limited = False  # the faults speak for it
    life = Life(seed, cloud, ledger, account, clock)
    life.live(60)
    life.settle()
    assert account.machines, "this seed rented nothing: it tests nothing"
    assert account.burning() == []
    assert ledger.open() == []
    posted = [tag["value"] for m in account.machines.values() for tag in m.tags if tag["key"] == LAUNCH_TAG]
    assert len(posted) == len(set(posted))
