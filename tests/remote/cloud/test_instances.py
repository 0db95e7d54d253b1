"""Every transition that costs money, with faults injected and a clock that only moves when told."""

from __future__ import annotations

import pytest

from remote.cloud import fake_account as faults
from remote.cloud.api_key import ApiKey
from remote.cloud.clock import Time
from remote.cloud.cloud_errors import Ambiguous, AskPerson, CloudError, Refused, TryElsewhere, Unreachable
from remote.cloud.cloud_models import Instance, SshKey
from remote.cloud.cloud_paths import CloudPaths
from remote.cloud.fake_account import FakeAccount, Fault
from remote.cloud.fake_lambda import FakeLambda
from remote.cloud.instances import NotConfirmed, NotUsable, Stage, terminate, wait
from remote.cloud.lambda_cloud import LambdaCloud
from remote.cloud.ledger import Entry, Ledger, NameTaken
from remote.cloud.pace import Pace
from remote.cloud.renting import LaunchPlan, Wish, choose_ssh_key, launch, plan_launch
from tests.remote.conftest import Clock


@pytest.fixture
def time(clock: Clock) -> Time:
    return Time(clock.now, clock.sleep)


@pytest.fixture
def plan(cloud: LambdaCloud) -> LaunchPlan:
    return plan_launch(cloud, Wish("a100", "a100"))


@pytest.fixture
def running(cloud: LambdaCloud, ledger: Ledger, plan: LaunchPlan, time: Time) -> Entry:
    entry = launch(cloud, ledger, plan, time)
    ready(cloud, ledger, entry, time)
    return reread(ledger, entry)


def ready(cloud: LambdaCloud, ledger: Ledger, entry: Entry, time: Time) -> list[Stage]:
    return list(wait(cloud, ledger, entry, lambda instance: None, time))


def reread(ledger: Ledger, entry: Entry) -> Entry:
    found = ledger.get(entry.uuid)
    assert found is not None
    return found


# Planning


def test_a_word_means_the_smallest_machine_with_capacity(plan: LaunchPlan) -> None:
    assert plan.type.name == "gpu_1x_a100_sxm4"
    assert plan.words() == (
        "a100: gpu_1x_a100_sxm4 in us-east-1, $1.29/h, at most 4 h and $5.16, then save-then-terminate"
    )


def test_an_unknown_type_names_the_nearest(cloud: LambdaCloud) -> None:
    with pytest.raises(Refused, match="nearest: gpu_1x_h100_pcie"):
        plan_launch(cloud, Wish("gpu_1x_h200_pcie", "x"))


def test_no_capacity_says_where_there_is_some_and_asks_for_nothing(cloud: LambdaCloud, account: FakeAccount) -> None:
    with pytest.raises(TryElsewhere, match=r"with capacity now: gpu_1x_a10 \(us-west-1\)"):
        plan_launch(cloud, Wish("gpu_8x", "x"))
    assert account.count("POST", "/launch") == 0


def test_a_file_system_in_another_region_is_seen_before_the_launch(cloud: LambdaCloud, account: FakeAccount) -> None:
    account.file_systems = [{"id": "f1", "name": "weights", "region": {"name": "us-west-1"}}]
    with pytest.raises(TryElsewhere, match="weights lies in us-west-1"):
        plan_launch(cloud, Wish("a100", "x", file_systems=("weights",)))


def test_the_ssh_key_whose_other_half_is_here_is_chosen() -> None:
    keys = [SshKey("1", "office", "ssh-ed25519 AAAB a@b"), SshKey("2", "laptop", "ssh-ed25519 AAAC")]
    assert choose_ssh_key(keys, None, ["ssh-ed25519 AAAC me@here"]) == "laptop"


def test_several_ssh_keys_are_a_question() -> None:
    keys = [SshKey("1", "office", "ssh-ed25519 AAAB"), SshKey("2", "laptop", "ssh-ed25519 AAAC")]
    with pytest.raises(Refused, match="--ssh-key: office, laptop"):
        choose_ssh_key(keys, None, [])


def test_no_ssh_key_in_the_account_is_seen_before_a_machine_that_nobody_can_enter() -> None:
    with pytest.raises(AskPerson, match="ssh-keys"):
        choose_ssh_key([], None, ["ssh-ed25519 AAAC"])


# Launching


