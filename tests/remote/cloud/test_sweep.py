from __future__ import annotations

from pathlib import Path

import pytest

from remote.cloud import fake_account as faults
from remote.cloud.api_key import ApiKey
from remote.cloud.clock import Time
from remote.cloud.cloud_errors import CloudError
from remote.cloud.cloud_paths import CloudPaths
from remote.cloud.fake_account import FakeAccount
from remote.cloud.fake_lambda import FakeLambda
from remote.cloud.lambda_cloud import LambdaCloud
from remote.cloud.ledger import Entry, Ledger
from remote.cloud.pace import Pace
from remote.cloud.renting import Wish, launch, plan_launch
from remote.cloud.sweep import Finding, adopted_entry, sweep
from tests.remote.conftest import Clock


@pytest.fixture
def entry(cloud: LambdaCloud, ledger: Ledger, clock: Clock) -> Entry:
    plan = plan_launch(cloud, Wish("a100", "a100", max_hours=2))
    return launch(cloud, ledger, plan, Time(clock.now, clock.sleep))


def swept(cloud: LambdaCloud, ledger: Ledger, clock: Clock) -> list[tuple[str, str]]:
    return [(finding.kind, finding.name) for finding in sweep(cloud, ledger, clock.now())]


def in_doubt(cloud: LambdaCloud, ledger: Ledger, clock: Clock, account: FakeAccount, fault: faults.Fault) -> None:
    """A launch whose answer was lost and whose console gave up at once."""
    plan = plan_launch(cloud, Wish("a100", "a100"))
    account.fail_next("launch", fault)
    account.fail_next("instances", *[faults.NOT_DONE_500] * 500)
    with pytest.raises(CloudError):
        launch(cloud, ledger, plan, Time(clock.now, clock.sleep))
    account.faults.clear()


def test_a_machine_within_its_caps_is_well(cloud: LambdaCloud, ledger: Ledger, clock: Clock, entry: Entry) -> None:
    assert swept(cloud, ledger, clock) == [("ok", "a100")]


def test_a_launch_that_worked_unseen_is_found_and_booked(
    cloud: LambdaCloud, ledger: Ledger, clock: Clock, account: FakeAccount
) -> None:
    in_doubt(cloud, ledger, clock, account, faults.DONE_BUT_500)
    assert swept(cloud, ledger, clock) == [("found", "a100")]
    assert ledger.open()[0].instance_id in account.machines


def test_a_launch_in_doubt_is_a_fault_until_it_is_old(
    cloud: LambdaCloud, ledger: Ledger, clock: Clock, account: FakeAccount
) -> None:
    in_doubt(cloud, ledger, clock, account, faults.NOT_DONE_500)
    assert swept(cloud, ledger, clock) == [("doubt", "a100")]
    clock.at += 1801
    assert swept(cloud, ledger, clock) == [("never", "a100")]
    assert ledger.open() == []


