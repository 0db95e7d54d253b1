"""`doctor`: what it concludes from what it saw, and that looking is cheap, harmless and tells no secret."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import pytest

from console.health.diagnosis import BROKEN, GOOD, NOTE, Finding, Isolation, Seen, Terminal, diagnose, exit_code
from console.health.machine import colours, index_state, wandb_login
from engine.protocol.layout import Root
from tests.console.conftest import Console

HEALTHY = Seen(
    system="Linux 6.1",
    python=(3, 12, 1),
    packages={"textual": "8.2"},
    engine={"torch": "2.13.0"},
    vllm="0.32",
    gpus=("NVIDIA H100", "NVIDIA H100"),
    gpu_driver="580.1",
    wandb_login="~/.netrc",
    ssh="OpenSSH_9.2",
    ssh_keys=1,
    git="git version 2.39",
    root="/root/.fractal",
    root_free=100 << 30,
    project="/home/ada/repo",
    project_free=100 << 30,
    phases=5,
    index="3 runs",
    isolation=Isolation(4, True, True),
    terminal=Terminal(True, 120, 40, "256 colours", "utf-8", "xterm-256color"),
    data_folder="/data",
    data_there=True,
    watches=65536,
    instances=128,
)


def line(seen: Seen, what: str) -> Finding:
    return next(f for f in diagnose(seen) if f.what == what)


def test_a_healthy_machine_has_nothing_to_mend() -> None:
    findings = diagnose(HEALTHY)
    assert [f for f in findings if f.state != GOOD] == []
    assert [f for f in findings if f.mend] == []
    assert exit_code(findings) == 0


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"python": (3, 10, 12)}, "Python"),
        ({"packages": {"textual": None}}, "console packages"),
        ({"root_problem": "can't be written"}, "runs folder"),
        ({"root_free": 1 << 20}, "runs folder"),
        ({"index_problem": "file is not a database"}, "index"),
        ({"config_problems": ("phase1.yaml: unknown key 'gaol'",)}, "configuration"),
    ],
)
def test_what_is_needed_and_broken_makes_the_exit_code_one(change: dict[str, object], what: str) -> None:
    seen = replace(HEALTHY, **change)  # type: ignore[arg-type]
    assert line(seen, what).state == BROKEN
    assert line(seen, what).mend
    assert exit_code(diagnose(seen)) == 1


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"engine": {"torch": None}}, "engine part"),
        ({"gpus": ()}, "GPU"),
        ({"gpu_driver": None}, "GPU"),
        ({"vllm": None}, "vLLM"),
        ({"wandb_login": None}, "W&B login"),
        ({"ssh": None}, "SSH"),
        ({"ssh_keys": None}, "ssh-agent"),
        ({"ssh_keys": 0}, "ssh-agent"),
        ({"git": None}, "git"),
        ({"project": None}, "project"),
        ({"project_free": 1 << 30}, "project disk"),
        ({"root_free": 2 << 30}, "runs folder"),
        ({"isolation": Isolation(0, True, True)}, "isolation"),
        ({"terminal": Terminal(True, 60, 15, "", "utf-8", "xterm")}, "terminal"),
        ({"terminal": Terminal(True, 120, 40, "", "ascii", "xterm")}, "terminal"),
        ({"data_folder": None}, "data folder"),
        ({"watches": 100}, "inotify"),
    ],
)
def test_what_is_a_choice_says_how_to_get_it_and_breaks_nothing(change: dict[str, object], what: str) -> None:
    seen = replace(HEALTHY, **change)  # type: ignore[arg-type]
    assert line(seen, what).state == NOTE
    assert line(seen, what).mend
    assert exit_code(diagnose(seen)) == 0


@pytest.mark.parametrize(
    ("isolation", "tier"),
    [
        (Isolation(4, True, True), "A"),
        (Isolation(4, True, False), "B"),
        (Isolation(0, True, True), "C"),
        (Isolation(4, False, True), "C"),
    ],
)
def test_the_tier_is_what_a_sandbox_could_use(isolation: Isolation, tier: str) -> None:
    assert isolation.tier == tier


def test_doctor_answers_in_a_table(console: Console, project: Path) -> None:
    answer = console("doctor")
    assert answer.code == 0, answer.out
    assert "2 phases, all load" in answer.out


def test_doctor_answers_programs(console: Console, project: Path) -> None:
    findings = console("doctor", "--json").json
    assert {"what", "state", "found", "mend", "required"} == set(findings[0])


def test_doctor_costs_less_than_half_a_second_of_cpu(console: Console, project: Path) -> None:
    begun = time.process_time()
    console("doctor")
    assert time.process_time() - begun < 0.5


def test_doctor_names_the_problem_of_every_phase_file(console: Console, project: Path) -> None:
    for name in ("phase3-a", "phase3-b"):
        (project / f"configs/phases/{name}.yaml").write_text(f"phase: {name}\ngaol: x\n")
    answer = console("doctor")
    assert answer.code == 1
    assert "phase3-a.yaml: unknown key 'gaol'" in answer.out
    assert "phase3-b.yaml: unknown key 'gaol'" in answer.out


def test_doctor_leaves_no_trace(console: Console, project: Path, root: Root) -> None:
    before = sorted(p.name for p in root.path.iterdir())
    console("doctor")
    assert sorted(p.name for p in root.path.iterdir()) == before


def test_doctor_never_shows_a_key(console: Console, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "s3cret-value")
    answer = console("doctor", "--json")
    assert "a key in $WANDB_API_KEY" in answer.out
    assert "s3cret" not in answer.out + answer.err


def test_a_login_is_found_in_netrc(tmp_path: Path) -> None:
    assert wandb_login(tmp_path, {}) is None
    (tmp_path / ".netrc").write_text("machine api.wandb.ai\n  login user\n  password s3cret\n")
    assert wandb_login(tmp_path, {}) == str(tmp_path / ".netrc")
    assert wandb_login(tmp_path, {"NETRC": "/nowhere"}) is None


def test_no_colour_is_heard() -> None:
    assert colours({"NO_COLOR": "", "COLORTERM": "truecolor"}) == "no colour (NO_COLOR)"
    assert colours({"TERM": "xterm-256color"}) == "256 colours"


def test_an_index_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "console.db"
    assert index_state(path)[1] is None
    path.write_bytes(b"not a database" * 100)
    problem = index_state(path)[1]
    assert problem is not None
    assert str(path) in problem


def test_an_index_is_counted(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "console.db")
    db.execute("CREATE TABLE runs (run_id TEXT)")
    db.execute("INSERT INTO runs VALUES ('a')")
    db.commit()
    db.close()
    assert index_state(tmp_path / "console.db") == (f"1 run, {tmp_path / 'console.db'}", None)


def test_a_folder_that_can_not_be_is_named(
    console: Console, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FRACTAL_ROOT", str(tmp_path / "file" / "root"))
    answer = console("doctor")
    assert answer.code == 1
    assert "broken and needed: runs folder" in answer.out
