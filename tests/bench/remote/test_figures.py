"""How the SSH host compares with OpenSSH, rsync and scp, near and far, in interleaved rounds; prints tables.

    python -m pytest -c tests/bench/pytest.ini tests/bench/remote/test_figures.py -s
    FRACTAL_BENCH_MB=100 …        # a smaller file for the pull

"Far" is a TCP proxy that adds 25 ms each way. What a ratio must at least be is checked loosely: machines are shared.
"""

from __future__ import annotations

import os
import random
import shutil
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.protocol.layout import Root
from remote.pull import Wanted, pull_file
from remote.ssh.host import SshHost
from remote.tree import TreeReader
from tests.bench.remote.arena import OpenSsh, Rivals, make_source, rsync
from tests.remote.box import Box
from tests.remote.delay import Proxy
from tests.remote.sshd import Sshd, make_key, needs_sshd

pytestmark = needs_sshd
needs_rsync = pytest.mark.skipif(not rsync(), reason="no rsync here to compare with")

DELAY_S = 0.025
ROUND_TRIP_S = 2 * DELAY_S
PULL_MB = int(os.environ.get("FRACTAL_BENCH_MB", "500"))


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    folder = tmp_path_factory.mktemp("box")
    key = make_key(folder / "key")
    (folder / "home").mkdir()
    # A home without a `.bashrc`: what a login shell loads would be counted against the ways that start one each time.
    with Sshd(folder / "sshd", [key], options=[f"SetEnv HOME={folder / 'home'}"]) as server:
        yield Box(server, key, folder)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_source(tmp_path_factory.mktemp("source"))


@pytest.fixture(params=["near", "far"])
def way(request: pytest.FixtureRequest, box: Box) -> Iterator[tuple[str, int]]:
    """The name of the way and the port to go in by."""
    if request.param == "near":
        yield "near", box.server.port
        return
    with Proxy(box.server.port, DELAY_S) as proxy:
        yield "far", proxy.port


@pytest.fixture
def host(box: Box, way: tuple[str, int], tmp_path: Path) -> Iterator[SshHost]:
    host = box.host(tmp_path / "root", way[1])
    host.run_ids()
    yield host
    host.close()


@pytest.fixture
def openssh(box: Box, way: tuple[str, int], tmp_path: Path) -> OpenSsh:
    return OpenSsh(box, tmp_path / "openssh", way[1])


def test_a_small_request(host: SshHost, openssh: OpenSsh, way: tuple[str, int]) -> None:
    shared = openssh.open_master()
    rivals = Rivals(
        {
            "helper request": host.run_ids,
            "ssh ControlMaster true": lambda: subprocess.run([*shared, "true"], check=True),
        },
        rounds=30,
    ).run()
    openssh.close_master()
    rivals.show(f"small request, {way[0]}", "helper request")
    if way[0] == "near":
        assert rivals.ratio("helper request", "ssh ControlMaster true") >= 5
    else:
        trips = min(rivals.times["helper request"]) / ROUND_TRIP_S
        median = rivals.median("helper request") / ROUND_TRIP_S
        print(f"| small request, far | in round trips of 50 ms | {median:.2f}, best {trips:.2f} |")
        assert trips <= 1.3


@needs_rsync
def test_one_changed_file_of_2000(
    host: SshHost, openssh: OpenSsh, way: tuple[str, int], source: Path, tmp_path: Path
) -> None:
    """Ours looks at every file here and there, and ends with a whole new immutable snapshot; rsync changes in place."""
    reader = TreeReader()
    count = 0

    def change() -> None:
        nonlocal count
        count += 1
        (source / "d1" / "f1.py").write_text(f"changed {count}\n" * 100)

    def ours() -> None:
        host.put_tree(reader.read(source))

    theirs = tmp_path / "theirs"
    rivals = Rivals({"ours": ours, "rsync -a": lambda: openssh.rsync(source, theirs)}, rounds=9, pause_s=1.0).run(
        change
    )
    rivals.show(f"one file of 2,000 changed, {way[0]}", "ours")
    assert rivals.ratio("ours", "rsync -a") >= 2


