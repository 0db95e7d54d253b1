"""The headless verbs of rented machines, from the command line's words to tables and exit codes."""

from __future__ import annotations

import argparse
import getpass
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from console.errors import UserError
from console.rental.actions import ACTIONS, act
from console.rental.arguments import add_arguments
from console.rental.desk import Desk, open_desk
from console.rental.hosting import host_of
from console.rental.launches import settings_of
from console.rental.saving import left_on
from console.store import Store
from console.verbs.model_tables import Table
from engine.protocol.durable import write_json
from engine.protocol.layout import Root
from engine.protocol.spec import Output
from engine.protocol.status import Status
from remote.cloud import fake_account as faults
from remote.cloud.api_key import ApiKey
from remote.cloud.clock import Time
from remote.cloud.cloud_paths import CloudPaths
from remote.cloud.fake_account import DEMO_KEY, FakeAccount
from remote.cloud.fake_lambda import FakeLambda
from remote.cloud.lambda_cloud import LambdaCloud
from remote.cloud.ledger import Entry, Ledger
from remote.cloud.pace import Pace
from remote.mirrors import begin
from remote.ssh.config import Target
from remote.ssh.pins import Pins, alias_of
from remote.ssh.trust import Person, Presented
from tests.contracts.host import ended
from tests.live import Specs, end_everything
from tests.polling import until
from tests.remote.sshd import Sshd, make_key, needs_sshd, public


