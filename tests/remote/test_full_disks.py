"""A disk that is really full, on the host or here: one clear line, and it goes on once there is room."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.protocol.layout import Root
from remote.host import HostError
from remote.mirror import Mirror
from remote.ssh.host import SshHost
from remote.tree import TreeReader
from tests.live import Specs, log_of, wait_final
from tests.polling import until
from tests.remote.box import Box


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A folder of two megabytes; skipped where this user can't mount."""
    folder = tmp_path / "small"
    folder.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)]
    mounted = subprocess.run(argv, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_source_that_does_not_fit_on_the_host_is_said_and_leaves_no_half_tree(
    box: Box, small: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for n in range(4):
        (source / f"{n}.bin").write_bytes(bytes(range(256)) * 4096)
    host = box.host(small / "root")
    with pytest.raises(HostError, match=r"[Nn]o space|full"):
        host.put_tree(TreeReader().read(source))
    assert not [p for p in (small / "root" / "trees").glob("*") if not p.name.startswith(".")]
    host.close()


def test_a_copy_that_does_not_fit_here_says_so_and_goes_on_once_there_is_room(
    ssh_host: SshHost, root: Root, small: Path, specs: Specs
) -> None:
    spec = specs.py("import sys; sys.stdout.buffer.write(bytes(range(256)) * 16384)")
    ssh_host.launch(spec)
    wait_final(root.run(spec.run_id))
    (small / "filler").write_bytes(bytes(1 << 20))
    with Mirror(Root(small).run(spec.run_id), "box") as mirror:
        ssh_host.follow(spec.run_id, mirror)
        until(lambda: mirror.notes, "a word about the disk")
        assert "can't be written here" in mirror.notes[0]
        assert "No space left" in mirror.notes[0]
        subprocess.run(["mount", "-o", "remount,size=16m", str(small)], check=True)
        assert mirror.complete.wait(20)
        assert log_of(mirror.paths) == log_of(root.run(spec.run_id))