def test_a_launch_that_appears_after_it_was_given_up_is_taken_up_again(
    cloud: LambdaCloud, ledger: Ledger, clock: Clock, account: FakeAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_doubt(cloud, ledger, clock, account, faults.DONE_BUT_500)
    with monkeypatch.context() as hidden:
        hidden.setattr(account, "listed", list)
        clock.at += 3600
        assert swept(cloud, ledger, clock) == [("never", "a100")]
    [finding] = sweep(cloud, ledger, clock.now())
    assert (finding.kind, finding.is_fault) == ("risen", True)
    assert [e.state for e in ledger.open()] == ["rented"]


def test_a_machine_that_ended_and_runs_has_to_end_again_under_a_name_of_its_own(
    cloud: LambdaCloud, ledger: Ledger, clock: Clock, entry: Entry, account: FakeAccount
) -> None:
    ledger.ended(entry.uuid, "the provider said so, and was wrong", clock.now())
    launch(cloud, ledger, plan_launch(cloud, Wish("a100", "a100")), Time(clock.now, clock.sleep))
    sweep(cloud, ledger, clock.now())
    assert {(e.state, e.name) for e in ledger.open()} == {("rented", "a100"), ("ending", f"a100-{entry.uuid[:4]}")}


def test_a_launch_in_doubt_that_was_ended_elsewhere_is_closed(
    cloud: LambdaCloud, ledger: Ledger, clock: Clock, account: FakeAccount
) -> None:
    in_doubt(cloud, ledger, clock, account, faults.DONE_BUT_500)
    account.terminate({"instance_ids": list(account.machines)})
    clock.at += 600
    assert swept(cloud, ledger, clock) == [("found", "a100")]
    assert swept(cloud, ledger, clock) == [("gone", "a100")]
    assert ledger.open() == []


def test_a_machine_that_is_not_visible_yet_is_not_taken_for_gone(
    cloud: LambdaCloud, ledger: Ledger, clock: Clock, account: FakeAccount
) -> None:
    account.appear_s = 200
    plan = plan_launch(cloud, Wish("a100", "a100"))
    launch(cloud, ledger, plan, Time(clock.now, clock.sleep))
    assert swept(cloud, ledger, clock) == [("ok", "a100")]
    clock.at += 250
    assert swept(cloud, ledger, clock) == [("ok", "a100")]
    assert [e.was_active for e in ledger.open()] == [True]


def test_a_machine_over_its_lease_is_a_fault(
    cloud: LambdaCloud, ledger: Ledger, clock: Clock, entry: Entry, account: FakeAccount
) -> None:
    clock.at += 100
    swept(cloud, ledger, clock)
    clock.at = entry.lease_until + 1
    assert swept(cloud, ledger, clock) == [("overdue", "a100")]


def test_a_machine_of_the_website_is_shown_with_its_price(
    cloud: LambdaCloud, clock: Clock, entry: Entry, account: FakeAccount, tmp_path: Path
) -> None:
    account.machines[str(entry.instance_id)].tags = []
    with Ledger(tmp_path / "empty") as empty:
        [finding] = sweep(cloud, empty, clock.now())
    assert (finding.kind, finding.is_fault) == ("foreign", True)
    assert "$1.29/h" in finding.words


def test_a_machine_of_another_laptop_is_an_orphan_with_its_lease(
    cloud: LambdaCloud, clock: Clock, entry: Entry, tmp_path: Path
) -> None:
    with Ledger(tmp_path / "empty") as empty:
        [finding] = sweep(cloud, empty, clock.now())
    assert finding.kind == "orphan"
    assert "its lease ends in 2.0 h" in finding.words


def test_a_lost_ledger_gets_name_lease_and_caps_back_from_the_tags(
    cloud: LambdaCloud, ledger: Ledger, clock: Clock, entry: Entry
) -> None:
    again = adopted_entry(cloud.instances()[0], cloud.account, clock.now(), 4.0)
    kept = ("uuid", "name", "max_usd", "on_cap", "idle_minutes", "grace_s", "price_cents_per_h")
    assert [getattr(again, field) for field in kept] == [getattr(entry, field) for field in kept]
    assert again.lease_until == pytest.approx(entry.lease_until, abs=1)


def test_a_machine_that_ended_on_the_website_is_closed_after_a_look_at_it_alone(
    cloud: LambdaCloud, ledger: Ledger, clock: Clock, entry: Entry, account: FakeAccount
) -> None:
    account.terminate({"instance_ids": [entry.instance_id]})
    clock.at += 60
    assert swept(cloud, ledger, clock) == [("gone", "a100")]
    assert ledger.open() == []


def test_a_list_that_leaves_a_machine_out_does_not_close_it(
    cloud: LambdaCloud,
    ledger: Ledger,
    clock: Clock,
    entry: Entry,
    account: FakeAccount,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(account, "listed", list)
    clock.at += 600
    [finding] = sweep(cloud, ledger, clock.now())
    assert (finding.kind, finding.is_fault) == ("ending", True)
    assert ledger.open() != []


def test_with_another_key_the_machines_of_the_first_are_a_fault_and_stay_open(
    fake: FakeLambda, ledger: Ledger, clock: Clock, entry: Entry, account: FakeAccount, paths: CloudPaths
) -> None:
    account.key, account.machines = "key-of-another-account", {}
    pace = Pace(paths.pace, clock.now, clock.sleep)
    with LambdaCloud(ApiKey(account.key, "test"), pace, fake.url, clock.sleep) as other:
        findings: list[Finding] = sweep(other, ledger, clock.now())
    assert [(f.kind, f.is_fault) for f in findings] == [("elsewhere", True)]
    assert ledger.open() != []


def test_an_account_that_cannot_be_read_is_an_error_and_changes_nothing(
    cloud: LambdaCloud, ledger: Ledger, clock: Clock, entry: Entry, account: FakeAccount
) -> None:
    account.fail_next("instances", *[faults.NOT_DONE_500] * 9)
    with pytest.raises(CloudError):
        sweep(cloud, ledger, clock.now())
    assert [e.state for e in ledger.open()] == ["rented"]
