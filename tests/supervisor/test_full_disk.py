"""A disk that is really full: a small file system of the test's own holds the root."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from engine.protocol.files import free_bytes
from engine.protocol.identity import alive
from engine.protocol.layout import Root, RunPaths
from engine.protocol.status import observe
from remote.host import LaunchError
from remote.local_host import LocalHost
from tests.live import (
    Specs,
    end_everything,
    events_of,
    identities,
    kill_and_wait,
    log_of,
    processes_under,
    wait_final,
    wait_in_log,
    wait_state,
)
from tests.polling import until

REPOSITORY = Path(__file__).resolve().parent.parent.parent

# Writes numbered lines to its log and numbered points to its events, and does not mind a disk that is full.
TALKER = """
import os, time
from engine import runlog
n = 0
while not os.path.exists("go"):
    try:
        os.write(1, b"%09d\\n" % n)
    except OSError:
        pass
    if n % 10 == 0:
        runlog.log(step=n, n=n)
    n += 1
    time.sleep(0.001)
runlog.fact("n", n)
"""


@pytest.fixture
def small_disk(root: Root, shipped: Path) -> Iterator[Path]:
    """The root on 8 MB of memory; skipped where this user can't mount."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "none", root.path], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        (root.path / "bin").symlink_to(shipped.parent)
        yield root.path

        def quiet() -> bool:
            end_everything(root)
            return not processes_under(root.path)

        until(quiet, "processes on the small disk to end")
    finally:
        subprocess.run(["umount", "-l", root.path], check=True)


def fill(disk: Path) -> Path:
    """Nothing more fits."""
    filler = disk / "filler"
    with open(filler, "ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            with suppress(OSError):
                while True:
                    file.write(b"\0" * size)
    assert free_bytes(disk) == 0
    return filler


def talker(specs: Specs, root: Root, host: LocalHost) -> RunPaths:
    spec = specs.py(TALKER, env={"PYTHONPATH": str(REPOSITORY)})
    host.launch(spec)
    paths = root.run(spec.run_id)
    wait_in_log(paths, b"000000010\n")
    wait_state(paths, "running")
    return paths


def beats(paths: RunPaths) -> int:
    return int(paths.heartbeat.read_bytes().split()[1])


def intended(log: bytes) -> bytes:
    return b"".join(b"%09d\n" % n for n in range(len(log) // 10 + 1))


def test_a_full_disk_stops_the_log_cleanly_and_hides_neither_life_nor_end(
    small_disk: Path, host: LocalHost, specs: Specs, root: Root
) -> None:
    paths = talker(specs, root, host)
    fill(small_disk)
    before, length = beats(paths), len(log_of(paths))
    until(lambda: beats(paths) >= before + 2, "the heartbeat on a full disk")
    assert observe(paths).state == "running"
    (specs.folder / "go").touch()
    status = wait_final(paths)
    assert (status.state, status.code) == ("succeeded", 0)
    assert paths.result.exists()
    log = log_of(paths)
    assert len(log) - length < 10_000
    assert intended(log).startswith(log)


def test_a_run_can_be_stopped_while_the_disk_is_full(
    small_disk: Path, host: LocalHost, specs: Specs, root: Root
) -> None:
    paths = talker(specs, root, host)
    fill(small_disk)
    host.stop(paths.run_id, "ann@home", "no room")
    status = wait_final(paths)
    assert (status.state, status.reason) == ("stopped", "stopped by ann@home")


def test_an_orphan_can_be_ended_while_the_disk_is_full(
    small_disk: Path, host: LocalHost, specs: Specs, root: Root
) -> None:
    paths = talker(specs, root, host)
    kill_and_wait(identities(paths)["supervisor"])
    fill(small_disk)
    host.stop(paths.run_id, "ann", "no room")
    assert wait_final(paths).state in ("stopped", "failed")  # who asked may be lost with the space, the end is not
    assert not alive(identities(paths)["command"])


def test_no_event_is_lost_once_there_is_space_again(
    small_disk: Path, host: LocalHost, specs: Specs, root: Root
) -> None:
    paths = talker(specs, root, host)
    filler = fill(small_disk)
    before = beats(paths)
    until(lambda: beats(paths) >= before + 1, "the program to go on")
    filler.unlink()
    (specs.folder / "go").touch()
    assert wait_final(paths).state == "succeeded"
    events = events_of(paths.events)
    steps = [e["step"] for e in events if e["kind"] == "metric"]
    assert steps == list(range(0, len(steps) * 10, 10))
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
    assert events[-1]["value"] - steps[-1] <= 10


def test_launching_on_a_full_disk_is_refused_in_words_and_leaves_no_run(
    small_disk: Path, host: LocalHost, specs: Specs, root: Root
) -> None:
    root.runs.mkdir(exist_ok=True)
    filler = fill(small_disk)
    spec = specs.sh("true")
    with pytest.raises(LaunchError, match="is full; free some space and launch again"):
        host.launch(spec)
    filler.unlink()
    host.launch(spec)
    assert wait_final(root.run(spec.run_id)).state == "succeeded"
