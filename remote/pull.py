"""Files of a run from its host to here: resumable, verified on both sides, in place only when whole.

    pull_file(host.link, Wanted(f"{work}/model.pt", here / "model.pt", sha256="…"))
    pull_run(host, run_id, root)        # what the run promised and made; notes what is verified in pulled.json

Guarantees: a file stands under its name only when every range's hash was equal there and here and, where the run recorded a
sha256, the whole file has it; a break costs at most the ranges that were on their way; a file that is still being written
is waited for.
"""

from __future__ import annotations

import hashlib
import json
import os
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from engine.protocol.durable import read_json, sync_folder, write_json
from engine.protocol.files import describe
from engine.protocol.layout import Root
from remote.helper_link import HelperLink
from remote.helper_session import Answer
from remote.host import HostError
from remote.pull_journal import Journal, Marks, Range, ranges
from remote.ssh.host import SshHost

# Ranges on their way at once, so that others are under way while one is answered and one is put on the disk.
_AT_ONCE = 4
# A file that did not change for this long is taken for finished.
_QUIET_S = 2.0
_WAIT_S = 600.0
_TRIES = 3


class PullError(HostError):
    """A file could not be brought here whole; what has come is kept for the next try."""


@dataclass(frozen=True)
class Wanted:
    """A file there and its place here."""

    path: str
    target: Path
    sha256: str | None = None
    """As the run recorded it; None: the ranges' hashes alone vouch for it."""


@dataclass(frozen=True)
class Pulled:
    path: str
    target: Path
    size: int
    fetched_bytes: int
    """Less than `size` where an earlier try had brought some already."""


Progress = Callable[[int, int], None]
"""Bytes here, bytes wanted."""


def _silent(done: int, total: int) -> None:
    pass


def pull_file(
    link: HelperLink, wanted: Wanted, progress: Progress = _silent, sleep: Callable[[float], None] = time.sleep
) -> Pulled:
    """One file, whole and verified."""
    if (size := _already_here(wanted)) is not None:
        progress(size, size)
        return Pulled(wanted.path, wanted.target, size, 0)
    wanted.target.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(_TRIES):
        marks = _settled(link, wanted.path, sleep)
        fetched = _Fetch(link, marks, Journal(wanted.target), progress).fetch()
        if fetched is not None:
            _put_in_place(wanted, marks)
            return Pulled(wanted.path, wanted.target, marks.size, fetched)
    raise PullError(f"{wanted.path} changes faster than it can be pulled; pull again when the run has ended")


def _already_here(wanted: Wanted) -> int | None:
    if wanted.sha256 is None or not wanted.target.is_file():
        return None
    return wanted.target.stat().st_size if _sha256(wanted.target) == wanted.sha256 else None


def _settled(link: HelperLink, path: str, sleep: Callable[[float], None]) -> Marks:
    """The file's marks once it is quiet; judged by the host's own clock, which may be wrong but is the same for both."""
    waited = 0.0
    while True:
        about = link.ask("stat", path=path).head
        if not about["present"]:
            raise PullError(f"{path} is not there")
        if about["folder"]:
            raise PullError(f"{path} is a folder; pull its files")
        age_s = (about["now_ns"] - about["mtime_ns"]) / 1e9
        # A time in the future (another machine's clock on a shared file system) says nothing: it is taken as it is.
        if not 0 <= age_s < _QUIET_S:
            return Marks(about["path"], about["size"], about["mtime_ns"], about["ino"])
        if waited >= _WAIT_S:
            raise PullError(f"{path} is still being written after {waited:.0f} s; pull again when the run has ended")
        sleep(_QUIET_S - age_s + 0.05)
        waited += _QUIET_S