@dataclass
class Clock:
    """Time that moves when somebody sleeps."""

    at: float = 1_790_000_000.0

    def now(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds


@dataclass
class Session:
    """A user at a desk."""

    desk: Desk
    account: FakeAccount
    clock: Clock
    said: list[str] = field(default_factory=list)

    def type(self, line: str, **changes: object) -> Table:
        parser = argparse.ArgumentParser()
        add_arguments(parser)
        desk = replace(self.desk, say=self.said.append, **changes)  # type: ignore[arg-type]
        return act(parser.parse_args(line.split()), desk)

    def open_names(self) -> list[str]:
        return [entry.name for entry in self.desk.ledger.open()]


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    clock = Clock()
    account = FakeAccount(now=clock.now, is_rate_limited=True)
    paths = CloudPaths(tmp_path / "cloud")
    paths.make()
    pace = Pace(paths.pace, clock.now, clock.sleep)
    with (
        FakeLambda(account) as fake,
        LambdaCloud(ApiKey(DEMO_KEY, "test"), pace, fake.url, clock.sleep) as cloud,
        Ledger(paths.ledger) as ledger,
    ):
        desk = Desk(
            cloud, ledger, paths, lambda entry: [], Time(clock.now, clock.sleep), user_ssh_config=tmp_path / "ssh" / "config",
            environ={"LAMBDA_API_KEY": DEMO_KEY},
        )  # fmt: skip
        yield Session(desk, account, clock)


def test_types_with_capacity_come_first_with_their_price(session: Session) -> None:
    table = session.type("types")
    assert [row[:2] for row in table.rows] == [
        ["gpu_1x_a10", "0.75"],
        ["gpu_1x_a100_sxm4", "1.29"],
        ["gpu_1x_h100_pcie", "2.49"],
        ["gpu_8x_a100_80gb_sxm4", "14.32"],
    ]
    assert table.rows[-1][-1] == "none"


def test_launch_asks_with_the_price_and_the_most_it_can_cost(session: Session) -> None:
    asked: list[str] = []

    def decline(question: str) -> bool:
        asked.append(question)
        return False

    table = session.type("launch a100 --max-hours 4 --max-usd 8", agree=decline)
    assert asked == [
        "a100: gpu_1x_a100_sxm4 in us-east-1, $1.29/h, at most 4 h and $5.16, then save-then-terminate. Launch?"
    ]
    assert table.code == 1
    assert session.account.machines == {}


def test_launch_rents_pins_a_host_key_and_sees_to_the_guard(session: Session) -> None:
    guards: list[bool] = []
    table = session.type("launch a100 --yes", start_guard=lambda: guards.append(True))
    [machine] = session.account.machines.values()
    entry = session.desk.ledger.open_named("a100")
    assert table.code == 0
    assert entry
    pin = Pins(session.desk.paths.pins).get(entry.uuid)
    assert pin
    assert pin.public in str(machine.user_data)
    assert guards == [True]


def test_a_guard_that_does_not_start_is_told_and_the_machine_stays_known(session: Session) -> None:
    def broken() -> None:
        raise OSError("no more processes")

    assert session.type("launch a100 --yes", start_guard=broken).code == 0
    assert "NO GUARD on this computer (no more processes)" in session.said[-1]
    assert session.open_names() == ["a100"]


def test_the_list_says_which_machines_have_a_guard_of_their_own(session: Session) -> None:
    session.type("launch a100 --yes")
    session.type("launch a10 --yes --guard-on-instance")
    assert [told["guard_there"] for told in session.type("list").data] == ["", "installed"]


def test_launch_without_a_guard_on_the_machine_puts_none_there(session: Session) -> None:
    session.type("launch a100 --yes")
    session.type("launch a10 --yes --guard-on-instance")
    has_guard = ["fractal-guard" in str(m.user_data) for m in session.account.machines.values()]
    assert has_guard == [False, True]
    assert all(DEMO_KEY not in str(m.user_data) for m in session.account.machines.values())


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("launch gpu_1x_b200 --yes", "there is no instance type 'gpu_1x_b200'"),
        ("launch gpu_8x --yes", "no capacity for gpu_8x_a100_80gb_sxm4 now"),
        ("launch a100 --yes --max-hours 0", "--max-hours 0.0 is no limit"),
        ("launch a100 --yes --max-usd nan", "--max-usd nan is no limit"),
        ("launch a100 --yes --name a_b!", "can't name an instance"),
        ("launch a100 --yes --ssh-key office", "no SSH key 'office'"),
        ("launch a100 --yes --file-system none", "there is no file system 'none'"),
        ("wait nobody", r"no open instance is called 'nobody' \(open: none\)"),
        ("terminate nobody", "no open instance is called 'nobody'"),
        ("adopt nobody", "no open instance is called 'nobody'"),
        ("setup-ssh nobody", "no open instance is called 'nobody'"),
    ],
)
def test_what_the_user_can_mend_is_one_line_and_rents_nothing(session: Session, line: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        session.type(line)
    assert session.account.machines == {}
    assert session.open_names() == []


def test_a_full_account_is_one_line_with_what_to_do(session: Session) -> None:
    session.account.quota = 0
    with pytest.raises(UserError, match=r"Quota exceeded.*instances list"):
        session.type("launch a100 --yes")


def test_a_wrong_key_is_one_line_with_where_to_get_one(session: Session) -> None:
    session.account.key = "another"
    with pytest.raises(UserError, match=r"invalid, expired.*api-keys") as caught:
        session.type("list")
    assert DEMO_KEY not in str(caught.value)


def test_no_key_at_all_is_one_line(tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match="there is no Lambda API key"),
        open_desk(CloudPaths(tmp_path / "cloud"), {}, unsaved),
    ):
        pass


def test_a_broken_ledger_is_one_line_that_says_where_to_look_instead(tmp_path: Path) -> None:
    paths = CloudPaths(tmp_path / "cloud")
    paths.make()
    paths.ledger.write_text("no database, but long enough to be taken for one at first sight" * 40)
    with (
        pytest.raises(UserError, match=r"ledger.sqlite can't be used.*instances sweep"),
        open_desk(paths, {"LAMBDA_API_KEY": DEMO_KEY}, unsaved),
    ):
        pass


def test_the_same_name_twice_is_refused_before_anything_is_asked_for(session: Session) -> None:
    session.type("launch a100 --yes")
    with pytest.raises(UserError, match="an instance named 'a100' is open"):
        session.type("launch a100 --yes")
    assert len(session.account.machines) == 1


def test_list_shows_cost_and_time_left(session: Session) -> None:
    session.type("launch a100 --yes")
    session.clock.at += 90
    session.type("list")
    session.clock.at += 3600
    table = session.type("list")
    [row] = table.rows
    assert row[0] == "a100"
    assert row[5:8] == ["1.29", "$1.33", "3.0 h"]  # at most: nobody saw it boot, so the boot counts
    assert "no guard has run here" in table.note


