"""What a user gets wrong ends in one clear line that says what to do, exit code 2, no traceback, nothing lost."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from console import errors
from engine.protocol.layout import Root
from tests.console.conftest import PHASE, Console
from tests.console.test_cli import REPOSITORY, with_step


def broken(project: Path, old: str, new: str) -> None:
    """The first phase with one thing changed."""
    path = project / "configs/phases/phase1-tiny.yaml"
    assert old in PHASE
    path.write_text(PHASE.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("goal:", "gaol:", "unknown key 'gaol'; did you mean 'goal'?"),
        ("    outputs:", "    output:", "unknown key 'steps.0.output'; did you mean 'outputs'?"),
        ("metric loss < 0.5", "metrik loss < 0.5", "did you mean `metric …`?"),
        ("after: make", "after: maek", "stands after 'maek', which is no step; did you mean 'make'?"),
        ("phase: phase1-tiny", "phase: phase1-other", "must be the file's name, phase1-tiny"),
        ("pattern: 'loss (", "pattern: 'loss ((", "is no regular expression"),
        ("steps:", "steps: [", "expected"),
        ("inputs: [made.txt]", "needs: [nowhere]", "needs 'nowhere', which does not stand before it"),
    ],
)
def test_a_phase_file_with_a_mistake_is_named_with_its_key(
    console: Console, project: Path, old: str, new: str, said: str
) -> None:
    broken(project, old, new)
    answer = console("show", "phase1-tiny")
    assert answer.code == 2
    assert "phase1-tiny.yaml" in answer.line
    assert said in answer.line


def test_one_broken_file_hides_no_other_phase(console: Console, project: Path) -> None:
    broken(project, "goal:", "gaol:")
    answer = console("phases")
    assert answer.code == 2
    assert "phase2-judged" in answer.out
    assert "unknown key 'gaol'" in answer.out


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("show", "phase1-tyni"), "there is no phase 'phase1-tyni'; did you mean 'phase1-tiny'?"),
        (("show", "phase"), "there is no phase 'phase'"),
        (("show", "phase1", "--preset", "cpuu"), "has no preset 'cpuu'"),
        (("run", "phase1", "maek"), "has no step 'maek'; did you mean 'make'?"),
        (("run", "phase1", "--host", "locla"), "there is no host 'locla'; did you mean 'local'?"),
        (("run", "phase1", "--from", "nowhere"), "has no step 'nowhere'"),
        (("run", "phase1", "--set", "lr"), "'lr' is no override: write key=value"),
        (("run", "phase1", "--force", "because"), "--force starts one step"),
        (("status", "nowhere"), "there is no run 'nowhere'"),
        (("status", "last"), "there is no run 'last'"),
        (("logs", "nowhere"), "there is no run"),
        (("events", "nowhere"), "there is no run"),
        (("stop", "nowhere"), "there is no run"),
        (("checkpoint", "nowhere"), "there is no run"),
        (("plan", "nowhere"), "there is no plan 'nowhere'"),
        (("plan", "last"), "there is no plan 'last'"),
        (("resume", "nowhere"), "there is no plan"),
        (("tick", "phase2", "absent words"), "no check reads like 'absent words'"),
        (("override", "phase2", "", "--reason", "x"), "fits 2 checks"),
        (("models", "lsit"), "there is no action 'lsit'; did you mean 'list'?"),
        (("models", "show", "nothing"), "nothing"),
    ],
)
def test_a_name_that_is_not_there_gets_one_line(
    console: Console, project: Path, typed: tuple[str, ...], said: str
) -> None:
    answer = console(*typed)
    assert answer.code == 2
    assert said in answer.line


def test_an_unknown_verb_is_answered_with_the_verbs(console: Console) -> None:
    answer = console("pahses")
    assert answer.code == 2
    assert "Traceback" not in answer.err
    assert "phases" in answer.err


def test_a_step_whose_file_is_missing_does_not_start(console: Console, project: Path, root: Root) -> None:
    with_step(project, "phase3-absent", "python3 absent.py")
    for typed in (("run", "phase3-absent"), ("run", "phase3-absent", "go")):
        answer = console(*typed)
        assert answer.code == 2
        assert "absent.py" in answer.line
    assert root.run_ids() == []


def test_a_program_that_does_not_exist_fails_with_its_name(console: Console, project: Path) -> None:
    with_step(project, "phase3-absent", "no-such-program --x")
    answer = console("run", "phase3-absent", "go")
    assert answer.code == 1
    assert "no-such-program" in answer.out


def test_a_folder_without_phases_says_how_to_make_one(
    console: Console, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRACTAL_PROJECT", str(folder))
    answer = console("phases")
    assert answer.code == 2
    assert "configs/phases" in answer.line


def test_a_corrupt_line_of_events_is_named_and_passed_over(console: Console, project: Path, root: Root) -> None:
    with_step(project, "phase3-torn", 'echo \'{"kind":"note","text":"a"}\' >> $FRACTAL_EVENTS; echo ok')
    console("run", "phase3-torn", "go")
    run_id = console("runs", "--json").json[0]["run_id"]
    with open(root.run(run_id).events, "ab") as file:
        file.write(b'{"kind": "no\n{"kind":"note","text":"after"}\n')
    answer = console("events", run_id, "--kind", "note")
    assert answer.code == 0
    assert [json.loads(line)["text"] for line in answer.out.splitlines()] == ["a", "after"]
    assert "is no event; passed over" in answer.line


def test_a_run_of_a_newer_version_is_seen_and_not_misread(console: Console, project: Path, root: Root) -> None:
    console("run", "phase1-tiny", "make")
    newer = root.run("20990101-000000-phase9-new-abcde")
    newer.folder.mkdir(parents=True)
    newer.spec.write_text(json.dumps({"v": 99, "run_id": newer.run_id, "strange": True}))
    listed = console("runs", "--all")
    assert listed.code == 0
    assert newer.run_id in listed.out
    assert "newer fractal-console" in listed.out
    assert console("gates", "phase1-tiny").code in (0, 1)
    answer = console("status", newer.run_id)
    assert answer.code == 2
    assert "newer fractal-console" in answer.line


def test_a_run_whose_spec_is_torn_hides_no_other(console: Console, project: Path, root: Root) -> None:
    console("run", "phase1-tiny", "make")
    torn = root.run("20990101-000000-phase9-torn-abcde")
    torn.folder.mkdir(parents=True)
    torn.spec.write_text('{"v": 1, "run_id": "x"}')
    listed = console("runs", "--all")
    assert listed.code == 0
    assert torn.run_id in listed.out
    assert "phase1-make" in listed.out


def test_an_index_that_is_no_database_gets_one_line_and_stays(console: Console, project: Path, root: Root) -> None:
    index = root.path / "console.db"
    index.write_bytes(b"this is no database, it is a note to myself. " * 50)
    before = index.read_bytes()
    answer = console("phases")
    assert answer.code == 2
    assert str(index) in answer.line
    assert index.read_bytes() == before


def test_a_full_disk_gets_one_line() -> None:
    line = errors.foreseen(OSError(errno.ENOSPC, "No space left on device", "/root/x"))
    assert line is not None
    assert "the disk is full (/root/x)" in line


def test_a_locked_index_gets_one_line() -> None:
    line = errors.foreseen(sqlite3.OperationalError("database is locked"))
    assert line is not None
    assert "locked" in line


def test_a_bug_is_not_dressed_up() -> None:
    assert errors.foreseen(KeyError("x")) is None


def typed(project: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A real process, without a terminal."""
    env = {"PATH": os.environ["PATH"], "FRACTAL_ROOT": os.environ["FRACTAL_ROOT"], "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(
        [sys.executable, "-m", "console", *words],
        env={**env, "HOME": str(project), **environment},
        cwd=project,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_terminal_the_phases_and_what_to_type_are_printed(project: Path) -> None:
    done = typed(project, TERM="xterm")
    assert done.returncode == 0, done.stderr
    assert "phase1-tiny" in done.stdout
    assert "fractal-console run phase1-tiny" in done.stdout


def test_a_plain_c_locale_and_no_colour_break_nothing(project: Path) -> None:
    done = typed(project, "phases", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", NO_COLOR="1")
    assert done.returncode == 0, done.stderr
    assert "phase1-tiny" in done.stdout
    assert "\x1b" not in done.stdout


def test_a_reader_that_leaves_is_no_error(project: Path) -> None:
    command = f"{sys.executable} -m console show phase1-tiny | head -1; test ${{PIPESTATUS[0]}} -eq 0"
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(["bash", "-c", command], cwd=project, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
