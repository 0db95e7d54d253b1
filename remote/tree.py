"""The source of a project: which files belong to it, their hash, and an immutable snapshot to execute in.

What belongs to it: what git would show (tracked and untracked, not ignored); outside git, everything that is not hidden,
a cache or a virtual environment. `.git` is not copied; commit and dirtiness are recorded instead.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.protocol.layout import Root

_LARGE_BYTES = 50 << 20  # larger files are rarely source; the user is told before they are copied
_LEFT_OUT = {"__pycache__", "node_modules", "venv", "wandb", "work"}
# What can change without changing what a step computes. Configs have their own hash.
_NOT_CODE = ("*.md", "docs/*", "tests/*", "configs/*", "LICENSE", ".gitignore", ".ci/*", "Makefile")


@dataclass(frozen=True)
class TreeFile:
    """One source file."""

    path: str
    digest: str
    size: int
    executable: bool


@dataclass(frozen=True)
class Tree:
    """A project's source at one moment."""

    folder: Path
    files: tuple[TreeFile, ...]
    git: dict[str, Any] = field(default_factory=dict)

    @property
    def hash(self) -> str:
        """Of all files: names the snapshot."""
        return _hash(self.files)

    def code_hash(self, globs: tuple[str, ...] = ()) -> str:
        """Of the files that a step depends on: those that match `globs`, else all but docs, tests and configs."""
        if globs:
            return _hash(f for f in self.files if any(_within(f.path, g) for g in globs))
        return _hash(f for f in self.files if not any(fnmatch.fnmatch(f.path, g) for g in _NOT_CODE))

    @property
    def large(self) -> list[TreeFile]:
        return [f for f in self.files if f.size > _LARGE_BYTES]


def _within(path: str, glob: str) -> bool:
    """Does the glob name this file, or a folder above it?"""
    return fnmatch.fnmatch(path, glob) or path.startswith(glob.rstrip("/") + "/")


def _hash(files: Any) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.path}\0{file.digest}\0{int(file.executable)}\n".encode())
    return digest.hexdigest()[:16]


class TreeReader:
    """Reads trees, hashing again only the files whose stat has changed since the last time."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, int, int], str] = {}

    def read(self, folder: Path) -> Tree:
        """The tree of a folder as it is now."""
        files = tuple(f for f in (self._file(folder, name) for name in sorted(names(folder))) if f is not None)
        return Tree(folder, files, git_state(folder))

    def _file(self, folder: Path, name: str) -> TreeFile | None:
        path = folder / name
        try:
            about = path.lstat()
            if not stat.S_ISREG(about.st_mode):
                return None if not path.is_file() else self._linked(path, name)
            key = (str(path), about.st_size, about.st_mtime_ns, about.st_ino)
            if key not in self._known:
                self._known[key] = _digest(path, about)
        except OSError:  # deleted meanwhile, or listed by git and gone
            return None
        return TreeFile(name, self._known[key], about.st_size, bool(about.st_mode & stat.S_IXUSR))

    def _linked(self, path: Path, name: str) -> TreeFile:
        about = path.stat()
        return TreeFile(name, _digest(path, about), about.st_size, os.access(path, os.X_OK))


def _digest(path: Path, about: os.stat_result) -> str:
    """Of the content; of size and time for a large file: gigabytes of data beside the source are not read at every look."""
    if about.st_size > _LARGE_BYTES:
        return f"{about.st_size}:{about.st_mtime_ns}"
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def names(folder: Path) -> list[str]:
    """The files that belong to the project, relative to its folder."""
    listed = _git(folder, "ls-files", "-co", "--exclude-standard", "-z", "--", ".")
    if listed is not None:
        return [n for n in listed.split("\0") if n]
    found = []
    for here, folders, files in os.walk(folder):
        folders[:] = [
            d for d in folders if d not in _LEFT_OUT and not d.startswith(".") and not d.endswith(".egg-info")
        ]
        found += [os.path.relpath(os.path.join(here, f), folder) for f in files if not f.endswith(".pyc")]
    return found


def git_state(folder: Path) -> dict[str, Any]:
    """Commit, branch and whether there are changes beyond it; empty outside git."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return {}
    changed = _git(folder, "status", "--porcelain", "--", ".") or ""
    branch = (_git(folder, "rev-parse", "--abbrev-ref", "HEAD") or "").strip()
    return {"commit": commit.strip(), "branch": branch, "dirty": bool(changed.strip())}


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None


class TreeChanged(Exception):
    """A file was edited between the look at the tree and its copy: look again."""


def snapshot(tree: Tree, root: Root) -> Path:
    """The tree's immutable copy under `<root>/trees/<hash>`; made at the first call, whole or not at all.

    What is copied is what was hashed: a file that was edited meanwhile raises TreeChanged.
    """
    target = root.trees / tree.hash
    if target.is_dir():
        return target
    root.trees.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".tree-", dir=root.trees))
    try:
        for file in tree.files:
            copy = staging / file.path
            copy.parent.mkdir(parents=True, exist_ok=True)
            _copy(tree, file, copy)
            copy.chmod(0o555 if file.executable else 0o444)
        os.rename(staging, target)
    except (OSError, TreeChanged):
        shutil.rmtree(staging, ignore_errors=True)
        if not target.is_dir():  # else another console was first
            raise
    return target


def _copy(tree: Tree, file: TreeFile, copy: Path) -> None:
    """Copy one file and hash what was copied."""
    source = tree.folder / file.path
    try:
        before = source.stat()
        shutil.copyfile(source, copy)
        after = source.stat()
    except FileNotFoundError:
        raise TreeChanged(f"{source} was taken away while the project was copied; start it again") from None
    same = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    if not same or _digest(source if after.st_size > _LARGE_BYTES else copy, after) != file.digest:
        raise TreeChanged(f"{source} was edited while the project was copied; start it again")
