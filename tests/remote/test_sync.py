"""Source onto a host: only what is missing, whole or not at all, and a snapshot that later syncs leave alone."""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path

import pytest

from engine.protocol.layout import Root
from engine.supervisor import trees
from remote.host import HostError
from remote.ssh.host import SshHost
from remote.sync import ChangedMeanwhile, Sync, packs_well, pieces, plan, stream
from remote.tree import Tree, TreeFile, TreeReader
from tests.polling import until
from tests.remote.box import Box
from tests.remote.delay import Proxy


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Forty files in folders, one of them executable, one empty, one named oddly."""
    folder = tmp_path / "source"
    luck = random.Random(3)
    for n in range(40):
        file = folder / f"part{n % 4}" / f"f{n}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(luck.randbytes(luck.randrange(1, 5000)))
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "empty").touch()
    (folder / "part0" / "a b ä\n.txt").write_text("odd")
    return folder


def tree_of(folder: Path) -> Tree:
    return TreeReader().read(folder)


def sync_of(host: SshHost) -> Sync:
    return Sync(host.link)


def assert_same(snapshot: str, tree: Tree) -> None:
    """Every file with its content and rights, and not one more."""
    there = Path(snapshot)
    assert {str(f.relative_to(there)) for f in there.rglob("*") if f.is_file()} == {f.path for f in tree.files}
    for file in tree.files:
        copy = there / file.path
        assert copy.read_bytes() == (tree.folder / file.path).read_bytes()
        assert (copy.stat().st_mode & 0o777) == (0o555 if file.executable else 0o444)


def test_the_first_sync_brings_everything(ssh_host: SshHost, source: Path) -> None:
    tree = tree_of(source)
    done = sync_of(ssh_host).put(tree)
    assert done.path.endswith(f"/trees/{tree.hash}")
    assert len(done.sent) == len(tree.files) == 43
    assert_same(done.path, tree)


def test_one_changed_file_is_all_that_is_sent(ssh_host: SshHost, source: Path) -> None:
    sync = sync_of(ssh_host)
    first = sync.put(tree_of(source))
    (source / "part1" / "f1.py").write_text("changed")
    (source / "part2" / "f2.py").unlink()
    (source / "new").mkdir()
    (source / "new" / "file").write_text("new")
    tree = tree_of(source)
    second = sync.put(tree)
    assert [f.path for f in second.sent] == ["new/file", "part1/f1.py"]
    assert_same(second.path, tree)
    assert Path(first.path) != Path(second.path)


def test_a_later_sync_does_not_touch_the_snapshot_that_a_run_works_in(ssh_host: SshHost, source: Path) -> None:
    sync = sync_of(ssh_host)
    tree = tree_of(source)
    path = Path(sync.put(tree).path)
    before = {f.path: (path / f.path).read_bytes() for f in tree.files}
    for file in source.rglob("*.py"):
        file.write_text("all different")
    sync.put(tree_of(source))
    assert {f.path: (path / f.path).read_bytes() for f in tree.files} == before


def test_the_same_tree_again_sends_nothing(ssh_host: SshHost, source: Path) -> None:
    tree = tree_of(source)
    sync_of(ssh_host).put(tree)
    assert sync_of(ssh_host).put(tree).sent == ()


def test_a_console_that_remembers_nothing_sends_only_what_the_host_misses(ssh_host: SshHost, source: Path) -> None:
    sync_of(ssh_host).put(tree_of(source))
    (source / "part1" / "f1.py").write_text("changed")
    assert [f.path for f in sync_of(ssh_host).put(tree_of(source)).sent] == ["part1/f1.py"]


def test_a_file_that_only_moved_is_not_sent(ssh_host: SshHost, source: Path) -> None:
    sync = sync_of(ssh_host)
    sync.put(tree_of(source))
    (source / "part1" / "f1.py").rename(source / "moved.py")
    tree = tree_of(source)
    done = Sync(ssh_host.link).put(tree)
    assert done.sent == ()
    assert_same(done.path, tree)


def test_the_next_tree_begins_with_the_copy_that_was_laid_ahead(ssh_host: SshHost, root: Root, source: Path) -> None:
    sync = sync_of(ssh_host)
    first = tree_of(source)
    before = {f.path: (source / f.path).read_bytes() for f in first.files}
    path = Path(sync.put(first).path)
    ahead = trees.ahead_path(root, first.hash)
    until(ahead.exists, "the copy")
    (source / "part1" / "f1.py").write_text("changed")
    (source / "part2" / "f2.py").unlink()
    (source / "empty").rename(source / "moved")
    tree = tree_of(source)
    assert_same(sync.put(tree).path, tree)
    assert {p: (path / p).read_bytes() for p in before} == before
    until(lambda: trees.ahead_path(root, tree.hash).exists() and not ahead.exists(), "the next copy, and only that")


def test_a_base_damaged_after_the_copy_was_laid_does_not_reach_the_next_tree(
    ssh_host: SshHost, root: Root, source: Path
) -> None:
    sync = sync_of(ssh_host)
    first = tree_of(source)
    path = Path(sync.put(first).path)
    until(trees.ahead_path(root, first.hash).exists, "the copy")
    victim = path / "part1" / "f1.py"
    victim.chmod(0o644)
    victim.write_text("damaged")  # in place: the copy is a link to the same file
    (source / "part2" / "f2.py").write_text("changed")
    tree = tree_of(source)
    assert_same(sync.put(tree).path, tree)


def test_a_file_that_became_executable_is_executable_there(ssh_host: SshHost, source: Path) -> None:
    sync = sync_of(ssh_host)
    first = sync.put(tree_of(source))
    (source / "part1" / "f1.py").chmod(0o755)
    tree = tree_of(source)
    assert_same(sync.put(tree).path, tree)
    assert not os.access(Path(first.path) / "part1" / "f1.py", os.X_OK) or os.getuid() == 0


def test_a_file_that_was_damaged_on_the_host_is_sent_again(ssh_host: SshHost, source: Path) -> None:
    """A run that writes into its own source must not become the base of the next snapshot."""
    sync = sync_of(ssh_host)
    tree = tree_of(source)
    path = Path(sync.put(tree).path)
    victim = path / "part1" / "f1.py"
    victim.chmod(0o644)
    victim.write_text("damaged")
    done = sync.put(tree)
    assert [f.path for f in done.sent] == ["part1/f1.py"]
    assert_same(done.path, tree)


def test_a_host_whose_trees_were_deleted_gets_them_again(ssh_host: SshHost, root: Root, source: Path) -> None:
    sync = sync_of(ssh_host)
    sync.put(tree_of(source))
    root.trees.rename(root.path / "gone")
    (source / "part1" / "f1.py").write_text("changed")
    tree = tree_of(source)
    assert_same(sync.put(tree).path, tree)


def test_a_dry_run_names_the_files_and_sends_none(ssh_host: SshHost, root: Root, source: Path) -> None:
    sync = sync_of(ssh_host)
    sync.put(tree_of(source))
    (source / "part1" / "f1.py").write_text("changed")
    tree = tree_of(source)
    look = sync.look(tree)
    assert ([f.path for f in look.sent], look.sent_bytes, look.path) == (["part1/f1.py"], 7, "")
    assert not (root.trees / tree.hash).exists()


def test_large_files_are_pointed_out(tmp_path: Path) -> None:
    small, large = TreeFile("a", "x", 10, False), TreeFile("b", "y", 60 << 20, False)
    assert Tree(tmp_path, (small, large)).large == [large]


def test_a_file_that_changes_while_it_is_sent_makes_no_snapshot(ssh_host: SshHost, root: Root, source: Path) -> None:
    tree = tree_of(source)
    changed = source / "part1" / "f1.py"
    changed.write_bytes(b"x" * changed.stat().st_size)  # same size, another content
    with pytest.raises(HostError, match="changed while it was sent"):
        sync_of(ssh_host).put(tree)
    assert not (root.trees / tree.hash).exists()
    assert not list(root.trees.glob(".tree-*"))


def test_a_file_that_shrinks_while_it_is_sent_makes_no_snapshot(ssh_host: SshHost, root: Root, source: Path) -> None:
    tree = tree_of(source)
    (source / "part1" / "f1.py").write_text("")
    with pytest.raises(ChangedMeanwhile, match="sync again"):
        sync_of(ssh_host).put(tree)
    until(lambda: not list(root.trees.glob(".tree-*")), "the half tree to be taken away")
    assert not (root.trees / tree.hash).exists()
    assert sync_of(ssh_host).put(tree_of(source)).sent


def test_a_sync_that_is_cut_in_its_middle_is_made_whole(box: Box, root: Root, tmp_path: Path) -> None:
    folder = tmp_path / "big"
    folder.mkdir()
    for n in range(8):
        (folder / f"{n}").write_bytes(random.Random(n).randbytes(1 << 20))
    tree = tree_of(folder)
    with Proxy(box.server.port, 0.01) as proxy:
        host = box.host(root.path, proxy.port)
        host.run_ids()
        timers = [threading.Timer(0.15 * n, proxy.cut) for n in range(1, 4)]
        for timer in timers:
            timer.start()
        assert_same(host.put_tree(tree), tree)
        for timer in timers:
            timer.join()
        host.close()


def test_a_far_host_gets_a_packed_stream_and_the_same_files(box: Box, root: Root, tmp_path: Path) -> None:
    folder = tmp_path / "text"
    folder.mkdir()
    for n in range(30):
        (folder / f"{n}.txt").write_text(f"line {n}\n" * 2000)
    tree = tree_of(folder)
    with Proxy(box.server.port, 0.025) as proxy:
        host = box.host(root.path, proxy.port)
        assert_same(host.put_tree(tree), tree)
        host.close()


def test_a_host_can_not_be_made_to_write_outside_a_tree(ssh_host: SshHost) -> None:
    order = {"base": "", "dropped": [], "sent": [], "packed": False, "look": False}
    for tree, path in (("0" * 16, "../x"), ("0" * 16, "/x"), ("../../bin", "x")):
        with pytest.raises(HostError, match=r"leads out|no hash"):
            ssh_host.link.ask("tree", tree=tree, changed=[[path, "d", 1, False]], **order)


def test_the_host_names_trees_as_the_console_does(source: Path) -> None:
    tree = tree_of(source)
    files = {f.path: trees.Entry(f.path, f.digest, f.size, f.executable) for f in tree.files}
    assert trees.tree_hash(files) == tree.hash


def test_a_difference_is_what_changed_and_what_went(tmp_path: Path) -> None:
    a, b, b2, c = (TreeFile(p, d, 1, False) for p, d in (("a", "1"), ("b", "2"), ("b", "3"), ("c", "4")))
    old, new = Tree(tmp_path, (a, b)), Tree(tmp_path, (b2, c))
    found = plan(new, old)
    assert (found.base, found.changed, found.dropped) == (old.hash, (b2, c), ("a",))
    assert plan(new, None).changed == (b2, c)


def test_random_bytes_do_not_pay_to_be_packed() -> None:
    assert packs_well(b"def f(x):\n    return x\n" * 1000)
    assert not packs_well(random.Random(1).randbytes(100_000))


def test_pieces_are_the_files_one_behind_the_other(source: Path) -> None:
    tree = tree_of(source)
    joined = b"".join((source / f.path).read_bytes() for f in tree.files)
    assert b"".join(pieces(source, tree.files)) == b"".join(stream(source, tree.files, False)) == joined
