"""The guard on the machine: what is put there, and what it does there, run by a bare Python from its own folder."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from remote.cloud.activity import Activity
from remote.cloud.cloud_init import arm_command, arm_orders, end_command, guard_files, user_data
from remote.cloud.fake_account import DEMO_KEY, FakeAccount
from remote.cloud.fake_lambda import FakeLambda
from remote.cloud.instance_guard import Machine, Settings, tick
from remote.ssh.pins import new_host_key

LAUNCHED = 1_000_000.0
LEASE = LAUNCHED + 4 * 3600


@pytest.fixture
def account() -> FakeAccount:
    """Real time: the guard on the machine is another process."""
    account = FakeAccount(boot_s=0)
    tags = [{"key": "fractal-launch", "value": "u1"}]
    order = {"instance_type_name": "gpu_1x_a10", "region_name": "us-west-1", "ssh_key_names": ["laptop"]}
    account.launch({**order, "tags": tags})
    account.launch({**order, "tags": [{"key": "fractal-launch", "value": "another"}]})
    return account


@pytest.fixture
def settings(fake: FakeLambda, tmp_path: Path) -> Settings:
    (tmp_path / "key").write_text(DEMO_KEY + "\n")
    return Settings(
        uuid="u1",
        serial="first",
        lease_s=4 * 3600 - 100,
        age_s=100,
        max_usd=100.0,
        price_cents_per_h=75,
        on_cap="save-then-terminate",
        grace_s=600.0,
        idle_minutes=30.0,
        root=str(tmp_path / "root"),
        state_file=str(tmp_path / "state" / "state.json"),
        key_file=str(tmp_path / "key"),
        api_url=fake.url,
    )


class Life:
    """A machine's minutes."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.at = LAUNCHED + 100
        self.seen = Activity(running=1)
        self.shouts: list[str] = []

    def tick(self) -> str:
        machine = Machine(lambda: self.at, lambda: 60.0, lambda: self.seen, self.shouts.append)
        return tick(self.settings, machine).action

    def until(self, at: float) -> list[str]:
        actions = []
        while self.at < at:
            actions.append(self.tick())
            self.at += 60
        return actions


def ending(account: FakeAccount) -> list[str]:
    return [m.tags[0]["value"] for m in account.machines.values() if m.end_asked is not None]


def test_a_busy_machine_is_left_alone(settings: Settings, account: FakeAccount) -> None:
    life = Life(settings)
    assert set(life.until(LAUNCHED + 3 * 3600)) == {"nothing"}
    assert account.requests == []


def test_an_idle_machine_ends_itself_and_no_other(settings: Settings, account: FakeAccount) -> None:
    life = Life(settings)
    life.seen = Activity()
    actions = life.until(LAUNCHED + 100 + 1800 + 700)
    assert list(dict.fromkeys(actions)) == ["nothing", "save", "terminate"]
    assert ending(account) == ["u1"]


def test_at_the_lease_it_saves_and_ends(settings: Settings, account: FakeAccount, tmp_path: Path) -> None:
    life = Life(replace(settings, on_save=f"echo saved > {tmp_path}/proof"))
    life.until(LEASE - 400)
    assert (tmp_path / "proof").read_text() == "saved\n"
    assert ending(account) == ["u1"]  # saved, so nothing is waited for


def test_a_save_that_fails_is_waited_for_until_the_lease(settings: Settings, account: FakeAccount) -> None:
    life = Life(replace(settings, on_save="false"))
    life.until(LEASE - 10)
    assert ending(account) == []
    life.until(LEASE + 100)
    assert ending(account) == ["u1"]


def test_without_a_key_it_says_that_the_machine_still_bills(settings: Settings, account: FakeAccount) -> None:
    life = Life(replace(settings, key_file="/nonexistent/key", on_cap="terminate"))
    assert life.until(LEASE + 1)[-1] == "nothing"
    assert life.tick() == "terminate"
    assert "IT STILL BILLS" in life.shouts[0]
    assert ending(account) == []


def test_a_provider_that_does_not_answer_is_asked_again(settings: Settings, account: FakeAccount) -> None:
    from remote.cloud import fake_account as faults

    account.fail_next("terminate", faults.NOT_DONE_500)
    life = Life(replace(settings, on_cap="terminate"))
    life.until(LEASE + 61)
    assert "IT STILL BILLS" in life.shouts[0]
    life.tick()
    assert ending(account) == ["u1"]


