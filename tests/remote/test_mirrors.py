"""Remote runs are mirrored while a console is open: seen at once, let go when complete, each host for itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.protocol.layout import Root
from engine.protocol.status import Status, observe
from remote.helper_link import Follower
from remote.host import HostError
from remote.mirrors import Mirrors, begin
from remote.ssh.host import SshHost
from tests.live import Specs
from tests.polling import until


class FakeHost:
    """Follows in name only: the pieces come from the test."""

    name = "box"

    def __init__(self) -> None:
        self.followers: dict[str, Follower] = {}
        self.unfollowed: list[int] = []

    def follow(self, run_id: str, follower: Follower) -> int:
        self.followers[run_id] = follower
        return len(self.followers)

    def unfollow(self, number: int) -> None:
        self.unfollowed.append(number)


class Clock:
    at = 0.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def fake() -> FakeHost:
    return FakeHost()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def mirrors(here: Root, fake: FakeHost, clock: Clock) -> Iterator[Mirrors]:
    def host_of(name: str) -> FakeHost:
        if name != "box":
            raise HostError(f"{name} refused every key")
        return fake

    mirrors = Mirrors(here, host_of, clock=clock)
    yield mirrors
    mirrors.close()


def test_a_launched_run_is_seen_here_before_its_first_byte(here: Root, specs: Specs) -> None:
    spec = replace(specs.sh("true"), host="box")
    begin(here, spec, Status("queued", "waiting"), now=lambda: 5.0)
    assert here.run_ids() == [spec.run_id]
    assert observe(here.run(spec.run_id), 6.0) == Status("queued", "waiting")


def test_a_run_is_followed_once(mirrors: Mirrors, fake: FakeHost) -> None:
    for _ in range(3):
        mirrors.attend([("r", "box")])
        until(lambda: "r" in fake.followers, "the following")
    until(lambda: not mirrors._busy, "the end of the beginning")
    mirrors.attend([("r", "box")])
    assert list(fake.followers) == ["r"]


def test_a_complete_run_is_let_go_after_the_supervisor_s_last_words(
    mirrors: Mirrors, fake: FakeHost, clock: Clock
) -> None:
    mirrors.attend([("r", "box")])
    until(lambda: "r" in fake.followers and not mirrors._busy, "the following")
    fake.followers["r"].take({"file": "result.json", "whole": True}, b'{"state": "succeeded"}')
    mirrors.attend([])
    assert fake.unfollowed == []
    clock.at = 6.0
    mirrors.attend([("r", "box")])
    assert fake.unfollowed == [1]


def test_a_host_that_can_not_be_entered_is_named_and_holds_no_other_up(mirrors: Mirrors, fake: FakeHost) -> None:
    mirrors.attend([("a", "locked"), ("b", "box")])
    until(lambda: "b" in fake.followers and mirrors.problems(), "both")
    assert mirrors.problems() == {"locked": "locked refused every key"}


def test_a_second_console_leaves_the_mirror_to_the_first(mirrors: Mirrors, here: Root, fake: FakeHost) -> None:
    mirrors.attend([("r", "box")])
    until(lambda: "r" in fake.followers and not mirrors._busy, "the following")
    other_host = FakeHost()
    other = Mirrors(here, lambda name: other_host)
    other.attend([("r", "box")])
    until(lambda: not other._busy, "the second's look")
    assert other_host.followers == {}
    other.close()


def test_a_real_run_ends_here_as_it_ended_there(ssh_host: SshHost, here: Root, specs: Specs, tmp_path: Path) -> None:
    spec = replace(specs.sh("echo hello; exit 4"), host="box")
    begin(here, spec, ssh_host.launch(spec))
    mirrors = Mirrors(here, lambda name: ssh_host)
    mirrors.attend([(spec.run_id, "box")])
    until(lambda: here.run(spec.run_id).result.exists(), "the result")
    assert (observe(here.run(spec.run_id)).code, here.run(spec.run_id).log.read_bytes()) == (4, b"hello\n")
    mirrors.close()
