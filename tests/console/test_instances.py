"""Instances by keys alone, over the project's own fake cloud; the way in is a real OpenSSH server."""

from __future__ import annotations

import getpass
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from console.rental.office import Office, demo_office
from console.rental.shown import machine_line, machine_page
from console.screens.instances import InstancesScreen
from console.settings import LaunchCaps, Settings
from engine.protocol.layout import Root
from remote.cloud.clock import Time
from remote.cloud.cloud_paths import CloudPaths
from remote.cloud.fake_account import DEMO_KEY, FakeAccount
from remote.cloud.fake_lambda import FakeLambda
from remote.cloud.ledger import Entry
from remote.ssh.config import Target
from remote.ssh.pins import alias_of
from tests.console.driver import Driver, driven
from tests.console.tiny import make_project
from tests.remote.sshd import Sshd, make_key, needs_sshd


class Cloud:
    """A fake account and the office that rents from it; waiting costs no time."""

    def __init__(self, fake: FakeLambda, root: Root) -> None:
        self.account = fake.account
        self.missing: list[str] = []
        self.office = Office(
            CloudPaths(root.path / "cloud"),
            lambda entry: self.missing,
            {"FRACTAL_LAMBDA_URL": fake.url, "LAMBDA_API_KEY": DEMO_KEY},
            {"start_guard": lambda: None, "clock": Time(time.time, lambda seconds: time.sleep(0.02))},
        )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_project(tmp_path / "tiny")


@pytest.fixture
def cloud(root: Root) -> Iterator[Cloud]:
    with FakeLambda(FakeAccount(boot_s=0.2, terminating_s=0.1)) as fake:
        yield Cloud(fake, root)


@asynccontextmanager
async def renting(folder: Path, root: Root, cloud: Cloud, **options: Any) -> AsyncIterator[Driver]:
    async with driven(folder, root, office=cloud.office, **options) as driver:
        await driver.keys("4")
        await driver.until(lambda: isinstance(driver.app.screen, InstancesScreen), "the instances")
        await driver.sees("gpu_1x_a10 ")
        yield driver


async def rent(driver: Driver) -> None:
    await driver.keys("l")
    await driver.sees("at most 4 h and $3.00")
    await driver.keys("enter")
    await driver.sees("gpu-1x-a10")
    await driver.until(lambda: "gpu-1x-a10" in screen(driver).machines, "the machine in the list")


def screen(driver: Driver) -> InstancesScreen:
    found = driver.app.screen
    assert isinstance(found, InstancesScreen)
    return found


async def test_types_show_price_and_where_one_is_free(folder: Path, root: Root, cloud: Cloud) -> None:
    async with renting(folder, root, cloud) as driver:
        await driver.sees("$0.75/h  gpu_1x_a10")
        await driver.sees("free in us-west-1")
        await driver.sees("none free now")
        await driver.sees("nothing rented")


async def test_a_machine_is_rented_with_caps_and_its_boot_shown_and_its_money_on_every_screen(
    folder: Path, root: Root, cloud: Cloud
) -> None:
    async with renting(folder, root, cloud) as driver:
        await rent(driver)
        await driver.sees("of at most $3.00")
        await driver.sees("save-then-terminate")
        await driver.sees("boot")
        await driver.sees("asked: gpu_1x_a10 in us-west-1")
        await driver.keys("1")
        await driver.sees("▲ 1 rented, $0.75/h")
        await driver.sees("NO GUARD")


async def test_caps_that_cannot_be_kept_are_told_and_nothing_is_rented(folder: Path, root: Root, cloud: Cloud) -> None:
    async with renting(folder, root, cloud, settings=Settings(launch=LaunchCaps(max_hours=2))) as driver:
        await driver.keys("l")
        await driver.sees("at most 2 h and $1.50")
        await driver.keys(*"x")
        await driver.sees("hours: 'x' is no number")
        await driver.keys("enter", "escape")
        assert cloud.account.machines == {}


async def test_ending_is_refused_while_files_are_not_verified_until_the_name_is_typed(
    folder: Path, root: Root, cloud: Cloud
) -> None:
    async with renting(folder, root, cloud) as driver:
        await rent(driver)
        cloud.missing = ["run-1: not pulled"]
        [machine] = cloud.account.machines.values()
        await driver.keys("x")
        await driver.sees("End gpu-1x-a10?")
        await driver.keys("y")
        await driver.sees("run-1: not pulled")
        await driver.keys(*"wrong", "enter")
        await driver.sees("it keeps running")
        assert machine.end_asked is None
        await driver.keys("x", "y")
        await driver.sees("Type its name")
        await driver.keys(*"gpu-1x-a10", "enter")
        await driver.until(lambda: machine.end_asked is not None, "the order to end it")
        await driver.until(lambda: not screen(driver).machines, "an empty list")
        await driver.sees("nothing rented")


async def test_more_hours_are_given_and_words_are_refused(folder: Path, root: Root, cloud: Cloud) -> None:
    async with renting(folder, root, cloud) as driver:
        await rent(driver)
        await driver.keys("e", *"soon", "enter")
        await driver.sees("is no number of hours")
        await driver.keys("e", "2", "enter")
        await driver.until(lambda: screen(driver).machines["gpu-1x-a10"]["max_usd"] == 4.5, "the higher cap")


