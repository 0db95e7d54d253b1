"""The source of a project: which files, under which hash."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from engine.protocol.layout import Root
from remote.host import LaunchError
from remote.local_host import LocalHost
from remote.tree import TreeChanged, TreeReader, git_state, names, parse_status, snapshot


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def test_outside_git_hidden_folders_and_caches_are_left_out(tmp_path: Path) -> None:
    write(tmp_path, {"train.py": "a", "src/net.py": "b", "venv/x.py": "c", "__pycache__/y.py": "d"})
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden/z.py").write_text("e")
    assert [f.path for f in TreeReader().read(tmp_path).files] == ["src/net.py", "train.py"]


def test_the_hash_follows_the_content_and_comes_back_with_it(tmp_path: Path) -> None:
    reader = TreeReader()
    write(tmp_path, {"a.py": "one"})
    first = reader.read(tmp_path).hash
    write(tmp_path, {"a.py": "two!"})
    second = reader.read(tmp_path).hash
    write(tmp_path, {"a.py": "one"})
    assert first != second
    assert reader.read(tmp_path).hash == first


def test_only_the_named_code_makes_the_code_hash(tmp_path: Path) -> None:
    write(tmp_path, {"train.py": "a", "model.pt": "weights"})
    before = TreeReader().read(tmp_path).code_hash(("*.py",))
    write(tmp_path, {"model.pt": "better weights"})
    assert TreeReader().read(tmp_path).code_hash(("*.py",)) == before
    write(tmp_path, {"train.py": "b"})
    assert TreeReader().read(tmp_path).code_hash(("*.py",)) != before


def test_a_large_file_is_known_by_size_and_time_and_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data.bin"
    data.touch()
    os.truncate(data, 60 << 20)

    def unwanted(path: Path) -> bytes:
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr(Path, "read_bytes", unwanted)
    before = TreeReader().read(tmp_path)
    assert [f.path for f in before.large] == ["data.bin"]
    os.utime(data, (1, 1))
    assert TreeReader().read(tmp_path).hash != before.hash


def test_a_snapshot_is_made_once_and_is_read_only(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    write(folder, {"a.py": "one"})
    tree, root = TreeReader().read(folder), Root(tmp_path / "root")
    copy = snapshot(tree, root)
    write(folder, {"a.py": "two"})
    assert snapshot(tree, root) == copy
    assert (copy / "a.py").read_text() == "one"
    assert (copy / "a.py").stat().st_mode & 0o222 == 0


def test_a_file_that_is_edited_after_its_hash_gives_no_snapshot(tmp_path: Path) -> None:
    folder, root = tmp_path / "project", Root(tmp_path / "root")
    write(folder, {"a.py": "one", "b.py": "one"})
    tree = TreeReader().read(folder)
    write(folder, {"b.py": "two"})
    with pytest.raises(TreeChanged, match=r"b\.py was edited while the project was copied; start it again"):
        snapshot(tree, root)
    assert list(root.trees.iterdir()) == []
    assert snapshot(TreeReader().read(folder), root).is_dir()


def test_a_file_that_is_taken_away_after_its_hash_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    write(folder, {"a.py": "one"})
    tree = TreeReader().read(folder)
    (folder / "a.py").unlink()
    with pytest.raises(TreeChanged, match=r"a\.py was taken away"):
        snapshot(tree, Root(tmp_path / "root"))


def test_a_file_that_is_edited_while_it_is_copied_gives_no_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "project"
    write(folder, {"a.py": "one"})
    tree = TreeReader().read(folder)
    copyfile = shutil.copyfile

    def slow_copy(source: Path, target: Path) -> None:
        copyfile(source, target)
        write(folder, {"a.py": "other"})

    monkeypatch.setattr(shutil, "copyfile", slow_copy)
    with pytest.raises(TreeChanged, match="was edited"):
        snapshot(tree, Root(tmp_path / "root"))


def test_a_large_file_whose_time_changed_gives_no_snapshot(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    write(folder, {"a.py": "one", "data.bin": ""})
    os.truncate(folder / "data.bin", 51 << 20)
    tree = TreeReader().read(folder)
    os.utime(folder / "data.bin", (1, 1))
    with pytest.raises(TreeChanged, match=r"data\.bin was edited"):
        snapshot(tree, Root(tmp_path / "root"))


def test_the_host_tells_of_a_changed_tree_as_its_own_error(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    write(folder, {"a.py": "one"})
    tree = TreeReader().read(folder)
    write(folder, {"a.py": "two"})
    with pytest.raises(LaunchError, match="was edited while the project was copied"):
        LocalHost(Root(tmp_path / "root")).put_tree(tree)


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True)


def test_in_git_its_own_rules_say_what_belongs(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    write(tmp_path, {"a.py": "a", ".hidden/b": "b", "out/c": "c", ".gitignore": "out/\n"})
    assert sorted(names(tmp_path)) == [".gitignore", ".hidden/b", "a.py"]


def test_the_state_of_git_is_commit_branch_and_dirtiness(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "work")
    write(tmp_path, {"a.py": "a"})
    assert git_state(tmp_path) == {}
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    clean = git_state(tmp_path)
    assert (len(clean["commit"]), clean["branch"], clean["dirty"]) == (40, "work", False)
    write(tmp_path, {"b.py": "b"})
    assert git_state(tmp_path) == {**clean, "dirty": True}


def test_outside_git_there_is_no_state(tmp_path: Path) -> None:
    assert git_state(tmp_path) == {}


def test_a_detached_head_is_called_head() -> None:
    assert parse_status("# branch.oid abc\n# branch.head (detached)\n") == {
        "commit": "abc", "branch": "HEAD", "dirty": False}  # fmt: skip


def test_a_link_to_a_file_is_read_and_one_to_a_folder_is_not(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": "a", "d/b.py": "b"})
    (tmp_path / "l.py").symlink_to("a.py")
    (tmp_path / "e").symlink_to("d")
    assert [f.path for f in TreeReader().read(tmp_path).files] == ["a.py", "d/b.py", "l.py"]


# Hashes that are kept for the next process


@pytest.fixture
def many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "many"
    write(folder, {f"m{at}.py": f"x = {at}" for at in range(30)})
    monkeypatch.setattr("remote.tree._SETTLED_NS", -(10**9))  # ctime can't be set back
    return folder


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of files that are hashed from now on."""
    from remote import tree

    calls: list[str] = []
    real = tree._digest
    monkeypatch.setattr(tree, "_digest", lambda path, about: (calls.append(path.name), real(path, about))[1])
    return calls