def _put_in_place(wanted: Wanted, marks: Marks) -> None:
    journal = Journal(wanted.target)
    if wanted.sha256 is not None and (found := _sha256(journal.part)) != wanted.sha256:
        journal.end()
        raise PullError(
            f"{marks.path} is not what the run recorded: sha256 {found[:12]}… instead of {wanted.sha256[:12]}…. "
            "It was changed on the host after the run ended; nothing was put in place"
        )
    with open(journal.part, "rb") as file:
        os.fsync(file.fileno())
    os.replace(journal.part, wanted.target)
    sync_folder(wanted.target.parent)
    journal.end()


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass
class _Fetch:
    """One try at one state of a file."""

    link: HelperLink
    marks: Marks
    journal: Journal
    progress: Progress
    here: int = 0
    fetched: int = 0
    changed: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fetch(self) -> int | None:
        """Bytes fetched; None where the file changed meanwhile."""
        done = self.journal.begin(self.marks)
        self.here = sum(r.count for r in done)
        self.progress(self.here, self.marks.size)
        left = ranges(self.marks.size, done)
        fd = os.open(self.journal.part, os.O_RDWR | os.O_CLOEXEC)
        try:
            with ThreadPoolExecutor(_AT_ONCE) as workers:
                for result in [workers.submit(self._range, fd, r) for r in left]:
                    result.result()
        finally:
            os.close(fd)
        return None if self.changed else self.fetched

    def _range(self, fd: int, wanted: Range) -> None:
        if self.changed:
            return
        for _ in range(_TRIES):
            digest, answer = self._receive(fd, wanted)
            seen = Marks(self.marks.path, answer.head["size"], answer.head["mtime_ns"], answer.head["ino"])
            if seen != self.marks:
                self.changed = True
                return
            if digest == answer.head["digest"]:
                os.fsync(fd)  # while the others go on; the journal says no more than what the disk holds
                self._keep(replace(wanted, digest=digest))
                return
        raise PullError(f"{self.marks.path}: bytes {wanted.at}… arrive changed; the way or a disk is broken")

    def _receive(self, fd: int, wanted: Range) -> tuple[str, Answer]:
        """Ask for a range, write what comes; again from its beginning where the connection is lost."""

        def once(_: Any) -> Answer:
            sink = _Sink(fd, wanted.at)
            try:
                answer = self.link.bulk().ask(
                    "range", None, on_part=sink.put, path=self.marks.path, at=wanted.at, count=wanted.count
                )
            finally:
                digest.append(sink.end())
            return answer

        digest: list[str] = []
        answer = self.link.persist(once)
        return digest[-1], answer

    def _keep(self, done: Range) -> None:
        with self._lock:
            self.journal.add(done)
            self.here += done.count
            self.fetched += done.count
            self.progress(self.here, self.marks.size)


class _Sink:
    """Writes and hashes what comes, beside the thread that receives it."""

    def __init__(self, fd: int, at: int) -> None:
        self._fd, self._at = fd, at
        self._digest = hashlib.sha256()
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._problem: OSError | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def put(self, head: dict[str, Any], data: bytes) -> None:
        self._queue.put(data)

    def end(self) -> str:
        self._queue.put(None)
        self._thread.join()
        if self._problem is not None:
            raise PullError(f"can't write here: {self._problem.strerror}; what has come is kept, pull again")
        return self._digest.hexdigest()

    def _work(self) -> None:
        while (data := self._queue.get()) is not None:
            if self._problem is None:
                try:
                    self._write(data)
                except OSError as error:
                    self._problem = error

    def _write(self, data: bytes) -> None:
        self._digest.update(data)
        left = memoryview(data)
        while left:
            count = os.pwrite(self._fd, left, self._at)
            self._at += count
            left = left[count:]


# A run's files


@dataclass(frozen=True)
class RunPull:
    """What became of a run's artifacts."""

    pulled: list[Pulled]
    problems: list[str]
    """Required files that are not here, each with why."""