async def test_a_machine_nobody_wrote_down_is_seen_and_adopted(folder: Path, root: Root, cloud: Cloud) -> None:
    cloud.account.launch({"region_name": "us-west-1", "instance_type_name": "gpu_1x_a10", "ssh_key_names": ["laptop"],
                          "name": "stray"})  # fmt: skip
    async with renting(folder, root, cloud) as driver:
        await driver.sees("foreign")
        await driver.sees("NONE: nobody here ends it")
        await driver.keys("a")
        await driver.until(
            lambda: any(m["max_usd"] for m in screen(driver).machines.values()), "the machine under guard"
        )


async def test_read_only_rents_and_ends_nothing(folder: Path, root: Root, cloud: Cloud) -> None:
    async with renting(folder, root, cloud, settings=Settings(readonly=True)) as driver:
        await driver.keys("l")
        await driver.sees("read-only: Rent would change something")
        screen(driver).change(["launch", "a10", "--yes"])
        await driver.sees("nothing was changed")
        assert cloud.account.machines == {}


async def test_without_a_key_the_screen_says_what_to_do(folder: Path, root: Root, cloud: Cloud) -> None:
    cloud.office = replace(cloud.office, environ={})
    async with driven(folder, root, office=cloud.office) as driver:
        await driver.keys("4")
        await driver.sees("there is no Lambda API key")


async def test_a_cloud_that_answers_nonsense_is_told_and_the_screen_lives(
    folder: Path, root: Root, cloud: Cloud
) -> None:
    cloud.office = replace(cloud.office, environ={**cloud.office.environ, "LAMBDA_API_KEY": "another-key-entirely"})
    async with driven(folder, root, office=cloud.office) as driver:
        await driver.keys("4")
        await driver.sees("✗ ")
        await driver.keys("1")
        await driver.sees("phase1-tiny")


@needs_sshd
async def test_inside_a_machine_are_its_processes_and_ssh_says_what_to_type(
    folder: Path, root: Root, cloud: Cloud, tmp_path: Path
) -> None:
    key = make_key(tmp_path / "login")
    server = Sshd(tmp_path / "box", [key])
    cloud.office = replace(cloud.office, more={**cloud.office.more, "aim": _aimed(server, key)})
    async with renting(folder, root, cloud) as driver:
        await driver.keys("l", "enter")
        await driver.until(lambda: bool(cloud.account.machines), "the machine")
        _give_host_key(cloud, tmp_path / "box")
        with server:
            await driver.sees("ready")
            await driver.keys("i")
            await driver.sees("Inside gpu-1x-a10")
            await driver.sees("PID USER")
            await driver.keys("s")  # a pilot has no terminal to lend
            await driver.sees("in another one: ssh -F")


def _give_host_key(cloud: Cloud, box: Path) -> None:
    """What the image makes of its user_data."""
    [machine] = cloud.account.machines.values()
    keys = json.loads(str(machine.user_data).partition("\n")[2])["ssh_keys"]
    box.mkdir()
    for name, text in (("host_ed25519", keys["ed25519_private"]), ("host_ed25519.pub", keys["ed25519_public"])):
        (box / name).write_text(text)
        (box / name).chmod(0o600)


def _aimed(server: Sshd, key: Path) -> Callable[[Entry, object], Target]:
    def aim(entry: Entry, instance: object) -> Target:
        return Target(
            entry.name, "127.0.0.1", server.port, getpass.getuser(), (key,), host_key_alias=alias_of(entry.uuid)
        )

    return aim


def test_the_demo_rents_from_a_fake_account_and_is_guarded(tmp_path: Path) -> None:
    with demo_office(Root(tmp_path)) as office:
        assert office.is_demo
        assert office.do(["launch", "a10", "--yes", "--name", "toy"]).code == 0
        until = time.monotonic() + 10
        while "armed" not in (note := office.do(["list"]).note) and time.monotonic() < until:
            time.sleep(0.05)
        assert "armed (resident)" in note
        assert office.do(["list"]).data[0]["history"][0].startswith("asked: gpu_1x_a10")


_TOLD: dict[str, Any] = {
    "name": "a100", "kind": "ok", "because": "", "hint": "", "status": "active", "type": "gpu_1x_a100", "region": "us",
    "address": "192.0.2.1", "id": "i", "usd_per_h": 1.29, "cost_usd": 0.65, "max_usd": 5.16, "hours_left": 3.5,
    "on_cap": "save-then-terminate", "idle_minutes": 30.0, "idle_s": 125.0, "guard_there": "armed", "history": [],
}  # fmt: skip


def test_a_machine_is_told_in_words_with_its_caps_and_its_idle_time() -> None:
    assert "$0.65 of at most $5.16  ends in 3 h 30 min" in machine_line(_TOLD).plain
    page = machine_page(_TOLD, ["ready: it answers"], "armed (resident), looked 3 s ago").plain
    assert "last in use 2 min 05 s ago; ended after 30 min without use" in page
    assert "ready: it answers" in page
    assert "OVER ITS TIME" in machine_line({**_TOLD, "hours_left": -0.1}).plain
    assert machine_line({**_TOLD, "kind": "orphan"}).plain.startswith("orphan")
