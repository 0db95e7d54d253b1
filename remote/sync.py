"""A project's source onto a host: what is there is looked at there, what is missing goes over in one stream, once.

    Sync(link).put(tree)      # → the folder of an immutable snapshot on the host

The usual case, a few files changed since the last time, takes one round trip: the difference from the tree that the host
has is sent together with the content, and the host verifies both the old files and the new ones before it answers.
Guarantees: an interrupted sync leaves no half tree; a run that executes in a snapshot is not touched by the next sync.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.protocol.frames import PIECE
from remote.helper_link import HelperLink
from remote.host import HostError, LaunchError
from remote.tree import Tree, TreeFile

# So much is sent without asking first whether the host has it already: less than a round trip is worth.
_UNASKED_BYTES = 4 << 20
# Packing costs a core about 10 ms a megabyte; on a link nearer than this the bytes are faster unpacked.
_FAR_S = 0.01
_WORTH_PACKING = 0.75
_SAMPLE = 256 << 10


class ChangedMeanwhile(LaunchError):
    """A file changed while it was sent; sync again."""


@dataclass(frozen=True)
class Difference:
    """What turns one tree into another."""

    base: str
    changed: tuple[TreeFile, ...]
    dropped: tuple[str, ...]

    @property
    def bytes(self) -> int:
        return sum(f.size for f in self.changed)


def plan(tree: Tree, base: Tree | None) -> Difference:
    """The difference from what the host has; from nothing where that is not known. Pure."""
    if base is None:
        return Difference("", tree.files, ())
    old = {f.path: f for f in base.files}
    # A file that was not read again is the same object: thousands of comparisons less.
    changed = tuple(f for f in tree.files if (was := old.get(f.path)) is not f and was != f)
    return Difference(base.hash, changed, tuple(old.keys() - {f.path for f in tree.files}))


@dataclass(frozen=True)
class Synced:
    """What a sync did, or would do."""

    path: str
    """Of the snapshot on the host; empty for a dry run."""
    sent: tuple[TreeFile, ...]
    files: int
    large: tuple[TreeFile, ...] = field(default=())
    """Of the sent ones those that are hardly source: the user is warned before."""

    @property
    def sent_bytes(self) -> int:
        return sum(f.size for f in self.sent)


class Sync:
    """Remembers which tree a host has. One thread at a time."""

    def __init__(self, link: HelperLink) -> None:
        self._link = link
        self._base: Tree | None = None
        self._is_far: bool | None = None

    def look(self, tree: Tree) -> Synced:
        """A dry run: what `put` would send."""
        return self._result("", tree, self._missing(tree))

    def _missing(self, tree: Tree) -> list[str]:
        missing = self._ask(tree, plan(tree, self._base), [], look=True).get("missing")
        if missing is None:
            missing = self._ask(tree, plan(tree, None), [], look=True)["missing"]
        return list(missing)

    def put(self, tree: Tree) -> Synced:
        """Have the tree there."""
        difference = plan(tree, self._base)
        is_small = self._base is not None and difference.bytes <= _UNASKED_BYTES
        sent = [f.path for f in difference.changed] if is_small else []
        answer = self._ask(tree, difference, sent)
        # The host may have lost the base, or miss more than we thought; each answer names exactly what is needed.
        for _ in range(3):
            if "path" in answer:
                self._base = tree
                return self._result(answer["path"], tree, sent)
            if answer["missing"] is None:
                difference, sent = plan(tree, None), []
            else:
                sent = [*sent, *answer["missing"]]
            answer = self._ask(tree, difference, sent)
        raise HostError(
            "the host's snapshots change faster than they can be sent to; is its disk full or being cleaned?"
        )

    def _ask(self, tree: Tree, difference: Difference, sent: list[str], look: bool = False) -> dict[str, Any]:
        by_path = {f.path: f for f in tree.files} if sent else {}
        files = [by_path[path] for path in sent]
        packed = self._pays_to_pack(tree.folder, files)
        args: dict[str, Any] = {
            "tree": tree.hash,
            "base": difference.base,
            "changed": [[f.path, f.digest, f.size, f.executable] for f in difference.changed],
            "dropped": list(difference.dropped),
            "sent": sent,
            "packed": packed,
            "look": look,
        }
        if not sent:
            return self._link.ask("tree", timeout_s=600.0, **args).head
        return self._link.send("tree", lambda: stream(tree.folder, files, packed), **args).head

    def _pays_to_pack(self, folder: Path, files: list[TreeFile]) -> bool:
        if sum(f.size for f in files) <= _SAMPLE:
            return False
        if self._is_far is None:
            before = time.monotonic()
            self._link.ask("echo")
            self._is_far = time.monotonic() - before > _FAR_S
        return self._is_far and packs_well(next(pieces(folder, files)))

    def _result(self, path: str, tree: Tree, sent: list[str]) -> Synced:
        wanted = set(sent)
        files = tuple(f for f in tree.files if f.path in wanted)
        large = {f.path for f in tree.large}
        return Synced(path, files, len(tree.files), tuple(f for f in files if f.path in large))


def packs_well(sample: bytes) -> bool:
    """Does what these bytes stand for become clearly smaller?"""
    return len(zlib.compress(sample[:_SAMPLE], 1)) < _WORTH_PACKING * len(sample[:_SAMPLE])


def stream(folder: Path, files: Iterable[TreeFile], packed: bool) -> Iterator[bytes]:
    """The contents one behind the other, packed or plain."""
    if not packed:
        yield from pieces(folder, files)
        return
    pack = zlib.compressobj(1)
    for piece in pieces(folder, files):
        if data := pack.compress(piece):
            yield data
    yield pack.flush()


def pieces(folder: Path, files: Iterable[TreeFile]) -> Iterator[bytes]:
    """Contents in parts of a frame's size: small files share one, large ones have many."""
    held: list[bytes] = []
    size = 0
    for file in files:
        for data in _content(folder / file.path, file.size):
            held.append(data)
            size += len(data)
            if size >= PIECE:
                yield b"".join(held)
                held, size = [], 0
    if held:
        yield b"".join(held)


def _content(path: Path, size: int) -> Iterator[bytes]:
    """Exactly `size` bytes; what is not that any more is said, not sent wrong."""
    left = size
    try:
        with open(path, "rb", buffering=0) as file:
            while left and (data := file.read(min(left, PIECE))):
                left -= len(data)
                yield data
    except OSError as error:
        raise ChangedMeanwhile(f"{path} could not be read while it was sent: {error.strerror}; sync again") from None
    if left:
        raise ChangedMeanwhile(f"{path} became shorter while it was sent; sync again")