def test_rows_of_a_list_are_json_for_programs(session: Session) -> None:
    session.type("launch a100 --yes")
    [told] = json.loads(json.dumps(session.type("list").data))
    assert (told["name"], told["usd_per_h"], told["on_cap"]) == ("a100", 1.29, "save-then-terminate")


def unsaved(entry: Entry) -> list[str]:
    return ["checkpoints/critic_e2.pt"]


def test_terminate_is_refused_while_a_required_file_is_not_verified_here(session: Session) -> None:
    session.type("launch a100 --yes")
    table = session.type("terminate a100", unverified=unsaved)
    assert table.code == 1
    assert table.rows == [["checkpoints/critic_e2.pt"]]
    assert "--lose-files a100" in table.note
    assert session.account.count("POST", "/terminate") == 0


def test_terminate_is_refused_when_nobody_can_tell_what_is_saved(session: Session) -> None:
    def broken(entry: Entry) -> list[str]:
        raise OSError("no route to host")

    session.type("launch a100 --yes")
    table = session.type("terminate a100", unverified=broken)
    assert table.code == 1
    assert "no route to host" in table.rows[0][0]


@pytest.mark.parametrize(("word", "code"), [("yes", 1), ("a10", 1), ("a100", 0)])
def test_giving_files_up_takes_the_name_once_more(session: Session, word: str, code: int) -> None:
    session.type("launch a100 --yes")
    assert session.type(f"terminate a100 --lose-files {word}", unverified=unsaved).code == code


def test_terminate_returns_when_the_provider_confirms(session: Session) -> None:
    session.type("launch a100 --yes")
    assert session.type("terminate a100").note == "confirmed by the provider"
    assert session.account.burning() == []
    assert session.open_names() == []


def test_an_end_that_is_not_confirmed_is_one_line_that_says_it_bills(session: Session) -> None:
    session.type("launch a100 --yes")
    next(iter(session.account.machines.values())).is_stubborn = True
    with pytest.raises(UserError, match="NOT confirmed"):
        session.type("terminate a100")
    assert session.open_names() == ["a100"]


def test_an_end_once_decided_asks_no_more_about_files(session: Session) -> None:
    session.type("launch a100 --yes")
    machine = next(iter(session.account.machines.values()))
    machine.is_stubborn = True
    with pytest.raises(UserError):
        session.type("terminate a100 --lose-files a100", unverified=unsaved)
    machine.is_stubborn = False
    assert session.type("terminate a100", unverified=unsaved).code == 0


def abandon(session: Session) -> str:
    """A machine that no ledger here knows; its id."""
    order = {"instance_type_name": "gpu_1x_a10", "region_name": "us-west-1", "ssh_key_names": ["laptop"]}
    made = session.account.launch({**order, "name": "left-behind"})
    session.clock.at += 200
    return str(made["instance_ids"][0])


def test_sweep_of_a_quiet_account_is_code_0(session: Session) -> None:
    assert (session.type("sweep").code, session.type("sweep").note) == (0, "nothing burns unseen")


def test_sweep_finds_a_forgotten_machine_and_says_how_to_end_it(session: Session) -> None:
    instance_id = abandon(session)
    table = session.type("sweep")
    assert table.code == 1
    assert f"instances terminate {instance_id}" in table.rows[0][4]
    assert session.type("sweep --ignore-foreign").code == 0


def test_a_forgotten_machine_is_ended_by_its_id(session: Session) -> None:
    session.type(f"terminate {abandon(session)}")
    assert session.account.burning() == []


def test_an_adopted_machine_is_guarded_with_caps(session: Session) -> None:
    instance_id = abandon(session)
    session.type(f"adopt {instance_id} --max-hours 2")
    [entry] = session.desk.ledger.open()
    assert entry.lease_until == pytest.approx(session.clock.at + 7200, abs=10)
    assert session.type("sweep").code == 0


