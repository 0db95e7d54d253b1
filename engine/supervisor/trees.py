"""Snapshots of a project's source on a host: immutable folders `trees/<hash>`, whose unchanged files are hard links.

A console says which files a tree has and what differs from one that is here already; what is here is looked at again, file
by file, before it is used: a size, time or inode that is not the one we left means that somebody touched it.

Guarantees: a tree is there whole or not at all; every file that came over the wire has the content that was announced.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.protocol.layout import Root

_RECENT = 3
_HASH = re.compile(r"[0-9a-f]{16}\Z")


Marks = tuple[int, int, int]
"""Size, time, inode."""
Source = tuple[str, str, Marks]
"""A file that can be linked: its tree's folder, its path there, its marks, which the link will have too."""


class BadContent(Exception):
    """What came is not what was announced."""


@dataclass(frozen=True)
class Entry:
    """A file of a tree."""

    path: str
    digest: str
    size: int
    executable: bool


@dataclass(frozen=True)
class Order:
    """The tree that is wanted, told as a difference from one that may be here."""

    tree: str
    base: str
    """Hash of the tree that this one is told from; empty: every file is listed."""
    changed: list[Entry]
    dropped: list[str]
    sent: list[str] = field(default_factory=list)
    """Files whose content follows, in this order, one behind the other."""
    packed: bool = False
    """What follows is one zlib stream."""

    @staticmethod
    def from_json(value: dict[str, Any]) -> Order:
        for name in (value["tree"], *([value["base"]] if value["base"] else [])):
            if not _HASH.match(name):
                raise BadContent(f"{name!r} is no hash of a tree")
        changed = [Entry(*item) for item in value["changed"]]
        for entry in changed:
            if entry.path.startswith("/") or ".." in entry.path.split("/"):
                raise BadContent(f"{entry.path} leads out of the tree")
        return Order(value["tree"], value["base"], changed, value["dropped"], value["sent"], value["packed"])


@dataclass
class Kept:
    """What we know of a tree here: its files, and the marks that they had when we left them."""

    files: dict[str, Entry]
    marks: dict[str, Marks]


def tree_hash(files: dict[str, Entry]) -> str:
    """As `remote.tree` computes it."""
    digest = hashlib.sha256()
    for path in sorted(files):
        entry = files[path]
        digest.update(f"{path}\0{entry.digest}\0{int(entry.executable)}\n".encode())
    return digest.hexdigest()[:16]


_known: dict[Path, Kept] = {}
"""Manifests that this process has read or written; a tree never changes."""


def manifest_path(root: Root, tree: str) -> Path:
    return root.trees / f".manifest-{tree}.json"


def kept(root: Root, tree: str) -> Kept | None:
    """What we know of a tree that is here; None where it is not, or nothing was written down."""
    path = manifest_path(root, tree)
    if path not in _known:
        try:
            rows = json.loads(path.read_bytes())
            files = {r[0]: Entry(r[0], r[1], r[2], r[3]) for r in rows}
            _known[path] = Kept(files, {r[0]: (r[2], r[4], r[5]) for r in rows})
        except (OSError, ValueError, LookupError, TypeError):
            return None
    return _known[path]


def sound(folder: str, known: Kept) -> set[str]:
    """The files of a tree that are as we left them."""
    found = set()
    for path, (size, mtime_ns, ino) in known.marks.items():
        try:
            about = os.lstat(f"{folder}/{path}")
        except OSError:
            continue
        if (about.st_size, about.st_mtime_ns, about.st_ino) == (size, mtime_ns, ino):
            found.add(path)
    return found


def wanted(root: Root, order: Order) -> dict[str, Entry] | None:
    """Every file of the tree; None where the base is not known here and the console has to list all."""
    files: dict[str, Entry] = {}
    if order.base:
        base = kept(root, order.base)
        if base is None:
            return None
        files = dict(base.files)
        for path in order.dropped:
            files.pop(path, None)
    files.update((e.path, e) for e in order.changed)
    return files if tree_hash(files) == order.tree else None


@dataclass(frozen=True)
class Survey:
    """What a look at this host's trees has shown for an order."""

    files: dict[str, Entry]
    is_here: bool
    sources: dict[str, Source]
    """Per wanted file one that is here, with the same content and rights."""
    missing: list[str]
    """Files whose content is not here and does not follow."""


def survey(root: Root, order: Order) -> Survey | None:
    """Look at every file that could be used; None: "I don't know your base, list everything"."""
    files = wanted(root, order)
    if files is None:
        return None
    here = _is_here(root, order.tree, files)
    sources = {} if here else _sources(root, order, files)
    sent = set(order.sent)
    missing = [] if here else [path for path in files if path not in sources and path not in sent]
    return Survey(files, here, sources, sorted(missing))


