"""A long log, two consoles, sessions killed at random and links lost for long: not one byte twice or missing.

python -m pytest -c tests/bench/pytest.ini tests/bench/remote/test_cuts.py -s
FRACTAL_BENCH_MB=100 FRACTAL_BENCH_KILLS=30 …
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.protocol.layout import Root
from engine.protocol.spec import RunSpec, new_id
from remote.host import HostError
from remote.mirror import Mirror
from tests.remote.box import Box
from tests.remote.delay import Proxy
from tests.remote.sshd import Sshd, make_key, needs_sshd

LOG_MB = int(os.environ.get("FRACTAL_BENCH_MB", "1000"))
KILLS = int(os.environ.get("FRACTAL_BENCH_KILLS", "100"))
LOSSES = 5
# Longer than the deadline, so that both sides notice by silence alone.
LOSS_S = 8.0

_WRITER = """
import random, sys, time
luck, left, begun = random.Random(1), int(sys.argv[1]) << 20, time.monotonic()
block = luck.randbytes(1 << 20)
total, rate = left, left / float(sys.argv[2])
while left > 0:
    size = min(left, luck.randrange(1, 200_000))
    at = luck.randrange(0, (1 << 20) - size)
    sys.stdout.buffer.write(block[at : at + size]); sys.stdout.buffer.flush()
    left -= size
    time.sleep(max(0.0, (total - left) / rate - (time.monotonic() - begun)))
"""


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    folder = tmp_path_factory.mktemp("box")
    key = make_key(folder / "key")
    (folder / "home").mkdir()
    with Sshd(folder / "sshd", [key], options=[f"SetEnv HOME={folder / 'home'}"]) as server:
        yield Box(server, key, folder)


def digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@needs_sshd
def test_two_consoles_lose_nothing(box: Box, tmp_path: Path) -> None:
    root = Root(tmp_path / "root")
    seconds = max(20.0, LOSSES * (LOSS_S + 4) + KILLS * 0.6)
    argv = [sys.executable, "-S", "-c", _WRITER, str(LOG_MB), str(seconds)]
    spec = RunSpec(new_id("cuts"), "p", "ph", "st", "cpu", "cpu", argv, "/", str(tmp_path))
    luck = random.Random(7)
    begun = time.monotonic()
    with Proxy(box.server.port) as one, Proxy(box.server.port) as two:
        proxies = [one, two]
        hosts = [box.host(root.path, proxy.port) for proxy in proxies]
        mirrors = [Mirror(Root(tmp_path / name).run(spec.run_id), "box") for name in ("a", "b")]
        hosts[0].launch(spec)
        for host, mirror in zip(hosts, mirrors, strict=True):
            mirror.begin()
            host.follow(spec.run_id, mirror)
        kills = losses = 0
        while kills < KILLS or losses < LOSSES:
            time.sleep(luck.uniform(0.1, 0.6))
            at = luck.randrange(2)
            if losses < LOSSES and kills >= (losses + 1) * KILLS // (LOSSES + 1):
                proxies[at].silent, proxies[at].refuses = True, True
                time.sleep(LOSS_S)
                proxies[at].silent, proxies[at].refuses = False, False
                proxies[at].cut()
                losses += 1
            elif _kill(hosts[at], proxies[at], luck):
                kills += 1
        limit = time.monotonic() + 300
        while not all(m.complete.is_set() for m in mirrors) and time.monotonic() < limit:
            time.sleep(0.5)
        counted = [host.link.losses for host in hosts]
        for host in hosts:
            host.close()
    wanted = root.run(spec.run_id).log
    print(
        f"| {wanted.stat().st_size} bytes of log, {kills} kills, {losses} losses of {LOSS_S:g} s, "
        f"{counted} reconnections, {time.monotonic() - begun:.0f} s | "
        + ", ".join("identical" if digest(m.paths.log) == digest(wanted) else "DIFFERENT" for m in mirrors)
    )
    assert wanted.stat().st_size >= LOG_MB << 20
    for mirror in mirrors:
        assert mirror.complete.is_set()
        assert mirror.paths.log.stat().st_size == wanted.stat().st_size
        assert digest(mirror.paths.log) == digest(wanted)
        assert mirror.notes == []
        mirror.close()


def _kill(host: object, proxy: Proxy, luck: random.Random) -> bool:
    """End a session: the helper there, or the connection between; True if there was one."""
    session = host.link._session  # type: ignore[attr-defined]
    if session is None or not session.alive:
        return False
    if luck.random() < 0.5:
        proxy.cut()
        return True
    try:
        os.kill(int(session.hello["pid"]), signal.SIGKILL)
    except (ProcessLookupError, HostError):
        return False
    return True