def test_sweep_ends_what_is_over_its_own_lease_and_leaves_the_rest(session: Session) -> None:
    session.type("launch a100 --yes --max-hours 1")
    session.type("launch a10 --yes --max-hours 9")
    keeper = abandon(session)
    session.clock.at += 4000
    table = session.type("sweep --terminate-overdue")
    left = [m.name for m in session.account.burning()]
    assert left == ["a10", "left-behind"]
    assert table.code == 1  # the foreign one
    assert session.account.machines[keeper].end_asked is None


def test_sweep_ends_an_overdue_machine_of_a_lost_ledger(session: Session, tmp_path: Path) -> None:
    session.type("launch a100 --yes --max-hours 1")
    session.clock.at += 4000
    with Ledger(tmp_path / "new") as empty:
        assert session.type("sweep --terminate-overdue", ledger=empty).code == 0
    assert session.account.burning() == []


def test_sweep_that_can_not_read_the_account_is_an_error_and_not_all_is_well(session: Session) -> None:
    session.account.fail_next("instances", *[faults.NOT_DONE_500] * 9)
    with pytest.raises(UserError):
        session.type("sweep")


def test_extend_gives_hours_and_the_dollars_for_them(session: Session) -> None:
    session.type("launch a100 --yes --max-hours 1")
    session.type("extend a100 --hours 2")
    [entry] = session.desk.ledger.open()
    assert entry.lease_until - entry.asked_at == pytest.approx(3 * 3600)
    assert entry.max_usd == pytest.approx(3.87)


def test_extend_by_nothing_says_what_to_type(session: Session) -> None:
    session.type("launch a100 --yes")
    with pytest.raises(UserError, match="--hours 2"):
        session.type("extend a100")


def test_forget_is_refused_for_a_machine_that_runs(session: Session) -> None:
    session.type("launch a100 --yes")
    with pytest.raises(UserError, match="a100 runs"):
        session.type("forget a100 --yes")


def test_forget_closes_what_this_key_can_not_see(session: Session) -> None:
    session.type("launch a100 --yes")
    session.account.machines.clear()
    assert session.type("forget a100").code == 1
    assert session.type("forget a100 --yes").code == 0
    assert session.open_names() == []


def test_setup_ssh_asks_before_it_touches_the_users_file(session: Session) -> None:
    session.type("launch a100 --yes")
    session.clock.at += 100
    table = session.type("setup-ssh a100")
    assert table.code == 1
    assert "not included: put `Include" in table.note
    assert not session.desk.user_ssh_config.exists()
    assert session.type("setup-ssh a100 --yes").code == 0
    assert session.desk.user_ssh_config.read_text().startswith("Include ")


@pytest.mark.skipif(not shutil.which("ssh"), reason="no OpenSSH client here")
def test_after_setup_ssh_the_alias_is_strict_about_the_pinned_key(session: Session) -> None:
    from remote.ssh.config import resolve

    session.type("launch a100 --yes")
    session.clock.at += 100
    session.type("setup-ssh a100 --yes --user me")
    [entry] = session.desk.ledger.open()
    target = resolve("a100", session.desk.user_ssh_config)
    assert (target.user, target.known_as) == ("me", alias_of(entry.uuid))
    assert session.desk.paths.pins in target.known_hosts


def test_setup_ssh_before_there_is_an_address_says_to_wait(session: Session) -> None:
    session.type("launch a100 --yes")
    with pytest.raises(UserError, match="instances wait a100"):
        session.type("setup-ssh a100 --yes")


def test_the_alias_goes_with_the_machine(session: Session) -> None:
    session.type("launch a100 --yes")
    session.clock.at += 100
    session.type("setup-ssh a100 --yes")
    session.type("terminate a100")
    assert "Host a100" not in session.desk.paths.ssh_config.read_text()


def test_every_verb_has_its_arguments_and_its_function() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    [action] = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    assert set(action.choices) == set(ACTIONS)