def _is_here(root: Root, tree: str, files: dict[str, Entry]) -> bool:
    known = kept(root, tree)
    return known is not None and len(sound(str(root.trees / tree), known)) == len(files)


def _sources(root: Root, order: Order, files: dict[str, Entry]) -> dict[str, Source]:
    """At its own place in the base (or in a damaged copy of the tree itself), or anywhere in it under another name."""
    found: dict[str, Source] = {}
    for tree in _likely(root, order):
        if len(found) + len(order.sent) >= len(files):
            break
        known = kept(root, tree)
        if known is None:
            continue
        folder = str(root.trees / tree)
        good = sound(folder, known)
        left = [path for path in files if path not in found]
        old, marks = known.files, known.marks
        at_home = [p for p in left if p in good and (old[p] is files[p] or old[p] == files[p])]
        found.update((path, (folder, path, marks[path])) for path in at_home)
        if len(at_home) < len(left):
            places = {(old[p].digest, old[p].executable): p for p in good}
            for path in left:
                place = places.get((files[path].digest, files[path].executable))
                if place is not None:
                    found.setdefault(path, (folder, place, marks[place]))
    return found


def _likely(root: Root, order: Order) -> Iterator[str]:
    """Trees that may hold the files; the ones made last too, for a console that remembers no base."""
    yield from (tree for tree in dict.fromkeys((order.base, order.tree)) if tree)
    manifests = sorted(root.trees.glob(".manifest-*.json"), key=lambda p: p.stat().st_mtime, reverse=True)
    for path in manifests[:_RECENT]:
        yield path.name[len(".manifest-") : -len(".json")]


def build(root: Root, order: Order, seen: Survey, incoming: Iterator[bytes]) -> Path:
    """Make the tree from what is here and what comes; its folder."""
    target = root.trees / order.tree
    if seen.is_here:
        return target
    root.trees.mkdir(parents=True, exist_ok=True)
    staging = tempfile.mkdtemp(prefix=".tree-", dir=root.trees)
    try:
        laid = _take_ahead(root, order.base, staging)
        marks = _fill(staging, laid, seen.files, seen.sources, order, incoming)
        os.chmod(staging, 0o755)
        _put_in_place(staging, target)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    _write_manifest(root, order.tree, seen.files, marks)
    return target


def ahead_path(root: Root, tree: str) -> Path:
    return root.trees / f".ahead-{tree}"


def lay_ahead(root: Root, tree: str) -> None:
    """Copy a tree by hard links while nobody waits: the next one differs in a few files and begins with this copy."""
    known, ahead = kept(root, tree), ahead_path(root, tree)
    if known is None or ahead.exists() or len(sound(str(root.trees / tree), known)) != len(known.files):
        return
    staging = tempfile.mkdtemp(prefix=".tree-", dir=root.trees)
    try:
        _make_folders(staging, known.files)
        folder = str(root.trees / tree)
        _link_all(staging, {path: (folder, path, marks) for path, marks in known.marks.items()})
        os.rename(staging, ahead)
    except OSError:
        shutil.rmtree(staging, ignore_errors=True)
    for old in root.trees.glob(".ahead-*"):
        if old != ahead:
            shutil.rmtree(old, ignore_errors=True)


def _take_ahead(root: Root, base: str, staging: str) -> set[str]:
    """Begin with the copy that was laid ahead, where there is one: the files that lie in `staging` now."""
    known = kept(root, base) if base else None
    if known is None:
        return set()
    try:
        os.rename(ahead_path(root, base), staging)  # onto the empty folder; one of two that want it gets it
    except OSError:
        return set()
    return set(known.files)


def _fill(
    staging: str,
    laid: set[str],
    files: dict[str, Entry],
    sources: dict[str, Source],
    order: Order,
    incoming: Iterator[bytes],
) -> dict[str, Marks]:
    """What lies there already stays where the base has the same file in the same place, and was looked at in the survey."""
    sent = set(order.sent)
    stays = {
        p for p in laid if p in sources and sources[p][1] == p and p not in sent and _is_of(sources[p], order.base)
    }
    for path in laid - stays:
        os.unlink(f"{staging}/{path}")
    _make_folders(staging, files)
    reader = _Reader(_unpacked(incoming) if order.packed else incoming)
    came = {path: _write_file(f"{staging}/{path}", files[path], reader) for path in order.sent}
    rest = {path: source for path, source in sources.items() if path not in came and path not in stays}
    return came | {path: sources[path][2] for path in stays} | _link_all(staging, rest)


