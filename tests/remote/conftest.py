"""A fake cloud, a clock that only moves when told, and a client between them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from remote.cloud.api_key import ApiKey
from remote.cloud.cloud_paths import CloudPaths
from remote.cloud.fake_account import DEMO_KEY, FakeAccount
from remote.cloud.fake_lambda import FakeLambda
from remote.cloud.lambda_cloud import LambdaCloud
from remote.cloud.ledger import Ledger
from remote.cloud.pace import Pace


class Clock:
    """Time that moves when somebody sleeps."""

    def __init__(self, at: float = 1_790_000_000.0) -> None:
        self.at = at
        self.slept: list[float] = []

    def now(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def account(clock: Clock) -> FakeAccount:
    return FakeAccount(now=clock.now, is_rate_limited=True)


@pytest.fixture
def fake(account: FakeAccount) -> Iterator[FakeLambda]:
    with FakeLambda(account) as server:
        yield server


@pytest.fixture
def paths(tmp_path: Path) -> CloudPaths:
    paths = CloudPaths(tmp_path / "cloud")
    paths.make()
    return paths


@pytest.fixture
def cloud(fake: FakeLambda, paths: CloudPaths, clock: Clock) -> Iterator[LambdaCloud]:
    pace = Pace(paths.pace, clock.now, clock.sleep)
    with LambdaCloud(ApiKey(DEMO_KEY, "test"), pace, fake.url, clock.sleep) as client:
        yield client


@pytest.fixture
def ledger(paths: CloudPaths) -> Iterator[Ledger]:
    with Ledger(paths.ledger) as ledger:
        # What is tested here is not the disk; hours of looks would wait for it for minutes.
        ledger._db.execute("pragma synchronous=off")
        yield ledger