def test_the_next_process_hashes_only_what_has_changed(many: Path, tmp_path: Path, hashed: list[str]) -> None:
    cache = tmp_path / "cache"
    first = TreeReader(cache).read(many)
    assert len(hashed) == 30
    del hashed[:]
    assert TreeReader(cache).read(many).files == first.files
    assert hashed == []
    write(many, {"m7.py": "x = 70", "new.py": "y"})
    assert TreeReader(cache).read(many).files == TreeReader().read(many).files
    assert hashed[:2] == ["m7.py", "new.py"]


def test_an_edit_that_keeps_size_and_time_is_seen(many: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    before = TreeReader(cache).read(many)
    about = (many / "m7.py").stat()
    (many / "m7.py").write_text("x = 8")
    os.utime(many / "m7.py", ns=(about.st_atime_ns, about.st_mtime_ns))
    assert TreeReader(cache).read(many).hash != before.hash


def test_what_was_touched_just_now_is_hashed_again(
    many: Path, tmp_path: Path, hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two edits within one tick of the clock leave the same marks."""
    monkeypatch.setattr("remote.tree._SETTLED_NS", 2_000_000_000)
    TreeReader(tmp_path / "cache").read(many)
    del hashed[:]
    TreeReader(tmp_path / "cache").read(many)
    assert len(hashed) == 30


@pytest.mark.parametrize("damage", [b"", b"x\n[]", b"[["])
def test_a_damaged_list_of_hashes_is_passed_over(many: Path, tmp_path: Path, damage: bytes) -> None:
    right = TreeReader(tmp_path / "cache").read(many)
    (kept,) = (tmp_path / "cache").iterdir()
    kept.write_bytes(damage)
    assert TreeReader(tmp_path / "cache").read(many).hash == right.hash


def test_one_who_may_not_write_keeps_no_hashes(many: Path, tmp_path: Path) -> None:
    TreeReader(tmp_path / "cache", writes=False).read(many)
    assert not (tmp_path / "cache").exists()


def test_without_git_the_files_are_the_same(many: Path) -> None:
    assert TreeReader().read(many, with_git=False).files == TreeReader().read(many).files