def test_a_new_lease_takes_an_end_back(settings: Settings, account: FakeAccount) -> None:
    life = Life(replace(settings, key_file="/nonexistent/key", on_cap="terminate"))
    assert life.until(LEASE + 61)[-1] == "terminate"
    life.settings = replace(life.settings, serial="second", lease_s=3600, age_s=4 * 3600)
    assert set(life.until(life.at + 3540)) == {"nothing"}
    assert life.until(life.at + 61)[-1] == "terminate"


def test_a_clock_an_hour_ahead_of_the_laptops_changes_nothing(settings: Settings, account: FakeAccount) -> None:
    life = Life(replace(settings, on_cap="terminate"))
    life.at += 3600
    assert set(life.until(LEASE + 3600)) == {"nothing"}
    assert life.tick() == "terminate"


def test_the_budget_counts_from_the_boot_also_after_a_restart(settings: Settings, account: FakeAccount) -> None:
    life = Life(replace(settings, on_cap="terminate", max_usd=0.75))
    life.until(LAUNCHED + 3000)
    life.settings = replace(life.settings, serial="restarted")
    assert life.until(LAUNCHED + 3600)[-1] == "terminate"


def test_the_key_is_in_no_shout_and_no_state(settings: Settings, account: FakeAccount) -> None:
    account.key = "another"
    life = Life(replace(settings, on_cap="terminate"))
    life.until(LEASE + 61)
    assert life.shouts
    assert DEMO_KEY not in " ".join(life.shouts) + Path(settings.state_file).read_text()


@pytest.fixture
def machine(settings: Settings, tmp_path: Path) -> Path:
    """The files as cloud-init would lay them down, below a folder instead of `/`."""
    for file in guard_files(settings):
        place = tmp_path / "machine" / file["path"].lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(file["content"])
    return tmp_path / "machine"


def bare(machine: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """As the unit runs it: a Python without our packages, in the folder of the guard."""
    argv = [sys.executable, "-S", "-m", "remote.cloud.instance_guard", str(machine / "etc/fractal-guard.json"), *words]
    return subprocess.run(
        argv, cwd=machine / "opt/fractal-guard", capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"}
    )


def test_what_is_put_there_runs_there_alone(machine: Path, settings: Settings, account: FakeAccount) -> None:
    file = machine / "etc/fractal-guard.json"
    over = replace(settings, lease_s=-5, age_s=9000, on_cap="terminate")
    file.write_text(json.dumps(asdict(over)))
    done = bare(machine)
    assert (done.returncode, done.stderr) == (0, "")
    assert "termination asked for" in done.stdout
    assert ending(account) == ["u1"]


def test_a_plan_can_end_the_bill_from_the_machine(machine: Path, account: FakeAccount) -> None:
    assert bare(machine, "--end").returncode == 0
    assert ending(account) == ["u1"]
    account.key = "another"
    failed = bare(machine, "--end")
    assert failed.returncode == 1
    assert "IT STILL BILLS" in failed.stdout
    assert end_command()[-2:] == ["/etc/fractal-guard.json", "--end"]


def test_arming_lays_down_the_guard_and_a_key_that_only_root_reads(settings: Settings, tmp_path: Path) -> None:
    orders = arm_orders(settings, "the-api-key", prefix=str(tmp_path / "box"), commands=[["true"]])
    command = arm_command(become_root="")
    assert "the-api-key" not in command
    for _ in range(2):  # again, as after an extended lease
        subprocess.run(["sh", "-c", command], input=orders, check=True)
    key = tmp_path / "box/run/fractal-guard/api-key"
    assert (key.read_text(), key.stat().st_mode & 0o777) == ("the-api-key", 0o600)
    assert (tmp_path / "box/opt/fractal-guard/remote/cloud/guard_rules.py").exists()


def test_user_data_is_a_cloud_config_with_the_host_key_and_without_the_api_key(settings: Settings) -> None:
    yaml = pytest.importorskip("yaml")
    pair = new_host_key()
    text = user_data(pair, settings)
    config = yaml.safe_load(text)
    assert text.startswith("#cloud-config\n")
    assert config["ssh_keys"] == {"ed25519_private": pair.private, "ed25519_public": pair.public}
    assert config["ssh_deletekeys"] is True
    assert DEMO_KEY not in text
    assert len(text.encode()) < 100_000


def test_without_the_option_no_guard_is_put_there() -> None:
    assert "guard" not in user_data(new_host_key())
