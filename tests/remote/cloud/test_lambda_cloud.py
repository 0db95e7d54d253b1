"""The client against the fake server: what each answer becomes."""

from __future__ import annotations

import logging
import socket

import pytest

from remote.cloud import fake_account as faults
from remote.cloud.api_key import ApiKey
from remote.cloud.cloud_errors import (
    Absent,
    Ambiguous,
    AskPerson,
    CloudError,
    RateLimited,
    Refused,
    ServerTrouble,
    TryElsewhere,
    Unreachable,
)
from remote.cloud.cloud_models import LaunchOrder
from remote.cloud.cloud_paths import CloudPaths
from remote.cloud.fake_account import FakeAccount, Fault
from remote.cloud.fake_lambda import FakeLambda
from remote.cloud.lambda_cloud import LambdaCloud
from remote.cloud.pace import Pace
from tests.remote.conftest import Clock

ORDER = LaunchOrder("gpu_1x_a10", "us-west-1", "laptop", "a10", {"fractal-launch": "u1"})
SECRET = "secret_fractal_0123456789abcdef"


def client(url: str, paths: CloudPaths, clock: Clock, key: str = SECRET) -> LambdaCloud:
    return LambdaCloud(ApiKey(key, "test"), Pace(paths.pace, clock.now, clock.sleep), url, clock.sleep)


def test_types_come_cheapest_first_with_price_and_regions(cloud: LambdaCloud) -> None:
    first = cloud.instance_types()[0]
    assert (first.name, first.price_cents_per_h, first.regions) == ("gpu_1x_a10", 75, ("us-west-1",))


def test_a_launched_machine_is_listed_with_its_tag_and_has_no_address_at_first(cloud: LambdaCloud) -> None:
    launched = cloud.launch(ORDER)
    listed = cloud.instances()[0]
    assert [listed.id] == launched
    assert (listed.status, listed.ip, listed.tags) == ("booting", None, {"fractal-launch": "u1"})


def test_the_client_never_meets_the_rate_limit_alone(cloud: LambdaCloud, account: FakeAccount) -> None:
    for _ in range(5):
        cloud.instances()
    cloud.launch(ORDER)
    cloud.launch(ORDER)
    assert len(account.requests) == 7  # no request was made twice, so none was answered with 429


def test_a_look_is_tried_again_after_too_many_requests(cloud: LambdaCloud, account: FakeAccount) -> None:
    account.fail_next("instances", faults.TOO_MANY, faults.TOO_MANY)
    assert cloud.instances() == []


def test_a_look_gives_up_after_some_tries_with_an_error_that_is_not_gone(
    cloud: LambdaCloud, account: FakeAccount
) -> None:
    account.fail_next("instances", *[faults.NOT_DONE_500] * 9)
    with pytest.raises(ServerTrouble):
        cloud.instances()


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (faults.TOO_MANY, RateLimited),
        (faults.NO_CAPACITY, TryElsewhere),
        (Fault(400, "global/quota-exceeded", "Quota exceeded."), AskPerson),
        (Fault(403, "global/account-inactive", "Inactive."), AskPerson),
        (Fault(400, "global/invalid-parameters", "Bad."), Refused),
        (Fault(400, "a/code-of-tomorrow", "New."), Refused),
        (faults.NOT_DONE_500, Ambiguous),
        (faults.DONE_BUT_500, Ambiguous),
        (faults.DONE_BUT_DROPPED, Ambiguous),
        (faults.NOT_DONE_DROPPED, Ambiguous),
        (faults.LOGIN_PAGE, Ambiguous),
        (Fault(500, "global/unknown", "?"), Ambiguous),
    ],
)
def test_a_launch_is_posted_once_whatever_the_answer(
    cloud: LambdaCloud, account: FakeAccount, fault: Fault, kind: type[CloudError]
) -> None:
    account.fail_next("launch", fault)
    with pytest.raises(kind) as caught:
        cloud.launch(ORDER)
    assert account.count("POST", "/launch") == 1
    assert type(caught.value) is kind


def test_every_error_with_a_code_says_what_to_do_next(cloud: LambdaCloud, account: FakeAccount) -> None:
    account.fail_next("launch", Fault(400, "global/quota-exceeded", "Quota exceeded."))
    with pytest.raises(AskPerson, match=r"launch of gpu_1x_a10 in us-west-1: Quota exceeded.*instances list"):
        cloud.launch(ORDER)


def test_a_login_page_is_not_an_empty_list(cloud: LambdaCloud, account: FakeAccount) -> None:
    account.fail_next("instances", *[faults.LOGIN_PAGE] * 9)
    with pytest.raises(ServerTrouble, match="proxy or a login page"):
        cloud.instances()


def test_a_list_that_is_no_list_is_not_an_empty_list(
    cloud: LambdaCloud, account: FakeAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account, "listed", lambda: {"instances": []})
    with pytest.raises(ServerTrouble, match="not what the API promises"):
        cloud.instances()


def test_only_the_code_for_a_missing_object_is_absent(cloud: LambdaCloud, account: FakeAccount) -> None:
    with pytest.raises(Absent):
        cloud.instance("abc123")
    account.fail_next("instance", Fault(404, "global/not-found", "No such path."))
    with pytest.raises(Refused):
        cloud.instance("abc123")


@pytest.mark.parametrize("instance_id", ["", "../instances", "a/b", "a?b"])
def test_an_id_that_would_change_the_path_is_refused(cloud: LambdaCloud, instance_id: str) -> None:
    with pytest.raises(Refused):
        cloud.instance(instance_id)


def test_a_wrong_key_asks_for_a_person_and_never_shows_the_key(
    fake: FakeLambda, paths: CloudPaths, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with client(fake.url, paths, clock) as cloud, pytest.raises(AskPerson, match="invalid, expired") as caught:
        cloud.instances()
    assert SECRET not in f"{caught.value!r} {caught.value} {caplog.text}"
    assert SECRET not in repr(vars(cloud))


def test_an_unreachable_provider_says_that_nothing_was_sent(paths: CloudPaths, clock: Clock) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with (
        client(f"http://127.0.0.1:{port}", paths, clock) as cloud,
        pytest.raises(Unreachable, match="nothing was sent"),
    ):
        cloud.launch(ORDER)


def test_the_key_is_not_sent_unencrypted_to_another_machine(paths: CloudPaths, clock: Clock) -> None:
    with pytest.raises(Refused, match="unencrypted"):
        client("http://cloud.example", paths, clock)


def test_a_restart_is_not_repeated(cloud: LambdaCloud, account: FakeAccount) -> None:
    instance_id = cloud.launch(ORDER)[0]
    account.fail_next("restart", faults.DONE_BUT_500)
    with pytest.raises(ServerTrouble):
        cloud.restart(instance_id)
    assert account.count("POST", "/restart") == 1
