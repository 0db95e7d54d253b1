"""What tests share: a root of their own, the local host on it, specs; and nothing is left running afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from remote.ssh.host import SshHost
    from tests.remote.box import Box

pytest.register_assert_rewrite("tests.contracts.host", "tests.live", "tests.polling")

from engine.protocol.layout import Root  # noqa: E402  (after the rewrite is registered)
from remote.local_host import LocalHost  # noqa: E402
from remote.ship import ship_locally  # noqa: E402
from tests.live import Specs, end_everything, processes_under  # noqa: E402
from tests.polling import until  # noqa: E402


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The supervisor's code, laid down once: each root shares it, so that it is compiled once."""
    return ship_locally(Root(tmp_path_factory.mktemp("shipped")))


@pytest.fixture
def root(tmp_path: Path, shipped: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Root]:
    """A root of this test's own; what it started is ended by id, and a process that nobody knows of is an error."""
    folder = tmp_path / "root"
    folder.mkdir()
    (folder / "bin").symlink_to(shipped.parent)
    monkeypatch.setenv("FRACTAL_ROOT", str(folder))
    for name in ("FRACTAL_EVENTS", "FRACTAL_SPEC", "FRACTAL_WORK", "FRACTAL_RUN", "RANK"):
        monkeypatch.delenv(name, raising=False)
    root = Root(folder)
    yield root

    def quiet() -> bool:  # again and again: an executor that dies may have started one more run
        end_everything(root)
        return not processes_under(folder)

    until(quiet, "leftover processes of this test to end")


@pytest.fixture
def host(root: Root) -> Iterator[LocalHost]:
    host = LocalHost(root)
    yield host
    host.close()


@pytest.fixture
def specs(tmp_path: Path) -> Specs:
    return Specs(tmp_path / "work")


@pytest.fixture(scope="session")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """A machine behind a real OpenSSH server."""
    from tests.remote.box import Box
    from tests.remote.sshd import SSHD, Sshd, make_key

    if not SSHD:
        pytest.skip("no OpenSSH server here: apt install openssh-server")
    folder = tmp_path_factory.mktemp("box")
    key = make_key(folder / "key")
    with Sshd(folder / "sshd", [key]) as server:
        yield Box(server, key, folder)


@pytest.fixture
def ssh_host(root: Root, box: Box) -> Iterator[SshHost]:
    """The machine as a host, on a root of this test's own."""
    host = box.host(root.path)
    yield host
    host.close()


@pytest.fixture
def here(tmp_path: Path) -> Root:
    """Where a console keeps its copies of remote runs."""
    return Root(tmp_path / "here")