def pull_run(
    host: SshHost,
    run_id: str,
    root: Root,
    only_required: bool = False,
    progress: Callable[[str, int, int], None] = lambda path, done, total: None,
    sleep: Callable[[float], None] = time.sleep,
) -> RunPull:
    """The artifacts of a run into the same work folder under our root; what is verified is noted beside the run's mirror."""
    spec = host.spec(run_id)
    target = root.work(spec.project, spec.phase, spec.variant)
    pulled, problems, verified = [], [], dict((read_json(root.run(run_id).pulled) or {}).get("verified", {}))
    for about in _recorded(host, run_id):
        path = about["path"]
        if about.get("missing") or (only_required and not about.get("required")):
            if about.get("missing") and about.get("required"):
                problems.append(f"{path}: the run did not make it")
            continue
        try:
            pulled += _artifact(host, f"{spec.work}/{path}", target / path, about, progress, sleep)
            verified[path] = about["sha256"]
        except PullError as error:
            problems.append(str(error))
    (root.run(run_id).folder).mkdir(parents=True, exist_ok=True)
    write_json(root.run(run_id).pulled, {"verified": verified, "work": str(target), "host": host.name})
    return RunPull(pulled, problems)


def _artifact(
    host: SshHost,
    path: str,
    target: Path,
    about: dict[str, Any],
    progress: Callable[[str, int, int], None],
    sleep: Callable[[float], None],
) -> list[Pulled]:
    """One recorded artifact, a file or a folder, and its hash as a whole."""
    files = [name for name, _ in host.link.ask("list", path=path).head["files"]]
    if files == [""]:
        wanted = Wanted(path, target, about["sha256"])
        return [pull_file(host.link, wanted, lambda done, total: progress(about["path"], done, total), sleep)]
    if target.is_dir() and describe(target)["sha256"] == about["sha256"]:
        return []
    found = []
    for name in files:
        wanted = Wanted(f"{path}/{name}", target / name)
        shown = f"{about['path']}/{name}"
        found.append(pull_file(host.link, wanted, lambda done, total, s=shown: progress(s, done, total), sleep))  # type: ignore[misc]
    if (now := describe(target)["sha256"]) != about["sha256"]:
        raise PullError(
            f"{about['path']} is not the folder that the run recorded (sha256 {now[:12]}… here): it changed on the host, "
            f"or {target} holds other files too"
        )
    return found


def pull_checkpoint(host: SshHost, run_id: str, root: Root, sleep: Callable[[float], None] = time.sleep) -> str | None:
    """The last checkpoint that a run spoke of, for one that did not come to its end; None where it wrote none."""
    spec = host.spec(run_id)
    path = _last_checkpoint(host, run_id)
    if path is None or not host.link.ask("stat", path=f"{spec.work}/{path}").head["present"]:
        return None
    target = root.work(spec.project, spec.phase, spec.variant) / path
    for name, _ in host.link.ask("list", path=f"{spec.work}/{path}").head["files"]:
        here = target / name if name else target
        pull_file(host.link, Wanted(f"{spec.work}/{path}/{name}".rstrip("/"), here), sleep=sleep)
    return path


def _last_checkpoint(host: SshHost, run_id: str) -> str | None:
    found, at, size = None, 0, 1
    rest = b""
    while at < size:
        chunk = host.read(run_id, "events.jsonl", at, 4 << 20)
        if not chunk.data:
            break
        *lines, rest = (rest + chunk.data).split(b"\n")
        at, size = chunk.offset + len(chunk.data), chunk.size
        for event in (json.loads(line) for line in lines if b'"checkpoint"' in line):
            found = str(event["path"]) if event.get("kind") == "checkpoint" and event.get("path") else found
    return None if found is None or found.startswith("/") or ".." in found else found


def unverified(root: Root, run_id: str, recorded: list[dict[str, Any]]) -> list[str]:
    """Required artifacts of a run whose verified copy is not here: what holds a termination back."""
    verified = (read_json(root.run(run_id).pulled) or {}).get("verified", {})
    return [
        about["path"]
        for about in recorded
        if about.get("required") and not about.get("missing") and verified.get(about["path"]) != about.get("sha256")
    ]


def _recorded(host: SshHost, run_id: str) -> list[dict[str, Any]]:
    data, size = b"", 1
    while len(data) < size:
        chunk = host.read(run_id, "artifacts.json", len(data), 16 << 20)
        data, size = data + chunk.data, chunk.size
        if not chunk.data:
            break
    if not data:
        raise PullError(f"{run_id} has recorded no artifacts yet: it has not ended")
    found: list[dict[str, Any]] = json.loads(data)["artifacts"]
    return found