def test_the_ledger_knows_before_the_provider(
    cloud: LambdaCloud, ledger: Ledger, plan: LaunchPlan, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def die(order: object) -> list[str]:
        seen.extend(entry.state for entry in ledger.open())
        raise KeyboardInterrupt

    monkeypatch.setattr(cloud, "launch", die)
    with pytest.raises(KeyboardInterrupt):
        launch(cloud, ledger, plan, time)
    assert seen == ["asked"]
    assert [entry.state for entry in ledger.open()] == ["asked"]


def test_a_launch_carries_its_tag_lease_and_caps(
    cloud: LambdaCloud, ledger: Ledger, plan: LaunchPlan, time: Time, account: FakeAccount
) -> None:
    entry = launch(cloud, ledger, plan, time)
    [machine] = account.machines.values()
    tags = {tag["key"]: tag["value"] for tag in machine.tags}
    assert entry.state == "rented"
    assert entry.instance_id == machine.id
    assert tags == entry.tags()


@pytest.mark.parametrize("fault", [faults.DONE_BUT_500, faults.DONE_BUT_DROPPED])
def test_a_launch_that_worked_behind_an_error_is_found_by_its_tag(
    fault: Fault, cloud: LambdaCloud, ledger: Ledger, plan: LaunchPlan, time: Time, account: FakeAccount
) -> None:
    account.fail_next("launch", fault)
    entry = launch(cloud, ledger, plan, time)
    assert entry.instance_id in account.machines
    assert len(account.machines) == 1


def test_the_search_goes_on_while_the_list_is_broken(
    cloud: LambdaCloud, ledger: Ledger, plan: LaunchPlan, time: Time, account: FakeAccount
) -> None:
    account.fail_next("launch", faults.DONE_BUT_500)
    account.fail_next("instances", *[faults.NOT_DONE_500] * 7)
    assert launch(cloud, ledger, plan, time).state == "rented"


@pytest.mark.parametrize("fault", [faults.NOT_DONE_500, faults.NOT_DONE_DROPPED, faults.LOGIN_PAGE])
def test_a_launch_in_doubt_is_not_repeated_and_stays_open(
    fault: Fault, cloud: LambdaCloud, ledger: Ledger, plan: LaunchPlan, time: Time, account: FakeAccount
) -> None:
    account.fail_next("launch", fault)
    with pytest.raises(Ambiguous, match="do not launch again blindly"):
        launch(cloud, ledger, plan, time)
    assert account.count("POST", "/launch") == 1
    assert [entry.state for entry in ledger.open()] == ["asked"]


def test_a_name_in_doubt_cannot_be_launched_again_by_habit(
    cloud: LambdaCloud, ledger: Ledger, plan: LaunchPlan, time: Time, account: FakeAccount
) -> None:
    account.fail_next("launch", faults.NOT_DONE_500)
    with pytest.raises(Ambiguous):
        launch(cloud, ledger, plan, time)
    with pytest.raises(NameTaken):
        launch(cloud, ledger, plan, time)
    assert account.count("POST", "/launch") == 1


def test_a_refused_launch_is_closed_and_costs_nothing(
    cloud: LambdaCloud, ledger: Ledger, plan: LaunchPlan, time: Time, account: FakeAccount, clock: Clock
) -> None:
    account.quota = 0
    with pytest.raises(AskPerson, match="Quota"):
        launch(cloud, ledger, plan, time)
    assert ledger.open() == []
    assert ledger.all()[0].cost_usd(clock.at + 9e6) == 0


def test_capacity_that_went_meanwhile_sends_the_launch_to_the_next_region_and_says_so(
    cloud: LambdaCloud, ledger: Ledger, plan: LaunchPlan, time: Time, account: FakeAccount
) -> None:
    account.fail_next("launch", faults.NO_CAPACITY)
    said: list[str] = []
    entry = launch(cloud, ledger, plan, time, say=said.append)
    assert entry.region == "us-west-2"
    assert [e.state for e in ledger.all()] == ["failed", "rented"]
    assert "trying the next region" in said[0]


def test_a_network_that_is_gone_during_the_launch_leaves_nothing_open(
    ledger: Ledger, plan: LaunchPlan, time: Time, clock: Clock, paths: CloudPaths
) -> None:
    with FakeLambda() as closed:
        url = closed.url
    pace = Pace(paths.pace, clock.now, clock.sleep)
    with LambdaCloud(ApiKey("demo-key", "test"), pace, url, clock.sleep) as cut, pytest.raises(Unreachable):
        launch(cut, ledger, plan, time)
    assert [entry.state for entry in ledger.all()] == ["failed"]


# Waiting


def test_waiting_shows_its_stages_in_order(
    cloud: LambdaCloud, ledger: Ledger, plan: LaunchPlan, time: Time, clock: Clock
) -> None:
    entry = launch(cloud, ledger, plan, time)
    answers = iter(["connection refused", "connection refused", None])
    stages = [stage.name for stage in wait(cloud, ledger, entry, lambda instance: next(answers), time)]
    assert list(dict.fromkeys(stages)) == ["booting", "address", "active", "ready"]


def test_a_failed_look_is_unknown_and_the_waiting_goes_on(
    cloud: LambdaCloud, ledger: Ledger, plan: LaunchPlan, time: Time, account: FakeAccount
) -> None:
    entry = launch(cloud, ledger, plan, time)
    account.fail_next("instance", *[faults.NOT_DONE_500] * 5)
    stages = [stage.name for stage in ready(cloud, ledger, entry, time)]
    assert stages[0] == "unknown"
    assert stages[-1] == "ready"


@pytest.mark.parametrize(
    ("fate", "words"), [("unhealthy", "unhealthy, and it bills"), ("preempted", "it is preempted")]
)
def test_a_machine_that_will_not_come_says_so(
    fate: str, words: str, cloud: LambdaCloud, ledger: Ledger, plan: LaunchPlan, time: Time, account: FakeAccount
) -> None:
    account.next_fate = fate
    entry = launch(cloud, ledger, plan, time)
    with pytest.raises(NotUsable, match=words):
        ready(cloud, ledger, entry, time)
    assert [e.name for e in ledger.open()] == ["a100"]


def test_a_boot_that_never_ends_is_given_up_with_a_warning_that_it_may_bill(
    cloud: LambdaCloud, ledger: Ledger, plan: LaunchPlan, time: Time, account: FakeAccount
) -> None:
    account.boot_s = 1e9
    entry = launch(cloud, ledger, plan, time)
    with pytest.raises(NotUsable, match=r"not ready after 20 min.*may bill.*instances terminate a100"):
        ready(cloud, ledger, entry, time)


def test_the_cost_shown_is_never_below_the_bill(
    cloud: LambdaCloud, ledger: Ledger, running: Entry, account: FakeAccount, clock: Clock
) -> None:
    assert running.instance_id
    for minutes in (1, 7, 59, 240):
        clock.at += minutes * 60 + 13
        billed = account.billed_usd(running.instance_id)
        assert billed <= running.cost_usd(clock.at) <= billed + 2 * 1.29 / 60


# Ending


def test_an_end_counts_when_the_provider_says_terminated(
    cloud: LambdaCloud, ledger: Ledger, running: Entry, time: Time, account: FakeAccount
) -> None:
    entry = terminate(cloud, ledger, running, "asked", time)
    assert entry.state == "ended"
    assert account.burning() == []


def test_an_order_that_was_accepted_and_not_carried_out_is_not_an_end(
    cloud: LambdaCloud, ledger: Ledger, running: Entry, time: Time, account: FakeAccount
) -> None:
    account.machines[str(running.instance_id)].is_stubborn = True
    with pytest.raises(NotConfirmed, match="assume that it bills"):
        terminate(cloud, ledger, running, "asked", time)
    assert reread(ledger, running).state == "ending"
    assert account.count("POST", "/terminate") > 10


def test_a_slow_end_is_waited_for(
    cloud: LambdaCloud, ledger: Ledger, running: Entry, time: Time, account: FakeAccount
) -> None:
    account.machines[str(running.instance_id)].terminating_s = 400
    assert terminate(cloud, ledger, running, "asked", time).state == "ended"
    assert account.count("POST", "/terminate") == 1


@pytest.mark.parametrize(
    "fault",
    [faults.NOT_DONE_500, faults.DONE_BUT_500, faults.DONE_BUT_DROPPED, faults.NOT_DONE_DROPPED, faults.LOGIN_PAGE],
)
def test_an_end_is_reached_through_any_unclear_answer(
    fault: Fault, cloud: LambdaCloud, ledger: Ledger, running: Entry, time: Time, account: FakeAccount
) -> None:
    account.fail_next("terminate", *[fault] * 6)
    assert terminate(cloud, ledger, running, "asked", time).state == "ended"
    assert account.burning() == []


@pytest.mark.parametrize(
    "fault", [faults.NOT_DONE_500, faults.TOO_MANY, faults.LOGIN_PAGE, Fault(502, "", ""), faults.NOT_DONE_DROPPED]
)
def test_an_error_is_never_read_as_gone(
    fault: Fault, cloud: LambdaCloud, ledger: Ledger, running: Entry, time: Time, account: FakeAccount
) -> None:
    account.fail_next("instance", *[fault] * 10_000)
    account.machines[str(running.instance_id)].is_stubborn = True
    with pytest.raises(NotConfirmed):
        terminate(cloud, ledger, running, "asked", time)


def test_a_machine_that_the_provider_has_forgotten_is_gone(
    cloud: LambdaCloud, ledger: Ledger, running: Entry, time: Time, account: FakeAccount
) -> None:
    account.forget_s = 0
    assert terminate(cloud, ledger, running, "asked", time).state == "ended"


def test_a_machine_ended_before_it_was_visible_is_ended_all_the_same(
    cloud: LambdaCloud, ledger: Ledger, plan: LaunchPlan, time: Time, account: FakeAccount
) -> None:
    account.appear_s = 100
    entry = launch(cloud, ledger, plan, time)
    assert terminate(cloud, ledger, entry, "asked", time).state == "ended"
    assert account.burning() == []


def test_waiting_for_a_machine_that_is_not_visible_yet_goes_on(
    cloud: LambdaCloud, ledger: Ledger, plan: LaunchPlan, time: Time, account: FakeAccount
) -> None:
    account.appear_s = 100
    assert ready(cloud, ledger, launch(cloud, ledger, plan, time), time)[-1].name == "ready"


def test_a_preempted_machine_is_terminated_all_the_same(
    cloud: LambdaCloud, ledger: Ledger, running: Entry, time: Time, account: FakeAccount
) -> None:
    account.machines[str(running.instance_id)].fate = "preempted"
    terminate(cloud, ledger, running, "asked", time)
    assert account.count("POST", "/terminate") == 1


def test_a_key_that_was_revoked_stops_with_a_word_and_the_end_stays_decided(
    cloud: LambdaCloud, ledger: Ledger, running: Entry, time: Time, account: FakeAccount
) -> None:
    account.key = "another-key-now"
    with pytest.raises(AskPerson, match="invalid"):
        terminate(cloud, ledger, running, "asked", time)
    assert reread(ledger, running).state == "ending"


def test_absent_under_another_key_is_no_proof(
    fake: FakeLambda, ledger: Ledger, running: Entry, time: Time, account: FakeAccount, clock: Clock, paths: CloudPaths
) -> None:
    account.key = "key-of-another-account"
    account.machines.clear()
    pace = Pace(paths.pace, clock.now, clock.sleep)
    with (
        LambdaCloud(ApiKey(account.key, "test"), pace, fake.url, clock.sleep) as other,
        pytest.raises(AskPerson, match="another API key"),
    ):
        terminate(other, ledger, running, "asked", time)
    assert reread(ledger, running).is_open


def test_a_launch_in_doubt_cannot_be_terminated_before_it_is_found(
    cloud: LambdaCloud, ledger: Ledger, plan: LaunchPlan, time: Time, account: FakeAccount
) -> None:
    account.fail_next("launch", faults.NOT_DONE_500)
    with pytest.raises(CloudError):
        launch(cloud, ledger, plan, time)
    with pytest.raises(Refused, match="sweep"):
        terminate(cloud, ledger, ledger.open()[0], "asked", time)


def test_the_login_is_tried_at_the_address_of_the_machine(
    cloud: LambdaCloud, ledger: Ledger, plan: LaunchPlan, time: Time, account: FakeAccount
) -> None:
    asked: list[str | None] = []

    def try_login(instance: Instance) -> str | None:
        asked.append(instance.ip)
        return None

    list(wait(cloud, ledger, launch(cloud, ledger, plan, time), try_login, time))
    assert asked == [next(iter(account.machines.values())).ip]
