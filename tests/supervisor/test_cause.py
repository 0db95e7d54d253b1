"""Why a command died: the pure table, the counters of every kind of machine, and the kernel's real verdict."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.protocol.durable import read_json
from engine.protocol.layout import Root
from engine.supervisor.cause import MemoryKills, counter_files, explain, log_tail, memory_kills
from remote.local_host import LocalHost
from tests.live import Specs, wait_final
from tests.polling import until

NONE = MemoryKills(None, None)
TORCH_OOM = b"torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB\n"
TRACEBACK = b"Traceback (most recent call last):\n  File ...\nValueError: no rows\n"
CHAINED = b"KeyError: 'a'\n\nDuring handling of the above exception\n\nmy.pack.LoadError: no file\n"
FULL = b"OSError: [Errno 28] No space left on device\n"


@pytest.mark.parametrize(
    ("code", "signal_name", "kills", "tail", "word", "reason"),
    [
        (None, "SIGKILL", (0, 1, 5, 6), b"", "oom", "the kernel killed it (memory limit of its control group)"),
        (137, None, (0, 1, 5, 6), b"", "oom", "the kernel killed it (memory limit"),
        (1, None, (0, 1, 5, 6), TRACEBACK, "oom", "killed one of its processes"),
        (None, "SIGKILL", (3, 3, 5, 6), b"", "oom", "the machine ran out of memory"),
        (None, "SIGKILL", (None, None, 5, 6), b"", "oom", "the machine ran out of memory"),
        (137, None, (None, None, 5, 6), b"", "oom", "the machine ran out of memory"),
        (1, None, (3, 3, 5, 6), TRACEBACK, "exception", "ValueError: no rows (exit code 1)"),
        (None, "SIGKILL", (3, 3, 5, 5), b"", "signal", "killed by SIGKILL"),
        (None, "SIGKILL", (None, 3, None, 5), b"", "signal", "killed by SIGKILL"),
        (None, "SIGSEGV", (3, 3, 5, 6), TRACEBACK, "signal", "killed by SIGSEGV"),
        (1, None, (None,) * 4, TORCH_OOM, "cuda-oom", "CUDA out of memory (exit code 1)"),
        (1, None, (None,) * 4, b"RuntimeError: CUDA error: out of memory\n", "cuda-oom", "CUDA out of memory"),
        (1, None, (None,) * 4, b"torch.cuda.OutOfMemoryError: x\n", "cuda-oom", "CUDA out of memory"),
        (1, None, (None,) * 4, FULL, "disk-full", "the disk is full (exit code 1)"),
        (1, None, (None,) * 4, TRACEBACK, "exception", "ValueError: no rows (exit code 1)"),
        (1, None, (None,) * 4, CHAINED, "exception", "my.pack.LoadError: no file"),
        (1, None, (None,) * 4, b"KeyboardInterrupt\n", "exception", "KeyboardInterrupt"),
        (3, None, (None,) * 4, b"nothing to say\n", "exit", "exit code 3"),
        (1, None, (None,) * 4, b"E: \xff\xfeError: \xff\n", "exit", "exit code 1"),
        (1, None, (None,) * 4, b"", "exit", "exit code 1"),
    ],
)
def test_the_cause_in_words(
    code: int | None, signal_name: str | None, kills: tuple[int | None, ...], tail: bytes, word: str, reason: str
) -> None:
    in_before, in_after, on_before, on_after = kills
    cause = explain(code, signal_name, MemoryKills(in_before, on_before), MemoryKills(in_after, on_after), tail)
    assert cause.word == word
    assert reason in cause.reason


def test_only_the_end_of_a_log_is_read(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert log_tail(log) == b""
    log.write_bytes(b"a" * 100_000 + b"end")
    assert log_tail(log) == b"a" * (65536 - 3) + b"end"


MEMBERSHIPS = {
    "0::/user.slice/run-1.scope\n": ["user.slice/run-1.scope/memory.events", "memory.events"],
    "0::/\n": ["memory.events", "memory.events"],
    "9:name=systemd:/\n4:memory:/docker/abc\n2:cpu,cpuacct:/x\n": [
        *("memory/docker/abc/memory.oom_control", "memory/memory.oom_control")
    ],
    "4:hugetlb,memory:/a:b\n": ["memory/a:b/memory.oom_control", "memory/memory.oom_control"],
    "4:memory:/a\n0::/a\n": [
        *("memory/a/memory.oom_control", "memory/memory.oom_control", "a/memory.events", "memory.events")
    ],
    "": [],
    "nonsense\n": [],
}


@pytest.mark.parametrize("membership", MEMBERSHIPS)
def test_the_counter_is_looked_for_where_both_versions_keep_it(membership: str, tmp_path: Path) -> None:
    assert [str(f.relative_to(tmp_path)) for f in counter_files(membership, tmp_path)] == MEMBERSHIPS[membership]


def test_this_machines_counters_never_break_a_run() -> None:
    kills = memory_kills()
    for count in (kills.in_cgroup, kills.on_machine):
        assert count is None or count >= 0


LIMIT_BYTES = 96 << 20
HUNGRY = f"print('eating', flush=True); held = [bytearray(1 << 20) for _ in range({4 * LIMIT_BYTES >> 20})]"


def made(parent: Path, limit: str) -> Path | None:
    """A control group with little memory; None where that is not ours to make."""
    group = parent / f"fractal-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        return None
    try:
        (group / limit).write_text(str(LIMIT_BYTES))
    except OSError:
        group.rmdir()
        return None
    return group


@pytest.fixture
def narrow_group() -> Iterator[Path]:
    old, new = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    group = made(old, "memory.limit_in_bytes") or made(new, "memory.max")
    if group is None:
        pytest.skip("no control group with a memory limit can be made here (needs root and a writable /sys/fs/cgroup)")
    yield group
    until(lambda: not (group / "cgroup.procs").read_text(), "the group to be empty")
    group.rmdir()


def test_a_run_that_the_kernel_kills_for_memory_is_named_so(
    narrow_group: Path, host: LocalHost, specs: Specs, root: Root
) -> None:
    spec = specs.py(HUNGRY)
    child = os.fork()
    if child == 0:  # the supervisor is to live in the group, this process is not
        try:
            (narrow_group / "cgroup.procs").write_text(str(os.getpid()))
            host.launch(spec)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    status = wait_final(root.run(spec.run_id))
    assert (status.state, status.signal) == ("failed", "SIGKILL")
    assert status.reason == "out of memory: the kernel killed it (memory limit of its control group)"
    assert (read_json(root.run(spec.run_id).result) or {})["cause"] == "oom"
