"""The end of a plan on a rented machine, with the laptop off: save, verify, terminate, a fault injected at each transition.

The executor is the real one with a clock of its own; the command that ends the bill is the guard's, which asks a fake provider
over HTTP. What must hold: the weights are safe before the machine ends, the machine ends, and no other one does.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from console.rental.ending import Wanted, ending_words, policy
from engine.protocol.layout import Root
from engine.protocol.plan import Plan
from engine.supervisor import execute as executing
from engine.supervisor.save import Kept
from remote.cloud import fake_account as faults
from remote.cloud.fake_account import DEMO_KEY, FakeAccount
from remote.cloud.fake_lambda import FakeLambda
from remote.cloud.instance_guard import Settings
from remote.cloud.ledger import Entry
from tests.live import Specs, plan_of, step
from tests.supervisor.world import Crash, World

_CHECKOUT = Path(__file__).resolve().parents[3]


@pytest.fixture
def account() -> FakeAccount:
    """Ours and somebody else's; real time, because the guard's command is another process."""
    account = FakeAccount(boot_s=0)
    order = {"instance_type_name": "gpu_1x_a10", "region_name": "us-west-1", "ssh_key_names": ["laptop"]}
    for uuid in ("ours", "another"):
        account.launch({**order, "tags": [{"key": "fractal-launch", "value": uuid}]})
    return account


@pytest.fixture
def world(root: Root, specs: Specs, tmp_path: Path) -> World:
    return World(root, specs, tmp_path / "safe")


@pytest.fixture
def end_the_bill(fake: FakeLambda, tmp_path: Path) -> list[str]:
    """What `end_command` is on the machine."""
    (tmp_path / "key").write_text(DEMO_KEY)
    settings = Settings(
        uuid="ours", serial="s", lease_s=0, age_s=0, max_usd=1, price_cents_per_h=75, on_cap="hold", grace_s=60,
        idle_minutes=None, root="", state_file=str(tmp_path / "state"), key_file=str(tmp_path / "key"), api_url=fake.url,
    )  # fmt: skip
    (tmp_path / "guard.json").write_text(json.dumps(asdict(settings)))
    words = f"cd {_CHECKOUT} && exec {sys.executable} -S -m remote.cloud.instance_guard {tmp_path}/guard.json --end"
    return ["sh", "-c", words]


def ended(account: FakeAccount) -> list[str]:
    return [m.tags[0]["value"] for m in account.machines.values() if m.end_asked is not None]


Break = Callable[[World, FakeAccount, pytest.MonkeyPatch, Path], None]


def nothing(world: World, account: FakeAccount, patch: pytest.MonkeyPatch, folder: Path) -> None:
    pass


def copying_fails(world: World, account: FakeAccount, patch: pytest.MonkeyPatch, folder: Path) -> None:
    real, left = executing.copy, [2]

    def copy(kept: Kept) -> dict[str, str]:
        left[0] -= 1
        if left[0] >= 0:
            raise OSError(28, "No space left on device")
        return real(kept)

    patch.setattr(executing, "copy", copy)


def the_copy_is_damaged(world: World, account: FakeAccount, patch: pytest.MonkeyPatch, folder: Path) -> None:
    real, left = executing.copy, [2]

    def copy(kept: Kept) -> dict[str, str]:
        done = real(kept)
        left[0] -= 1
        if left[0] >= 0:
            kept.target.write_bytes(b"damaged")
        return done

    patch.setattr(executing, "copy", copy)


def the_key_comes_late(world: World, account: FakeAccount, patch: pytest.MonkeyPatch, folder: Path) -> None:
    key = (folder / "key").read_text()
    (folder / "key").unlink()
    real = world.sleep

    def sleep(seconds: float) -> None:
        real(seconds)
        if seconds > 1:  # a pause between attempts: a person arms the guard meanwhile
            (folder / "key").write_text(key)

    patch.setattr(world, "sleep", sleep)


def the_provider_answers(*told: faults.Fault) -> Break:
    def break_it(world: World, account: FakeAccount, patch: pytest.MonkeyPatch, folder: Path) -> None:
        account.fail_next("terminate", *told)

    return break_it


FAULTS: dict[str, Break] = {
    "nothing": nothing,
    "copying fails twice": copying_fails,
    "the copy is damaged twice": the_copy_is_damaged,
    "no key at first": the_key_comes_late,
    "500 before the deed": the_provider_answers(faults.NOT_DONE_500, faults.NOT_DONE_500),
    "500 after the deed": the_provider_answers(faults.DONE_BUT_500),
    "dropped before the deed": the_provider_answers(faults.NOT_DONE_DROPPED),
    "dropped after the deed": the_provider_answers(faults.DONE_BUT_DROPPED),
    "a login page": the_provider_answers(faults.LOGIN_PAGE),
}


def plan_there(world: World, end_the_bill: list[str], **more: object) -> Plan:
    return plan_of(step(world.spec("a")), end=world.end(terminate=end_the_bill, **more))


@pytest.mark.parametrize("fault", FAULTS)
def test_the_weights_are_safe_and_the_machine_ends_whatever_breaks_once(
    world: World,
    account: FakeAccount,
    end_the_bill: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    fault: str,
) -> None:
    FAULTS[fault](world, account, monkeypatch, tmp_path)
    progress = world.execute(plan_there(world, end_the_bill))
    assert (progress.verified, progress.terminated) == (True, True)
    assert world.is_safe("a")
    assert ended(account) == ["ours"]


@pytest.mark.parametrize("stage", ["save", "verify", "terminate"])
def test_an_executor_killed_at_a_transition_is_started_again_and_comes_to_the_same_end(
    world: World, account: FakeAccount, end_the_bill: list[str], monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    plan = plan_there(world, end_the_bill)
    killed = world.executor(plan)
    real = killed._do

    def die_at(move: executing.Move) -> None:
        real(move)
        if move.do == stage:
            raise Crash  # done, and not written down

    monkeypatch.setattr(killed, "_do", die_at)
    with pytest.raises(Crash):
        killed.execute()
    progress = world.execute(plan)
    assert (progress.verified, progress.terminated) == (True, True)
    assert world.is_safe("a")
    assert ended(account) == ["ours"]


@pytest.mark.parametrize(("on_cap", "gone"), [("save-then-terminate", True), ("terminate", True), ("hold", False)])
def test_at_a_cap_with_nowhere_to_save_the_users_choice_decides(
    world: World,
    account: FakeAccount,
    end_the_bill: list[str],
    monkeypatch: pytest.MonkeyPatch,
    on_cap: str,
    gone: bool,
) -> None:
    def copy(kept: Kept) -> dict[str, str]:
        raise OSError(5, "the file system is gone")

    monkeypatch.setattr(executing, "copy", copy)
    world.on_start = lambda spec: world.sleep(3700)
    second = step(world.spec("b"))
    plan = plan_of(step(world.spec("a")), second, end=world.end(terminate=end_the_bill, on_cap=on_cap, max_hours=1.0))
    world.patience = 60
    if gone:
        assert world.execute(plan).terminated
    else:
        with pytest.raises(AssertionError, match="never came to its end"):
            world.execute(plan)
    assert ended(account) == (["ours"] if gone else [])


# What the user is told, and what a plan may do by itself


def entry(**more: object) -> Entry:
    given = {
        "uuid": "u", "name": "a100", "type_name": "gpu_1x_a100", "region": "r", "price_cents_per_h": 200, "account": "x",
        "asked_at": 0.0, "lease_until": 4 * 3600.0, "max_usd": 8.0, "idle_minutes": 30.0, "on_cap": "hold", "grace_s": 600.0,
        "state": "rented", "instance_id": "i", "guard_there": "armed",
    }  # fmt: skip
    return Entry(**{**given, **more})  # type: ignore[arg-type]


def test_a_plan_ends_the_machine_only_with_a_place_to_save_to_and_an_armed_guard() -> None:
    saves = Wanted(save_to="/nfs/x")
    assert policy(saves, entry(), 0.0).terminate is not None
    assert policy(Wanted(), entry(), 0.0).terminate is None
    assert policy(saves, entry(guard_there="installed"), 0.0).terminate is None
    assert policy(Wanted(save_to="/nfs/x", keep=True), entry(), 0.0).terminate is None


def test_a_plan_ends_before_the_lease_and_within_the_budget_that_is_left() -> None:
    end = policy(Wanted(), entry(), 3600.0)
    assert end.max_hours == pytest.approx(3 - 1 / 3)
    assert end.max_usd == pytest.approx(6.0, abs=0.1)
    assert end.on_cap == "hold"
    assert policy(Wanted(max_hours=1.0, max_usd=1.0), entry(), 3600.0).max_hours == 1.0


def test_what_happens_at_the_end_is_said_before_it_begins() -> None:
    said = ending_words(policy(Wanted(save_to="/nfs/x"), entry(), 0.0), entry())
    assert said == "at its end: required files to /nfs/x, verified, then a100 is terminated; at a cap: hold"
    assert "goes on costing" in ending_words(policy(Wanted(), entry(), 0.0), entry())
    unarmed = entry(guard_there="")
    assert "instances arm a100" in ending_words(policy(Wanted(save_to="/nfs/x"), unarmed, 0.0), unarmed)
