"""Cheats, one program each: none passes, and nothing outside has changed afterwards."""

import os
import runpy
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.verify.sandbox.pool import Pool
from engine.verify.sandbox.verdict import PASS, Limits, NoIsolation, Sample, Tests

# Tests are imported one by one (importlib mode): a list beside this file is loaded by its path.
hostile = runpy.run_path(str(Path(__file__).with_name("hostile.py")))["programs"]()

_ADD = ("assert add(2, 3) == 5", "assert add(10, 20) == 30", "assert add(-1, 1) == 0")
_ADDS = Tests(asserts=_ADD, cpu_s=1)
_HASTY = Limits(wall_factor=1.0, wall_extra_s=0.5)


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory):
    """A canary of each kind."""
    folder = tmp_path_factory.mktemp("outside")
    canary = folder / "canary"
    canary.write_text("5")
    canary.chmod(0o644)
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    yield {"folder": folder, "canary": canary, "process": process, "listener": listener}
    process.kill()
    process.wait()
    listener.close()


@pytest.fixture(scope="module")
def judged(surroundings):
    """Every cheat's verdict, and what the surroundings were before."""
    before = state_of(surroundings)
    words = {
        "CANARY": str(surroundings["canary"]),
        "FOLDER": str(surroundings["folder"]),
        "PORT": str(surroundings["listener"].getsockname()[1]),
        "PID": str(surroundings["process"].pid),
    }
    samples = []
    for name, code in hostile.items():
        for word, value in words.items():
            code = code.replace(word, value)
        samples.append(Sample(name, code, _ADDS))
    try:
        with Pool(2, _HASTY) as pool:
            return {v.key: v for v in pool.judge(samples)}, before
    except NoIsolation as error:
        pytest.skip(str(error))


def state_of(surroundings):
    canary = surroundings["canary"]
    about = canary.stat()
    shared = sorted(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else []
    return {
        "canary": (canary.read_text(), about.st_mode, about.st_mtime_ns, about.st_uid, about.st_nlink),
        "folder": sorted(p.name for p in surroundings["folder"].iterdir()),
        "shared memory": [name for name in shared if "hostile" in name],
        "system V": Path("/proc/sysvipc/shm").read_text().count("\n") if Path("/proc/sysvipc/shm").exists() else 0,
    }


def test_there_are_more_than_a_hundred_cheats():
    assert len(hostile) > 100


def test_an_honest_program_passes_under_the_same_limits(judged):
    with Pool(1, _HASTY) as pool:
        (verdict,) = pool.judge([Sample("honest", "def add(a, b): return a + b", _ADDS)])
    assert verdict.verdict == PASS


@pytest.mark.parametrize("name", hostile)
def test_no_cheat_passes(judged, name):
    verdicts, _ = judged
    assert verdicts[name].verdict != PASS


def test_files_and_shared_memory_are_as_they_were(judged, surroundings):
    _, before = judged
    assert state_of(surroundings) == before


def test_the_canary_process_lives(judged, surroundings):
    assert surroundings["process"].poll() is None


def test_nobody_knocked_at_the_canary_port(judged, surroundings):
    with pytest.raises(BlockingIOError):
        surroundings["listener"].accept()


def test_no_process_of_a_cheat_is_left(judged):
    mine = {int(p) for p in os.listdir("/proc") if p.isdigit()}
    left = [p for p in mine if "zygote.py" in command_of(p) and started_by_us(p)]
    end = time.monotonic() + 10
    while left and time.monotonic() < end:
        left = [p for p in left if os.path.exists(f"/proc/{p}")]
    assert left == []


def command_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def started_by_us(pid):
    """Other test runs on this machine have zygotes of their own."""
    for _ in range(10):
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            return False
        if pid == os.getpid():
            return True
        if pid <= 1:
            return False
    return False


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("exits before it prints", "import sys; sys.exit(0)"),
        ("prints less", "print(1); import os; os._exit(0)"),
        ("prints right and ends wrong", "print(5); raise ValueError"),
        ("prints right and exits with an error", "import sys; print(5); sys.exit(1)"),
        ("prints too much", "print(5); print(5)"),
        ("prints a flood", "while True: print('x' * 65536)"),
        ("echoes its input", "import sys; print(sys.stdin.read())"),
        ("crashes after printing", "import ctypes, sys; print(5); sys.stdout.flush(); ctypes.string_at(0)"),
        ("opens a socket", "import socket; socket.socket(); print(5)"),
    ],
)
def test_no_script_passes_without_printing_exactly_what_is_right(pool, name, code):
    tests = Tests(stdin=(("2 3\n", "5\n"),), cpu_s=1)
    (verdict,) = pool.judge([Sample(name, code, tests)])
    assert verdict.verdict != PASS


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("equal to everything", "class S:\n def __eq__(s, o): return True\ndef add(a, b): return S()"),
        ("raises what the test expects", "def add(a, b): raise AssertionError"),
        ("redefines the checker", "def check(c): pass\ndef add(a, b): return 0"),
        ("redefines the helper", "def double(x): return x\ndef add(a, b): return a"),
        ("redefines abs", "import builtins\nbuiltins.abs = lambda x: 0\ndef add(a, b): return 0"),
        ("exits in the call", "def add(a, b): raise SystemExit"),
        ("stops the iteration", "def add(a, b): raise StopIteration"),
    ],
)
def test_no_cheat_passes_a_checker(pool, name, code):
    check = (
        "def check(candidate):\n    assert candidate(2, 3) == 5\n    for n in range(3):\n"
        "        assert abs(candidate(n, n) - double(n)) < 1e-6\n"
    )
    tests = Tests(check=check, entry_point="add", prelude="def double(x):\n    return 2 * x\n", cpu_s=1)
    (verdict,) = pool.judge([Sample(name, code, tests)])
    assert verdict.verdict != PASS


@pytest.fixture(scope="module")
def pool():
    try:
        with Pool(1, _HASTY) as pool:
            yield pool
    except NoIsolation as error:
        pytest.skip(str(error))