def _is_of(source: Source, tree: str) -> bool:
    return source[0].endswith(f"/{tree}")


def _link_all(staging: str, sources: dict[str, Source]) -> dict[str, Marks]:
    """Thousands of links: folder by folder, so that the system does not walk two long paths for each."""
    marks: dict[str, Marks] = {}
    by_folders: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for path, (tree, place, its_marks) in sources.items():
        from_folder, _, from_name = f"{tree}/{place}".rpartition("/")
        to_folder, _, name = f"{staging}/{path}".rpartition("/")
        by_folders.setdefault((from_folder, to_folder), []).append((from_name, name))
        marks[path] = its_marks
    copied = False
    for (from_folder, to_folder), pairs in by_folders.items():
        copied = _link_folder(from_folder, to_folder, pairs) or copied
    return {path: _marks(f"{staging}/{path}") for path in marks} if copied else marks


def _link_folder(from_folder: str, to_folder: str, pairs: list[tuple[str, str]]) -> bool:
    """True where a file had to be copied: on a file system without hard links, or with too many on one file."""
    source, target = os.open(from_folder, os.O_RDONLY), os.open(to_folder, os.O_RDONLY)
    copied = False
    try:
        for old, new in pairs:
            try:
                os.link(old, new, src_dir_fd=source, dst_dir_fd=target)
            except OSError:
                shutil.copyfile(f"{from_folder}/{old}", f"{to_folder}/{new}")
                shutil.copymode(f"{from_folder}/{old}", f"{to_folder}/{new}")
                copied = True
    finally:
        os.close(source)
        os.close(target)
    return copied


def _marks(path: str) -> Marks:
    about = os.lstat(path)
    return about.st_size, about.st_mtime_ns, about.st_ino


def _make_folders(staging: str, files: dict[str, Entry]) -> None:
    for folder in sorted({path.rpartition("/")[0] for path in files}):
        if not os.path.isdir(f"{staging}/{folder}"):
            os.makedirs(f"{staging}/{folder}")


def _unpacked(incoming: Iterator[bytes]) -> Iterator[bytes]:
    unpack = zlib.decompressobj()
    for piece in incoming:
        if data := unpack.decompress(piece):
            yield data
    if data := unpack.flush():
        yield data


class _Reader:
    """Exact counts out of pieces of any size."""

    def __init__(self, incoming: Iterator[bytes]) -> None:
        self._incoming = incoming
        self._held = b""
        self._at = 0

    def take(self, count: int) -> Iterator[bytes]:
        while count:
            if self._at == len(self._held):
                self._held, self._at = next(self._incoming, b""), 0
                if not self._held:
                    raise BadContent("the transfer ended in the middle of a file")
            piece = self._held[self._at : self._at + count]
            self._at += len(piece)
            count -= len(piece)
            yield piece


def _write_file(place: str, entry: Entry, reader: _Reader) -> Marks:
    digest = hashlib.blake2b(digest_size=16)
    fd = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        for piece in reader.take(entry.size):
            digest.update(piece)
            left = memoryview(piece)
            while left:
                left = left[os.write(fd, left) :]
        os.fchmod(fd, 0o555 if entry.executable else 0o444)
        about = os.fstat(fd)
    finally:
        os.close(fd)
    # A very large file is named by size and time (see `remote.tree`): its content has no hash to compare with.
    if ":" not in entry.digest and digest.hexdigest() != entry.digest:
        raise BadContent(f"{entry.path} changed while it was sent; send it again")
    return about.st_size, about.st_mtime_ns, about.st_ino


def _put_in_place(staging: str, target: Path) -> None:
    try:
        os.rename(staging, target)
    except OSError:
        # There is one: of another console a moment ago, or one that somebody has damaged. Ours is known to be right; the
        # other is kept aside, since a run may stand in it.
        old = tempfile.mkdtemp(prefix=".old-", dir=target.parent)
        with contextlib.suppress(OSError):
            os.rename(target, f"{old}/tree")
        os.rename(staging, target)


def _write_manifest(root: Root, tree: str, files: dict[str, Entry], marks: dict[str, Marks]) -> None:
    rows = [[e.path, e.digest, marks[p][0], e.executable, marks[p][1], marks[p][2]] for p, e in files.items()]
    path = manifest_path(root, tree)
    fd, beside = tempfile.mkstemp(prefix=".manifest-", dir=root.trees)
    with os.fdopen(fd, "w") as file:
        file.write(json.dumps(rows, separators=(",", ":")))  # `dump` to a file is ten times slower
    os.replace(beside, path)
    _known[path] = Kept(dict(files), dict(marks))