@needs_rsync
def test_the_first_upload_of_2000_files(
    host: SshHost, openssh: OpenSsh, way: tuple[str, int], source: Path, tmp_path: Path
) -> None:
    theirs, trees = tmp_path / "theirs", tmp_path / "root" / "trees"

    def forget() -> None:
        host._sync._base = None
        for folder in (theirs, trees):
            shutil.rmtree(folder, ignore_errors=True)

    reader = TreeReader()
    reader.read(source)
    rivals = Rivals(
        {"ours": lambda: host.put_tree(reader.read(source)), "rsync -a": lambda: openssh.rsync(source, theirs)},
        rounds=5,
    )
    # The helper remembers the manifests of trees that are deleted here behind its back; a new one remembers nothing.
    rivals.run(lambda: (forget(), host.link.session().close(), host.run_ids())[0])
    rivals.show(f"first upload of 2,000 files, {way[0]}", "ours")
    assert rivals.ratio("ours", "rsync -a") >= 0.5


def test_pulling_a_large_file(host: SshHost, openssh: OpenSsh, way: tuple[str, int], tmp_path: Path) -> None:
    there = tmp_path / "large"
    luck = random.Random(1)
    with open(there, "wb") as file:
        for _ in range(PULL_MB):
            file.write(luck.randbytes(1 << 20))
    os.utime(there, (1e9, 1e9))
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"

    def clean() -> None:
        for target in (ours, theirs):
            target.unlink(missing_ok=True)

    rivals = Rivals(
        {
            "ours, verified": lambda: pull_file(host.link, Wanted(str(there), ours)),
            "scp": lambda: openssh.scp(there, theirs),
        },
        rounds=5,
    ).run(clean)
    rivals.show(f"pull of {PULL_MB} MB, {way[0]}", "ours, verified")
    assert rivals.ratio("ours, verified", "scp") >= 0.2


class _Arrivals:
    """A follower that notes when bytes came."""

    def __init__(self) -> None:
        self.at: list[float] = []
        self._length = 0
        self.news = threading.Event()

    def offsets(self) -> dict[str, int]:
        return {"log": self._length}

    def take(self, head: dict[str, object], payload: bytes) -> None:
        if head.get("file") == "log":
            self._length += len(payload)
            self.at.append(time.perf_counter())
            self.news.set()


@pytest.mark.parametrize("way", ["near"], indirect=True)
def test_a_line_written_to_a_line_received(host: SshHost, openssh: OpenSsh, tmp_path: Path) -> None:
    folder = Root(tmp_path / "root").run("r").folder
    folder.mkdir(parents=True)
    (folder / "spec.json").write_text("{}")
    log = folder / "log"
    log.touch()
    arrivals = _Arrivals()
    host.link.follow("r", arrivals, only=("log",))
    tail = subprocess.Popen([*openssh.argv, "there", "tail", "-n0", "-F", str(log)], stdout=subprocess.PIPE)
    assert tail.stdout is not None
    time.sleep(1.0)
    ours, theirs = [], []
    with open(log, "ab", buffering=0) as file:
        for n in range(110):
            arrivals.news.clear()
            begun = time.perf_counter()
            file.write(b"line %d\n" % n)
            tail.stdout.readline()
            theirs.append(time.perf_counter() - begun)
            assert arrivals.news.wait(5)
            ours.append(arrivals.at[-1] - begun)
            time.sleep(0.02)
    tail.terminate()
    tail.wait()
    tail.stdout.close()
    for name, times in (("helper", ours[10:]), ("ssh tail -F", theirs[10:])):
        times.sort()
        p50, p95 = statistics.median(times), times[int(len(times) * 0.95)]
        print(f"| line to receiver, near | {name} | median {p50 * 1000:.2f} ms, p95 {p95 * 1000:.2f} ms |")
    assert sorted(ours)[int(len(ours) * 0.95)] < 0.25


def test_the_way_itself_is_as_far_as_it_says(box: Box) -> None:
    """A byte through the proxy to an echo and back: what a round trip is in the other tables."""
    import socket
    import socketserver

    class Echo(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while data := self.request.recv(64):
                self.request.sendall(data)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with (
            Proxy(server.server_address[1], DELAY_S) as proxy,
            socket.create_connection(("127.0.0.1", proxy.port)) as sock,
        ):
            times = []
            for _ in range(30):
                begun = time.perf_counter()
                sock.sendall(b"x")
                sock.recv(1)
                times.append(time.perf_counter() - begun)
        server.shutdown()
    median, best = statistics.median(times) * 1000, min(times) * 1000
    print(f"| round trip of the far way | TCP echo | median {median:.1f} ms, best {best:.1f} |")
