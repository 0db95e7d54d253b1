"""The helper: one resident process per console and host, started over SSH, answering requests and telling what runs write.

    python3 -S -E -c 'exec(engine/supervisor/lay.py)'    # which calls `main` here; stdin and stdout are frames

Request  {"id": n, "op": …} [+ payload]        more of its payload: {"to": n} + bytes, last {"to": n, "end": true}
Answer   {"re": n, …} or {"re": n, "error": kind, "message": words}; parts before it: {"part": n} + bytes
Watch    {"watch": w, "run": …, "offsets": {file: bytes}} → {"w": w, "file": …, "at": …} + bytes …; {"unwatch": w}
Life     {"beat": time} every 2 s; the console sends {"ping": time} every 3 s

Guarantees: it ends when stdin does, and 10 s after the last sign of its console, even in the middle of a write that nobody
reads: nothing leaks. What a run has started has nothing to do with this process and goes on.
"""

from __future__ import annotations

import contextlib
import os
import queue
import select
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from engine.protocol.durable import read_json, write_json
from engine.protocol.frames import MAGIC, BadFrame, Decoder, Frame, encode_head
from engine.protocol.layout import Root, safe_id
from engine.supervisor.answers import Answers, Refusal, hello
from engine.supervisor.inotify import Inotify
from engine.supervisor.watch import RunWatch, watch_of

BEAT_S = 2.0
# Five pings; a console that sleeps or lost its network comes back with a new helper.
ALONE_S = 10.0

# A log that is being written is looked at often, a quiet one seldom: without inotify this is the delay of a line, with it
# only the net under what inotify does not hear (network file systems).
_HOT_S, _COLD_S, _COOLING = 0.02, 0.25, 1.3
_NET_S = 0.5
_WORKERS = 4


class Wire:
    """Frames out, whole, from several threads."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = threading.Lock()

    def send(self, head: dict[str, Any], payload: bytes = b"") -> None:
        begin = encode_head(head, len(payload))
        with self._lock:
            self._write(begin + payload if len(payload) < 4096 else begin)
            if len(payload) >= 4096:
                self._write(payload)

    def greet(self, head: dict[str, Any]) -> None:
        with self._lock:
            self._write(b"\n" + MAGIC + encode_head(head))

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(self._fd, left) :]


class Teller(threading.Thread):
    """Tells what the watched runs write, and that we live."""

    def __init__(self, wire: Wire, root: Root) -> None:
        super().__init__(daemon=True)
        self.wire, self.root = wire, root
        self._watches: dict[int, RunWatch] = {}
        self._folders: dict[int, int] = {}
        """inotify's number → ours."""
        self._changes: queue.SimpleQueue[tuple[int, RunWatch | None]] = queue.SimpleQueue()
        self._wake_r, self._wake_w = os.pipe()
        self._inotify = Inotify.open()
        self._poll_s = _HOT_S

    def change(self, number: int, watch: RunWatch | None) -> None:
        """Called from the reading thread: begin a watch, or end one."""
        self._changes.put((number, watch))
        os.write(self._wake_w, b"x")

    def run(self) -> None:
        next_beat = 0.0
        heard: set[int] | None = None
        while True:
            self._take_changes()
            told = self._tell(heard)
            now = time.monotonic()
            if now >= next_beat:
                self.wire.send({"beat": time.time()})
                next_beat = now + BEAT_S
            heard = self._wait(told, next_beat - now)

    def _take_changes(self) -> None:
        while not self._changes.empty():
            number, watch = self._changes.get()
            for folder in [f for f, n in self._folders.items() if n == number]:
                del self._folders[folder]
            self._watches.pop(number, None)
            if watch is not None:
                self._watches[number] = watch
                self._listen(number, watch)

    def _listen(self, number: int, watch: RunWatch) -> None:
        # inotify has one number per folder: two watches of one run share it, and the second is looked at by the net.
        folder = self._inotify.add(watch.paths.folder) if self._inotify else None
        if folder is not None:
            self._folders.setdefault(folder, number)

    def _tell(self, heard: set[int] | None) -> bool:
        """Look where something was heard (None: everywhere); True if there was news."""
        told = False
        numbers = None if heard is None or -1 in heard else {self._folders.get(folder) for folder in heard}
        for number, watch in list(self._watches.items()):
            if numbers is not None and number not in numbers and not watch.hungry:
                continue
            for piece in watch.look(time.monotonic()):
                told = told or "status" not in piece.head
                self.wire.send({"w": number, **piece.head}, piece.payload)
        return told

    def _wait(self, told: bool, beat_in_s: float) -> set[int] | None:
        """Until something may be new: what was heard, or None for "look everywhere"."""
        if any(watch.hungry for watch in self._watches.values()):
            return self._heard_now()
        self._poll_s = _HOT_S if told else min(_COLD_S, self._poll_s * _COOLING)
        all_heard = self._inotify is not None and len(self._folders) == len(self._watches)
        pause = _NET_S if all_heard else self._poll_s
        fds = [self._wake_r] + ([self._inotify.fd] if self._inotify else [])
        ready, _, _ = select.select(fds, [], [], max(0.0, min(pause if self._watches else beat_in_s, beat_in_s)))
        if self._wake_r in ready:
            os.read(self._wake_r, 4096)
            return None
        return self._heard_now() if ready and all_heard else None

    def _heard_now(self) -> set[int]:
        return self._inotify.heard() if self._inotify else set()


