"""The guard as a process, its hooks and the timers that start it."""

from __future__ import annotations

import configparser
import json
import os
import plistlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.protocol.durable import read_json
from engine.protocol.identity import Identity, alive
from remote.cloud.caps import caps_for
from remote.cloud.cloud_paths import CloudPaths
from remote.cloud.fake_account import DEMO_KEY, FakeAccount
from remote.cloud.fake_lambda import FakeLambda
from remote.cloud.guard_hooks import SaveCommand
from remote.cloud.guard_schedule import render
from remote.cloud.ledger import Ledger, new_entry
from tests.polling import until

CHECKOUT = Path(__file__).parents[3]
ENTRY = new_entry("a100", "gpu_1x_a10", "us-west-1", 75, "acc", caps_for(75), 1.0)


@pytest.fixture
def account() -> FakeAccount:
    """Real time: the guard is another process."""
    return FakeAccount()


@pytest.fixture
def environ(fake: FakeLambda, tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "FRACTAL_ROOT": str(tmp_path), "FRACTAL_LAMBDA_URL": fake.url, "LAMBDA_API_KEY": DEMO_KEY}


def guard(environ: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "remote.cloud.guard", *words]
    return subprocess.run(argv, cwd=CHECKOUT, env=environ, capture_output=True, text=True)


def foreign(account: FakeAccount) -> None:
    order = {"instance_type_name": "gpu_1x_a10", "region_name": "us-west-1", "ssh_key_names": ["laptop"]}
    account.launch({**order, "name": "left-behind"})


def test_one_look_over_a_quiet_account_is_code_0(environ: dict[str, str]) -> None:
    assert guard(environ, "--once").returncode == 0


