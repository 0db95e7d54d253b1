from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from remote.cloud.activity import Activity, from_json, look, why_busy

NOW = 1_790_000_000.0


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    folder = tmp_path / "proc"
    folder.mkdir()
    (folder / "loadavg").write_text("0.00 0.01 0.05 1/300 4242\n")
    return folder


def process(proc: Path, pid: int, parent: int, words: str) -> None:
    folder = proc / str(pid)
    folder.mkdir()
    (folder / "cmdline").write_text(words.replace(" ", "\0"))
    (folder / "stat").write_text(f"{pid} (sshd) x) S {parent} 1 1 0")


def run_folder(root: Path, name: str, age_s: float, *, is_over: bool = False) -> None:
    folder = root / "runs" / name
    folder.mkdir(parents=True)
    (folder / "heartbeat").write_text("x")
    os.utime(folder / "heartbeat", (NOW - age_s, NOW - age_s))
    if is_over:
        (folder / "result.json").write_text("{}")


def test_an_empty_machine_is_idle(tmp_path: Path, proc: Path) -> None:
    assert why_busy(look(tmp_path, proc, NOW)) is None


def test_a_run_that_beats_is_use_and_a_dead_or_finished_one_is_not(tmp_path: Path, proc: Path) -> None:
    run_folder(tmp_path, "beats", 5)
    run_folder(tmp_path, "dead", 500)
    run_folder(tmp_path, "over", 5, is_over=True)
    assert why_busy(look(tmp_path, proc, NOW)) == "1 running"


def test_a_run_that_waits_is_use(tmp_path: Path, proc: Path) -> None:
    (tmp_path / "queue").mkdir()
    (tmp_path / "queue" / "0001-run").write_text("")
    assert why_busy(look(tmp_path, proc, NOW)) == "1 in the queue"


@pytest.mark.parametrize("words", ["sshd: ubuntu@pts/0", "sshd: ubuntu@notty", "sshd-session: ubuntu@pts/1"])
def test_an_open_ssh_session_is_use(tmp_path: Path, proc: Path, words: str) -> None:
    process(proc, 10, 1, words)
    assert why_busy(look(tmp_path, proc, NOW)) == "1 SSH sessions open"


def test_the_session_of_our_own_helper_is_no_use(tmp_path: Path, proc: Path) -> None:
    process(proc, 10, 1, "sshd: ubuntu@notty")
    process(proc, 11, 10, f"/usr/bin/python3 {tmp_path}/bin/abc123 serve")
    process(proc, 20, 1, "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups")
    assert look(tmp_path, proc, NOW).sessions == 0


def test_the_session_of_this_very_look_is_no_use(tmp_path: Path, proc: Path) -> None:
    process(proc, 10, 1, "sshd: ubuntu@notty")
    process(proc, os.getpid(), 10, "python3 -")
    assert look(tmp_path, proc, NOW).sessions == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"gpu_percent": 4.0}, None),
        ({"gpu_percent": 60.0}, "GPU at 60 %"),
        ({"load": 0.5}, None),
        ({"load": 3.0}, "processor load 3.0"),
    ],
)
def test_gpu_and_processor_count_above_the_noise(change: dict[str, float], words: str | None) -> None:
    assert why_busy(replace(Activity(), **change)) == words  # type: ignore[arg-type]


def test_the_file_piped_into_a_bare_python_answers_behind_the_noise_of_a_shell(tmp_path: Path) -> None:
    source = (Path(__file__).parents[3] / "remote" / "cloud" / "activity.py").read_bytes()
    done = subprocess.run(
        [sys.executable, "-I", "-"],
        input=source,
        capture_output=True,
        env={"FRACTAL_ROOT": str(tmp_path)},
        cwd=tmp_path,
    )
    seen = from_json("Welcome to Ubuntu\n" + done.stdout.decode())
    assert seen is not None
    assert seen.running == 0


def test_noise_alone_is_no_answer() -> None:
    assert from_json("Welcome\n" + json.dumps({"other": 1})) is None