def test_the_arguments_import_nothing_heavy() -> None:
    program = (
        "import sys, console.rental.arguments\n"
        "print([m for m in ('paramiko', 'httpx', 'pydantic', 'textual') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# Into the machine, which is a real OpenSSH server with the host key of the user_data


Boot = Callable[[], Sshd]


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return make_key(tmp_path / "login")


def machine_of(
    session: Session, folder: Path, key: Path, *, takes_user_data: bool = True, options: Sequence[str] = ()
) -> Sshd:
    """What the image makes of its user_data."""
    folder.mkdir()
    [machine] = session.account.machines.values()
    if takes_user_data:
        keys = json.loads(str(machine.user_data).partition("\n")[2])["ssh_keys"]
        for name, text in (("host_ed25519", keys["ed25519_private"]), ("host_ed25519.pub", keys["ed25519_public"])):
            (folder / name).write_text(text)
            (folder / name).chmod(0o600)
    return Sshd(folder, [key], options=options)


def aimed(server: Sshd, key: Path) -> Callable[[Entry, object], Target]:
    def aim(entry: Entry, instance: object) -> Target:
        return Target(
            entry.name, "127.0.0.1", server.port, getpass.getuser(), (key,), host_key_alias=alias_of(entry.uuid)
        )

    return aim


@needs_sshd
def test_the_first_login_is_verified_without_a_question(session: Session, tmp_path: Path, key: Path) -> None:
    session.type("launch a100 --yes")
    with machine_of(session, tmp_path / "box", key) as server:
        table = session.type("wait a100", aim=aimed(server, key))
    [entry] = session.desk.ledger.open()
    pin = Pins(session.desk.paths.pins).get(entry.uuid)
    assert table.code == 0
    assert pin
    assert pin.origin == "confirmed"
    assert [line.split()[2] for line in session.said[1:]] == ["booting:", "address:", "ready:"]


@needs_sshd
def test_an_image_that_ignores_user_data_is_asked_about_once_it_had_time(
    session: Session, tmp_path: Path, key: Path
) -> None:
    shown: list[Presented] = []

    def agree(presented: Presented) -> bool:
        shown.append(presented)
        return True

    session.type("launch a100 --yes")
    with machine_of(session, tmp_path / "box", key, takes_user_data=False) as server:
        session.type("wait a100", aim=aimed(server, key), person=Person(agree))
        session.type("wait a100", aim=aimed(server, key))
    assert ["did not take the key" in p.note for p in shown] == [True]
    assert session.clock.at > 1_790_000_000 + 90 + 90


@needs_sshd
def test_a_new_host_key_is_taken_by_its_fingerprint_and_nothing_else(
    session: Session, tmp_path: Path, key: Path
) -> None:
    from base64 import b64decode

    from remote.ssh.known_hosts import fingerprint

    session.type("launch a100 --yes")
    session.clock.at += 100
    with machine_of(session, tmp_path / "box", key, takes_user_data=False) as server:
        right = fingerprint(b64decode(server.host_public().split()[1]))
        with pytest.raises(UserError, match="the pin stays as it was"):
            session.type("setup-ssh a100 --yes --new-host-key SHA256:wrong", aim=aimed(server, key))
        session.type(f"setup-ssh a100 --yes --new-host-key {right}", aim=aimed(server, key))
        [entry] = session.desk.ledger.open()
        pin = Pins(session.desk.paths.pins).get(entry.uuid)
        assert pin
        assert pin.public == server.host_public()


def test_arming_needs_a_word_because_the_key_is_full_power(session: Session) -> None:
    session.type("launch a100 --yes")
    session.clock.at += 100
    assert session.type("arm a100").code == 1


def test_the_caps_of_now_are_what_a_guard_on_the_machine_gets(session: Session) -> None:
    session.type("launch a100 --yes --max-hours 1")
    session.type("extend a100 --hours 2")
    [entry] = session.desk.ledger.open()
    settings = settings_of(entry, "https://cloud.example", entry.asked_at + 600)
    assert (settings.lease_s, settings.age_s, settings.uuid) == (3 * 3600 - 600, 600, entry.uuid)


@pytest.mark.parametrize(("off_s", "words"), [(3600, "60 min ahead of"), (-3600, "60 min behind")])
def test_a_launch_with_a_clock_an_hour_off_is_refused(session: Session, off_s: int, words: str) -> None:
    session.account.now = lambda: session.clock.at - off_s
    with pytest.raises(UserError, match=f"{words} the provider's.*timedatectl"):
        session.type("launch a100 --yes")
    assert session.account.machines == {}


@needs_sshd
def test_the_guard_looks_into_the_machine_over_ssh(session: Session, tmp_path: Path, key: Path) -> None:
    from remote.cloud.instance_login import look_inside

    session.type("launch a100 --yes")
    session.clock.at += 100
    with machine_of(session, tmp_path / "box", key) as server:
        [entry] = session.desk.ledger.open()
        instance = session.desk.cloud.instances()[0]
        seen = look_inside(entry, instance, session.desk.paths, aimed(server, key))
    assert seen is not None
    assert seen.load >= 0


def test_the_key_of_this_computer_is_chosen_among_several(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not shutil.which("ssh-keygen"):
        pytest.skip("no ssh-keygen here")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    mine = public(make_key(tmp_path / ".ssh" / "id_ed25519"))
    session.account.ssh_keys.append({"id": "key-2", "name": "here", "public_key": f"{mine} me@here"})
    session.type("launch a100 --yes")
    assert [m.ssh_keys for m in session.account.machines.values()] == [["here"]]


# Saved here before it ends


@needs_sshd
def test_save_brings_what_is_required_here_and_then_the_machine_may_end(
    session: Session, tmp_path: Path, key: Path, request: pytest.FixtureRequest
) -> None:
    session.type("launch a100 --yes")
    session.clock.sleep(300)
    there = tmp_path / "home"
    there.mkdir()
    request.addfinalizer(lambda: end_everything(Root(there / ".fractal")))
    with machine_of(session, tmp_path / "box", key, options=[f"SetEnv HOME={there}"]) as server:
        aim = aimed(server, key)
        host = host_of(
            session.desk.ledger.open()[0],
            session.desk.paths.folder,
            None,
            aim,
            lambda i: session.desk.cloud.instance(i),
        )
        specs = Specs(tmp_path / "work")
        done = specs.sh('echo weights > "$FRACTAL_WORK/model.pt"', outputs=[Output("model.pt")], host="a100")
        going = specs.sh(
            """saved() { echo state > "$FRACTAL_WORK/last.ckpt"; """
            """echo '{"kind":"checkpoint","path":"last.ckpt"}' >> "$FRACTAL_EVENTS"; }; """
            "trap saved USR2; echo ready; while :; do sleep 0.05; done",
            grace_s=0.5,
        )
        host.launch(done)
        ended(host, done.run_id)
        host.launch(going)
        until(lambda: b"ready" in host.read(going.run_id, "log").data, "the program")
        table = session.type("save a100", aim=aim)
        assert (table.code, table.data["unsafe"]) == (0, [])
        assert host.observe(going.run_id).state == "stopped"
        host.close()
    work = Root(session.desk.paths.folder.parent).work(done.project, done.phase, done.variant)
    assert (work / "model.pt").read_text() == "weights\n"
    assert (work / "last.ckpt").read_text() == "state\n"


def test_required_files_that_are_not_here_hold_a_termination_back(tmp_path: Path) -> None:
    root = Root(tmp_path)
    store = Store(tmp_path / "console.db")
    spec = Specs(tmp_path / "work").sh("true", host="a100", outputs=[Output("model.pt")])
    begin(root, spec, Status("running"))
    store.refresh(root)
    assert left_on(store, root, "a100") == [f"{spec.run_id}: it has not ended, as far as is known here"]
    paths = root.run(spec.run_id)
    write_json(paths.artifacts, {"artifacts": [{"path": "model.pt", "required": True, "sha256": "s"}]})
    write_json(paths.result, {"v": 1, "state": "succeeded"})
    store.refresh(root)
    assert left_on(store, root, "a100") == [f"{spec.run_id}: model.pt"]
    write_json(paths.pulled, {"verified": {"model.pt": "s"}})
    assert left_on(store, root, "a100") == []
    assert left_on(store, root, "another") == []
    store.close()