def test_one_look_over_a_forgotten_machine_is_code_1_and_names_it(
    environ: dict[str, str], account: FakeAccount
) -> None:
    foreign(account)
    done = guard(environ, "--once", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["notes"][0]["name"] == "left-behind"


def test_one_look_with_a_wrong_key_is_code_2_and_does_not_print_it(environ: dict[str, str]) -> None:
    secret = "secret_wrong_0123456789"
    done = guard({**environ, "LAMBDA_API_KEY": secret}, "--once")
    assert done.returncode == 2
    assert secret not in done.stdout + done.stderr
    assert "invalid, expired" in done.stdout


def test_the_guard_outlives_who_started_it_and_a_second_one_goes_away(environ: dict[str, str], tmp_path: Path) -> None:
    paths = CloudPaths(tmp_path / "cloud")
    assert guard(environ, "--detach", "--stay", "--every", "10").returncode == 0
    until(lambda: (read_json(paths.guard_beat) or {}).get("open") == 0, "the guard's first beat")
    beat = read_json(paths.guard_beat)
    assert beat
    identity = Identity.from_json(beat["identity"])
    assert identity
    try:
        assert alive(identity)
        assert os.getsid(identity.pid) == identity.pid
        assert "another guard watches" in guard(environ, "--once").stdout
    finally:
        os.kill(identity.pid, 15)
    until(lambda: not alive(identity), "the guard to end")


def test_a_closed_ledger_folder_is_a_note_and_not_a_crash(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "cloud").mkdir()
    (tmp_path / "cloud" / "ledger.sqlite").write_text("this is no database, and long enough to look like one" * 40)
    done = guard(environ, "--once")
    assert done.returncode == 2
    assert "DatabaseError" in done.stdout


def saved(tmp_path: Path, command: str) -> SaveCommand:
    save = SaveCommand(tmp_path / "saves", command)
    save.ask(ENTRY)
    until(lambda: save.unverified(ENTRY) is not None, "the save command to end")
    return save


def test_a_save_that_ends_well_means_that_all_is_verified(tmp_path: Path) -> None:
    save = saved(tmp_path, f"echo $FRACTAL_INSTANCE > {tmp_path}/proof")
    assert save.unverified(ENTRY) == []
    assert (tmp_path / "proof").read_text() == "a100\n"


def test_a_save_that_ends_badly_is_told_with_its_log(tmp_path: Path) -> None:
    save = saved(tmp_path, "echo no space; exit 7")
    left = save.unverified(ENTRY)
    assert left
    assert "ended with 7" in left[0]
    assert (tmp_path / "saves" / f"{ENTRY.uuid}.log").read_text() == "no space\n"


def test_a_save_with_an_open_bracket_or_an_exit_still_leaves_its_end(tmp_path: Path) -> None:
    assert saved(tmp_path, "exit 0 # )").unverified(ENTRY) == []


def test_while_it_saves_and_without_a_command_nobody_can_tell(tmp_path: Path) -> None:
    none = SaveCommand(tmp_path / "none", "")
    none.ask(ENTRY)
    assert none.unverified(ENTRY) is None
    (tmp_path / "wait").mkdir()
    os.mkfifo(tmp_path / "wait" / "pipe")
    slow = SaveCommand(tmp_path / "wait", f"cat {tmp_path}/wait/pipe")
    slow.ask(ENTRY)
    assert slow.unverified(ENTRY) is None
    (tmp_path / "wait" / "pipe").write_text("go\n")
    until(lambda: slow.unverified(ENTRY) == [], "the slow save to end")


def test_the_systemd_timer_is_two_units_that_parse() -> None:
    text = render("systemd", "/opt/my python/bin/python", Path("/home/me/100% mine"))
    service, timer = text.split("# ~/.config/systemd/user/fractal-guard.timer")
    units = [configparser.RawConfigParser(strict=False) for _ in range(2)]
    for unit, part in zip(units, (service, timer), strict=True):
        unit.optionxform = str  # type: ignore[assignment,method-assign]
        unit.read_string(part)
    assert units[0]["Service"]["ExecStart"] == '"/opt/my python/bin/python" -m remote.cloud.guard --once --save-here'
    assert units[0]["Service"]["WorkingDirectory"] == "/home/me/100%% mine"
    assert units[1]["Timer"]["OnUnitActiveSec"] == "60"


def test_the_launch_agent_is_a_property_list() -> None:
    agent = plistlib.loads(render("launchd", "/opt/a&b/python", Path("/Users/me")).encode())
    assert agent["ProgramArguments"] == ["/opt/a&b/python", "-m", "remote.cloud.guard", "--once", "--save-here"]
    assert agent["StartInterval"] == 60


def test_the_cron_line_runs_as_it_stands(tmp_path: Path) -> None:
    line = render("cron", "/bin/echo", tmp_path / "a b").splitlines()[1]
    assert line.startswith("* * * * * ")
    command = line.removeprefix("* * * * * ").replace("\\%", "%").replace(">/dev/null 2>&1", "")
    (tmp_path / "a b").mkdir()
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == "-m remote.cloud.guard --once --save-here\n"


def test_saving_here_is_the_console_s_verb_and_a_command_of_ones_own_goes_before() -> None:
    from remote.cloud.guard import _parser, _save_of

    assert _save_of(_parser().parse_args(["--save-here"])).endswith('-m console instances save "$FRACTAL_INSTANCE"')
    assert _save_of(_parser().parse_args(["--save-here", "--save", "true"])) == "true"
    assert _save_of(_parser().parse_args([])) == ""


def test_rendering_installs_nothing(environ: dict[str, str], tmp_path: Path) -> None:
    assert "[Timer]" in guard(environ, "--render", "systemd").stdout
    assert not (tmp_path / "cloud").exists()


def test_the_demo_server_is_an_account_to_play_with(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "remote.cloud.fake_lambda", "--port", "0", "--boot-s", "0"]
    with subprocess.Popen(argv, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout
        words = dict(word.split("=", 1) for word in demo.stdout.readline().split())
        done = guard({**os.environ, **words, "FRACTAL_ROOT": str(tmp_path)}, "--once")
        demo.send_signal(signal.SIGINT)
    assert (done.returncode, demo.returncode) == (0, 0)


def test_two_processes_write_one_ledger(tmp_path: Path) -> None:
    file = tmp_path / "ledger"
    program = (
        "import sys\nfrom pathlib import Path\nfrom remote.cloud.caps import caps_for\n"
        "from remote.cloud.ledger import Ledger, new_entry\n"
        "with Ledger(Path(sys.argv[1])) as ledger:\n"
        "    for n in range(10):\n"
        "        ledger.intend(new_entry(f'{sys.argv[2]}{n}', 't', 'r', 1, 'a', caps_for(1, 1, 1), 1.0))\n"
    )
    argv = [sys.executable, "-c", program, str(file)]
    writers = [subprocess.Popen([*argv, word], cwd=CHECKOUT) for word in ("a", "b")]
    assert [writer.wait() for writer in writers] == [0, 0]
    with Ledger(file) as ledger:
        assert len(ledger.open()) == 20