class Server:
    """Reads requests and sees that each is answered."""

    def __init__(self, root: Root, code: Path, fd_in: int = 0, fd_out: int = 1) -> None:
        self.root = root
        self.wire = Wire(fd_out)
        self._fd_in = fd_in
        self._answers = Answers(root, code)
        self._teller = Teller(self.wire, root)
        self._workers = ThreadPoolExecutor(_WORKERS)
        self._incoming: dict[int, queue.Queue[bytes | None]] = {}
        self.heard_at = time.monotonic()

    def serve(self) -> None:
        """Until stdin ends."""
        self.wire.greet(hello(self.root))
        self._teller.start()
        decoder = Decoder()
        while data := os.read(self._fd_in, 256 << 10):
            self.heard_at = time.monotonic()
            for frame in decoder.feed(data):
                self._take(frame)

    def _take(self, frame: Frame) -> None:
        head = frame.head
        if "op" in head:
            self._request(head, frame.payload)
        elif "to" in head:
            self._more(head, frame.payload)
        elif "watch" in head:
            self._watch(head)
        elif "unwatch" in head:
            self._teller.change(head["unwatch"], None)

    def _watch(self, head: dict[str, Any]) -> None:
        with contextlib.suppress(ValueError):
            watch = watch_of(self.root.runs, safe_id(head["run"]), head.get("offsets", {}), tuple(head.get("only", ())))
            self._teller.change(head["watch"], watch)

    def _more(self, head: dict[str, Any], payload: bytes) -> None:
        incoming = self._incoming.get(head["to"])
        if incoming is not None:
            incoming.put(payload)
            if head.get("end"):
                incoming.put(None)

    def _request(self, head: dict[str, Any], payload: bytes) -> None:
        number, op = head["id"], head["op"]
        if op in self._answers.quick:
            self._answer(number, lambda: self._answers.quick[op](head))
        elif op in self._answers.slow:
            # Bounded: what comes faster than a disk writes waits in the pipe, not in memory.
            self._incoming[number] = queue.Queue(64)
            if payload:
                self._incoming[number].put(payload)
            if not head.get("follows"):
                self._incoming[number].put(None)
            self._workers.submit(self._slow, number, op, head)
        else:
            self.wire.send({"re": number, "error": "host", "message": f"this helper knows no {op!r}"})

    def _slow(self, number: int, op: str, head: dict[str, Any]) -> None:
        incoming = self._incoming[number]

        def stream(part: dict[str, Any], data: bytes) -> None:
            self.wire.send({"part": number, **part}, data)

        self._answer(number, lambda: self._answers.slow[op](head, stream, _payloads(incoming)))
        del self._incoming[number]
        while not incoming.empty():  # whoever still puts must not wait for us
            incoming.get()
        while not self._answers.afterwards.empty():
            with contextlib.suppress(OSError, queue.Empty):
                self._answers.afterwards.get_nowait()()

    def _answer(self, number: int, work: Any) -> None:
        """Whatever goes wrong with one request is told to who asked; the helper lives on."""
        try:
            head, payload = work()
        except Refusal as error:
            head, payload = {"error": error.kind, "message": str(error)}, b""
        except OSError as error:
            head, payload = {"error": "host", "message": _words(error), "errno": error.errno}, b""
        except Exception as error:
            said = traceback.format_exc(limit=-3)
            head, payload = {"error": "host", "message": f"{type(error).__name__}: {error}", "trace": said}, b""
        self.wire.send({"re": number, **head}, payload)


def _words(error: OSError) -> str:
    return f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "")


def _payloads(incoming: queue.Queue[bytes | None]) -> Iterator[bytes]:
    while (data := incoming.get()) is not None:
        yield data


def state(root: Root, stated: dict[str, Any]) -> None:
    """Write down what the console's file says of this host; the rest of its own file stays."""
    kept = read_json(root.host_file) or {}
    if {**kept, **stated} != kept:
        write_json(root.host_file, {**kept, **stated})


def _mind(server: Server, alone_s: float) -> None:
    """End the process when its console is gone without a word; nothing here may block."""
    while True:
        time.sleep(alone_s / 10)
        if time.monotonic() - server.heard_at > alone_s:
            os._exit(0)


def main(
    root: str, code: str, cwd: str = "", alone_s: float | None = None, stated: dict[str, Any] | None = None
) -> int:
    """Serve on stdin and stdout until the console is gone."""
    if stated:
        state(Root(Path(root)), stated)
    if cwd:
        with contextlib.suppress(OSError):
            os.chdir(os.path.expanduser(cwd))
    server = Server(Root(Path(root)), Path(code))
    threading.Thread(target=_mind, args=(server, alone_s or ALONE_S), daemon=True).start()
    try:
        server.serve()
    except (OSError, BadFrame):
        os._exit(1)
    # Threads may be in the middle of a write to nobody; what they do is safe to leave at any moment.
    os._exit(0)
