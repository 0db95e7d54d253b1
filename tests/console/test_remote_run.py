"""Steps and whole phases on another machine, as a user does it: named, run there, logs, files and gates here."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.protocol.durable import read_json
from engine.protocol.identity import Identity
from engine.protocol.layout import Root
from tests.console.far_user import User, user_with_box
from tests.console.tiny import make_project
from tests.live import end_everything, kill_and_wait
from tests.polling import until
from tests.remote.sshd import needs_sshd

pytestmark = needs_sshd


@pytest.fixture
def user(tmp_path: Path, root: Root) -> Iterator[User]:
    with user_with_box(tmp_path, make_project(tmp_path / "tiny"), root.path) as user:
        yield user
        end_everything(Root(user.far))


def test_a_step_runs_on_another_machine_and_its_gate_is_judged_here(user: User, root: Root) -> None:
    assert "succeeded" in user.types("run", "phase1-tiny", "make", "--host", "box")
    assert "step 3 loss 0.6" in user.types("logs", "last")
    user.types("pull", "last")
    assert (root.work("tiny", "phase1-tiny", "cpu") / "rows.jsonl").read_text().count("\n") == 2
    assert '"state": "passed"' in user.types("phases", "--json")
    user.types("run", "phase1-tiny", "judge", "--host", "box")


def test_verbs_that_look_into_a_host(user: User) -> None:
    assert "PID" in json.loads(user.types("hosts", "ps", "box", "--json"))["processes"]
    argv = json.loads(user.types("hosts", "ssh", "box", "--json"))["argv"]
    assert argv == ["ssh", "root@127.0.0.1", "-p", str(user.server.port)]
    assert user.types("queue", "--host", "box").startswith("nothing runs or waits")


def test_a_dry_run_says_what_a_host_lacks_until_it_has_it(user: User) -> None:
    dry = ("run", "phase1-tiny", "make", "--host", "box", "--dry-run")
    first = json.loads(user.types(*dry, "--json"))
    assert "make.sh" in [path for path, _ in first["source"]["to_send"]]
    assert first["queue"]["number"] == 0
    assert first["work"].startswith(str(user.far))
    user.types("run", "phase1-tiny", "make", "--host", "box")
    assert "there already" in user.types(*dry)


def tick(user: User) -> None:
    user.types("tick", "phase1-tiny", "it looks right", "--preset", "cpu")


def test_a_whole_phase_runs_on_another_machine_through_its_gates(user: User, root: Root) -> None:
    tick(user)
    said = user.types("run", "phase1-tiny", "--preset", "cpu", "--host", "box")
    assert "on box" in said
    assert "passed: every step succeeded and every gate is passed" in said
    assert '"state": "passed"' in user.types("gates", "phase1-tiny", "--json")
    user.types("pull", "plan-phase1")
    assert (root.work("tiny", "phase1-tiny", "cpu") / "rows.jsonl").exists()


def test_a_detached_plan_goes_on_without_a_console_and_is_found_again(user: User, root: Root) -> None:
    tick(user)
    plan = json.loads(user.types("run", "phase1-tiny", "--preset", "cpu", "--host", "box", "--detach", "--json"))
    there = Root(user.far)
    until(lambda: there.run(plan["runs"]["judge"]).result.exists(), "the end of the plan with no console there")
    assert "judging" in user.types("logs", plan["runs"]["judge"], "-f")
    assert "passed" in user.types("plan", plan["plan"])
    assert '"state": "passed"' in user.types("phases", "--json")
    assert user.types("runs").count(" box ") == 2


def test_what_succeeded_there_counts_and_what_succeeded_here_does_not(user: User) -> None:
    user.types("run", "phase1-tiny", "make", "--preset", "cpu")
    refused = user.types("run", "phase1-tiny", "--from", "judge", "--preset", "cpu", "--host", "box", code=2)
    assert "can't start on box: step make has not succeeded yet" in refused
    user.types("run", "phase1-tiny", "make", "--preset", "cpu", "--host", "box")
    tick(user)
    assert "passed" in user.types("run", "phase1-tiny", "--from", "judge", "--preset", "cpu", "--host", "box")


def slow_plan(user: User) -> dict[str, Any]:
    """A plan there whose second step sleeps for a minute; it sleeps already."""
    tick(user)
    work = user.far / "work/tiny/phase1-tiny/cpu"
    work.mkdir(parents=True)
    (work / "slow").touch()
    words = ("run", "phase1-tiny", "--preset", "cpu", "--host", "box", "--detach", "--json")
    plan: dict[str, Any] = json.loads(user.types(*words))
    until(lambda: Root(user.far).run(plan["runs"]["judge"]).started.exists(), "the slow step")
    return plan


def test_a_plan_there_is_stopped_from_here(user: User) -> None:
    plan = slow_plan(user)
    user.types("stop", plan["plan"], "--why", "enough")
    user.types("stop", plan["runs"]["judge"], "--now")
    until(lambda: "stopped" in user.types("plan", plan["plan"]), "the plan's end")


def test_a_plan_whose_executor_was_killed_there_is_resumed_from_here(user: User) -> None:
    plan = slow_plan(user)
    executor = Identity.from_json((read_json(Root(user.far).plan(plan["plan"]).status) or {})["executor"])
    assert executor is not None
    kill_and_wait(executor)
    assert "interrupted" in user.types("plan", plan["plan"])
    assert "executing" in user.types("resume", plan["plan"], "--detach")
    assert "running" in user.types("plan", plan["plan"])


@pytest.mark.skipif(not shutil.which("uv"), reason="no uv here: pip install uv")
def test_a_phase_that_needs_a_part_gets_its_environment_there(tmp_path: Path, root: Root) -> None:
    """The project's own extra, here one wheel in a folder, made by the real uv; the run finds its python first."""
    project = make_project(tmp_path / "tiny")
    wheel = make_wheel(tmp_path)
    (project / "pyproject.toml").write_text(
        '[project]\nname = "tiny"\nversion = "1"\nrequires-python = ">=3.11"\n'
        f'[project.optional-dependencies]\nengine = ["little @ file://{wheel}"]\n'
    )
    phase = "phase: phase2-env\ntitle: Env\ngoal: x\nenvironment: engine\npresets: {cpu: {}}\nsteps:\n"
    phase += "  - step: look\n    run: python -c 'import little; print(little.WORD)'\n"
    (project / "configs/phases/phase2-env.yaml").write_text(phase)
    with user_with_box(tmp_path, project, root.path) as user:
        process = user.start("run", "phase2-env", "look", "--host", "box")
        said, progress = process.communicate(timeout=90)
        assert process.returncode == 0, said + progress
        assert "installing the packages of the project" in progress
        assert "found it" in user.types("logs", "last")
        assert "making the environment" not in user.types("run", "phase2-env", "look", "--host", "box")


def make_wheel(folder: Path) -> Path:
    """A package of one line."""
    path = folder / "little-1-py3-none-any.whl"
    about = "little-1.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("little.py", "WORD = 'found it'\n")
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: little\nVersion: 1\n")
        wheel.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{about}/RECORD", "")
    return path
