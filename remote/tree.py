"""The source of a project: which files belong to it, their hash, and an immutable snapshot to execute in.

What belongs to it: what git would show (tracked and untracked, not ignored); outside git, everything that is not hidden,
a cache or a virtual environment. `.git` is not copied; commit and dirtiness are recorded instead.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remote.kept import keep, read_kept

if TYPE_CHECKING:
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
            within = _named_by(globs)
            return _hash(f for f in self.files if within(f.path))
        not_code = _matching(_NOT_CODE)
        return _hash(f for f in self.files if not not_code(f.path))

    @property
    def large(self) -> list[TreeFile]:
        return [f for f in self.files if f.size > _LARGE_BYTES]


@lru_cache
def _matching(globs: tuple[str, ...]) -> Callable[[str], object]:
    """Does one of the globs name this file? As one expression: asked for every file at every look."""
    return re.compile("|".join(fnmatch.translate(os.path.normcase(g)) for g in globs)).match


@lru_cache
def _named_by(globs: tuple[str, ...]) -> Callable[[str], object]:
    """Does one of the globs name this file, or a folder above it?"""
    folders = tuple(g.rstrip("/") + "/" for g in globs)
    match = _matching(globs)
    return lambda path: path.startswith(folders) or match(path)


def _hash(files: Any) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.path}\0{file.digest}\0{int(file.executable)}\n".encode())
    return digest.hexdigest()[:16]


_Marks = tuple[int, int, int, int, int]
"""Size, mtime, ctime, inode and mode of a file: ctime moves with whatever is done to it, also by who sets the mtime back."""


@dataclass(frozen=True)
class _Seen:
    """A file as it was the last time: hashed again only when its marks have changed."""

    marks: _Marks
    file: TreeFile
    is_settled: bool
    """It had not been touched for a while when it was hashed, so no edit can hide behind the same marks."""


_SETTLED_NS = 2_000_000_000
"""A file that was touched just before it was hashed may be edited again within one tick of the clock, and look the same."""
_WORTH_KEEPING = 20
"""So many files hashed cost more than writing the list; of fewer it is not worth it."""
_MOST_PROJECTS = 50


class TreeReader:
    """Reads trees, hashing again only the files whose marks have changed since the last time, also that of an earlier process."""

    def __init__(self, cache: Path | None = None, *, writes: bool = True) -> None:
        """`cache`: the folder in which hashes are kept for the next process."""
        self._cache, self._writes = cache, writes
        self._known: dict[str, _Seen] = {}
        self._restored: set[str] = set()
        self._hashed = 0

    def read(self, folder: Path, *, with_git: bool = True) -> Tree:
        """The tree of a folder as it is now."""
        top = str(folder)
        if top not in self._restored:
            self._restored.add(top)
            self._restore(top)
        state = _GitState(folder) if with_git and is_in_git(folder) else None
        files = tuple(f for f in (self._file(top, name) for name in sorted(names(folder))) if f is not None)
        if self._hashed >= _WORTH_KEEPING:
            self._hashed = 0
            self._keep(top, files)
        return Tree(folder, files, state.read() if state else {})

    def _kept_file(self, top: str) -> Path | None:
        return self._cache / hashlib.blake2b(top.encode(), digest_size=16).hexdigest() if self._cache else None

    def _restore(self, top: str) -> None:
        file = self._kept_file(top)
        body = read_kept(file) if file is not None else None
        for name, digest, executable, *marks in json.loads(body) if body else ():
            self._known[f"{top}/{name}"] = _Seen((*marks,), TreeFile(name, digest, marks[0], executable), True)

    def _keep(self, top: str, files: tuple[TreeFile, ...]) -> None:
        file = self._kept_file(top)
        if file is None or not self._writes:
            return
        seen = [s for f in files if (s := self._known.get(f"{top}/{f.path}")) is not None and s.is_settled]
        told = [[s.file.path, s.file.digest, s.file.executable, *s.marks] for s in seen]
        keep(file, json.dumps(told, separators=(",", ":")).encode(), _MOST_PROJECTS)

    def _file(self, top: str, name: str) -> TreeFile | None:
        path = f"{top}/{name}"
        try:
            about = os.lstat(path)
            if not stat.S_ISREG(about.st_mode):
                return None if not os.path.isfile(path) else self._linked(Path(path), name)
            marks = (about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino, about.st_mode)
            seen = self._known.get(path)
            if seen is not None and seen.marks == marks:
                return seen.file
            is_settled = about.st_ctime_ns < time.time_ns() - _SETTLED_NS
            file = TreeFile(name, _digest(Path(path), about), about.st_size, bool(about.st_mode & stat.S_IXUSR))
            self._hashed += 1
        except OSError:  # deleted meanwhile, or listed by git and gone
            return None
        self._known[path] = _Seen(marks, file, is_settled)
        return file

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
    listed = _git(folder, "ls-files", "-co", "--exclude-standard", "-z", "--", ".") if is_in_git(folder) else None
    if listed is not None:
        return [n for n in listed.split("\0") if n]
    found: list[str] = []
    _walk(str(folder), "", found)
    return found


def _walk(folder: str, prefix: str, found: list[str]) -> None:
    """Files below, folders that are no source left out. What can't be read is not there."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        name = entry.name
        if not entry.is_dir(follow_symlinks=False):
            if not name.endswith(".pyc") and not (entry.is_symlink() and entry.is_dir()):
                found.append(prefix + name)
        elif name not in _LEFT_OUT and not name.startswith(".") and not name.endswith(".egg-info"):
            _walk(entry.path, f"{prefix}{name}/", found)


def is_in_git(folder: Path) -> bool:
    """Is there a repository here or above? Asked without starting git."""
    here = folder.absolute()
    return any((place / ".git").exists() for place in (here, *here.parents))


def git_state(folder: Path) -> dict[str, Any]:
    """Commit, branch and whether there are changes beyond it; empty outside git."""
    return _GitState(folder).read() if is_in_git(folder) else {}


class _GitState:
    """One `git status` that works while the files are read."""

    def __init__(self, folder: Path) -> None:
        argv = ["git", "-C", str(folder), "status", "--porcelain=v2", "--branch", "--", "."]
        self._process: subprocess.Popen[str] | None
        try:
            self._process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        except OSError:
            self._process = None

    def read(self) -> dict[str, Any]:
        if self._process is None:
            return {}
        try:
            said = self._process.communicate(timeout=60)[0]
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            return {}
        return parse_status(said) if self._process.returncode == 0 else {}


def parse_status(text: str) -> dict[str, Any]:
    """Commit, branch and dirtiness of `git status --porcelain=v2 --branch`; empty before the first commit."""
    lines = text.splitlines()
    about = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# branch."))
    if about.get("branch.oid", "(initial)") == "(initial)":
        return {}
    branch = about.get("branch.head", "")
    dirty = any(not line.startswith("#") for line in lines)
    return {"commit": about["branch.oid"], "branch": "HEAD" if branch == "(detached)" else branch, "dirty": dirty}


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
