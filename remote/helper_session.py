"""One channel to one helper: requests and answers, parts, watches; ends at the first sign that the other side is gone.

Guarantees: every request gets its answer or an error, never neither; silence for 6 s ends the session (a frozen peer keeps
its TCP connection); the end of the stream without the helper's own word is `ConnectionLost`, never an answer.
Does not guarantee: to come back. That is `remote.helper_link`.
"""

from __future__ import annotations

import base64
import contextlib
import json
import queue
import shlex
import threading
import time
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from paramiko.ssh_exception import SSHException

from engine.protocol.frames import PIECE, BadFrame, Decoder, Frame, encode_head
from engine.supervisor import lay
from remote.host import HostError, LaunchError, UnknownRun
from remote.ship import code_hash, shipped_files
from remote.ssh.connection import Connection
from remote.ssh.errors import ConnectionLost, SshRefused

# The helper signs every two seconds. Three missed signs are no slow network any more.
DEADLINE_S = 6.0
PING_S = 3.0
# A stock Python on a busy machine takes a while to start.
_START_S = 30.0

_KINDS: dict[str, type[HostError]] = {"unknown-run": UnknownRun, "launch": LaunchError, "host": HostError}


class NoHelper(SshRefused):
    """The host can be logged in to, but our helper can't run there."""


@dataclass(frozen=True)
class Start:
    """How the helper is started on a host."""

    root: str = "~/.fractal"
    before: str = ""
    """A shell command that comes first, such as `source ~/.local/bin/env`."""
    cwd: str = ""
    stated: dict[str, Any] = field(default_factory=dict)
    """What its `host.json` must say, such as that runs go through Slurm."""

    def command(self) -> str:
        """The one SSH command; the code that it runs is its own argument."""
        source = Path(lay.__file__).read_bytes()
        packed = base64.b64encode(zlib.compress(source, 9)).decode()
        python = f'import base64,zlib;exec(zlib.decompress(base64.b64decode("{packed}")))'
        helper = f"exec python3 -S -E -c {shlex.quote(python)}"
        return f"{{ {self.before.rstrip('; ')}; }} </dev/null; {helper}" if self.before else helper

    def preamble(self) -> bytes:
        """What `lay` reads before the frames: sent without waiting, so that a first start costs no round trip more."""
        packed = packed_code()
        order = {"root": self.root, "code": code_hash(), "bytes": len(packed), "cwd": self.cwd, "stated": self.stated}
        return json.dumps(order).encode() + b"\n" + packed


@cache
def packed_code() -> bytes:
    """The supervisor's code, small enough to be sent at every start."""
    files = {name: content.decode() for name, content in shipped_files()}
    return zlib.compress(json.dumps(files).encode(), 6)


@dataclass
class Answer:
    """What came back."""

    head: dict[str, Any]
    payload: bytes = b""


@dataclass
class _Pending:
    """A request that waits."""

    on_part: Callable[[dict[str, Any], bytes], None] | None
    done: threading.Event = field(default_factory=threading.Event)
    answer: Answer | None = None


OnNews = Callable[[dict[str, Any], bytes], None]


class Session:
    """An open channel with a helper at its other end. Any thread may ask; one thread reads."""

    def __init__(self, connection: Connection, start: Start, window_size: int | None = None) -> None:
        self._alias = connection.target.alias
        self._connection = connection
        self._channel = connection.open_session(window_size=window_size)
        self._send_lock = threading.Lock()
        self._pending: dict[int, _Pending] = {}
        self._watches: dict[int, OnNews] = {}
        self._count = 0
        self._lock = threading.Lock()
        self._ended: HostError | None = None
        self.gone = threading.Event()
        self._stderr: list[bytes] = []
        self._decoder = Decoder(wait_for_magic=True)
        self._early: queue.SimpleQueue[Frame] = queue.SimpleQueue()
        try:
            self.hello = self._begin(start)
        except BaseException:
            self._close_channel()
            raise
        self._reader = threading.Thread(target=self._read, daemon=True, name=f"read {self._alias}")
        self._pinger = threading.Thread(target=self._ping, daemon=True, name=f"ping {self._alias}")
        self._reader.start()
        self._pinger.start()

    # Beginning

    def _begin(self, start: Start) -> dict[str, Any]:
        try:
            self._channel.settimeout(_START_S)
            self._channel.exec_command(start.command())
            self._channel.sendall(start.preamble())
            self._channel.settimeout(_START_S)
            return self._first_frame()
        except TimeoutError:
            raise NoHelper(
                f"{self._alias}: python3 there did not start within {_START_S:.0f} s{self._said()}. "
                f"Try: ssh {self._connection.target.typed} python3 -c 'print(1)'"
            ) from None
        except (SSHException, EOFError, OSError) as error:
            raise self._not_begun(str(error) or "it hung up") from None

    def _first_frame(self) -> dict[str, Any]:
        while data := self._channel.recv(1 << 16):
            frames = list(self._decoder.feed(data))
            for frame in frames[1:]:
                self._early.put(frame)
            if frames:
                return frames[0].head
        raise self._not_begun("it ended")

    def _not_begun(self, how: str) -> HostError:
        if not self._connection.is_active:
            return ConnectionLost(f"{self._alias}: the connection was lost while the helper started ({how})")
        self._channel.status_event.wait(2.0)
        while self._channel.recv_stderr_ready():
            self._stderr.append(self._channel.recv_stderr(1 << 16))
        code = self._channel.exit_status
        if code == 127:
            return NoHelper(
                f"{self._alias} has no python3, which everything here needs. "
                f"Install it: ssh {self._connection.target.typed} sudo apt-get install -y python3"
            )
        if code < 0:
            return ConnectionLost(f"{self._alias}: the connection was lost while the helper started ({how})")
        words = {lay.TOO_OLD: "its python3 is too old", lay.NO_ROOT: "its root can't be used"}
        return NoHelper(f"{self._alias}: {words.get(code, f'the helper ended with {code}')}{self._said()}")

    def _said(self) -> str:
        noise = b"".join(self._stderr) + bytes(self._decoder.noise)
        lines = noise.decode(errors="replace").strip().splitlines()
        return f" ({lines[-1].strip()[:300]})" if lines else ""

    # Asking

    def ask(
        self,
        op: str,
        timeout_s: float | None = 60.0,
        more: Iterable[bytes] | None = None,
        on_part: Callable[[dict[str, Any], bytes], None] | None = None,
        **args: Any,
    ) -> Answer:
        """One request and its answer; `more` is sent behind it, `on_part` gets what comes before the answer."""
        number, pending = self._register(on_part)
        try:
            self._send({"id": number, "op": op, **args, **({"follows": True} if more is not None else {})})
            if more is not None:
                self._send_all(number, more, pending)
            if not pending.done.wait(timeout_s):
                raise ConnectionLost(f"{self._alias} did not answer `{op}` within {timeout_s:.0f} s")
        finally:
            with self._lock:
                self._pending.pop(number, None)
        if pending.answer is None:
            raise self._end_error()
        return self._checked(pending.answer)

    def _register(self, on_part: Callable[[dict[str, Any], bytes], None] | None) -> tuple[int, _Pending]:
        pending = _Pending(on_part)
        with self._lock:
            if self._ended is not None:
                raise self._ended
            self._count += 1
            self._pending[self._count] = pending
            return self._count, pending

    def _send_all(self, number: int, more: Iterable[bytes], pending: _Pending) -> None:
        try:
            for piece in more:
                if pending.done.is_set():  # refused already: the rest would be thrown away there
                    return
                for at in range(0, len(piece), PIECE):
                    self._send({"to": number}, piece[at : at + PIECE])
        finally:
            self._send({"to": number, "end": True})  # also when a file could not be read: there, too, it ends

    def _checked(self, answer: Answer) -> Answer:
        kind = answer.head.get("error")
        if kind is not None:
            raise _KINDS.get(kind, HostError)(f"{self._alias}: {answer.head.get('message', kind)}")
        return answer

    def watch(self, run_id: str, offsets: dict[str, int], on_news: OnNews, only: tuple[str, ...] = ()) -> int:
        """Have everything new of a run told, from these offsets on; called from the reading thread."""
        with self._lock:
            self._count += 1
            number = self._count
            self._watches[number] = on_news
        self._send({"watch": number, "run": run_id, "offsets": offsets, "only": list(only)})
        return number

    def unwatch(self, number: int) -> None:
        with self._lock:
            self._watches.pop(number, None)
        with contextlib.suppress(HostError):
            self._send({"unwatch": number})

    # The wire

    def _send(self, head: dict[str, Any], payload: bytes = b"") -> None:
        begin = encode_head(head, len(payload))
        try:
            with self._send_lock:
                self._channel.sendall(begin + payload)
        except (SSHException, EOFError, OSError):
            self._end(ConnectionLost(f"{self._alias}: the connection was lost; what runs there goes on"))
            raise self._end_error() from None

    def _read(self) -> None:
        try:
            self._channel.settimeout(DEADLINE_S)
            while not self._early.empty():
                self._take(self._early.get())
            while data := self._channel.recv(1 << 20):
                for frame in self._decoder.feed(data):
                    self._take(frame)
            self._end(ConnectionLost(f"{self._alias}: the connection was lost; what runs there goes on"))
        except TimeoutError:
            words = f"{self._alias} has been silent for {DEADLINE_S:.0f} s; what runs there goes on"
            self._end(ConnectionLost(words))
        except (SSHException, EOFError, OSError) as error:
            said = str(error) or type(error).__name__
            self._end(ConnectionLost(f"{self._alias}: the connection was lost ({said}); what runs there goes on"))
        except BadFrame as error:
            self._end(ConnectionLost(f"{self._alias}: {error}"))
        except BaseException as error:
            self._end(ConnectionLost(f"{self._alias}: what came could not be taken: {error!r}"))
            raise

    def _take(self, frame: Frame) -> None:
        head = frame.head
        if "w" in head:
            on_news = self._watches.get(head["w"])
            if on_news is not None:
                on_news(head, frame.payload)
        elif "part" in head:
            pending = self._pending.get(head["part"])
            if pending is not None and pending.on_part is not None:
                pending.on_part(head, frame.payload)
        elif "re" in head:
            pending = self._pending.get(head["re"])
            if pending is not None:
                pending.answer = Answer(head, frame.payload)
                pending.done.set()

    def _ping(self) -> None:
        while not self.gone.wait(PING_S):
            with contextlib.suppress(HostError):
                self._send({"ping": time.time()})

    def _end(self, error: HostError) -> None:
        with self._lock:
            if self._ended is None:
                self._ended = error
            waiting = list(self._pending.values())
        self.gone.set()
        for pending in waiting:
            pending.done.set()
        self._close_channel()

    def _close_channel(self) -> None:
        """The transport may be gone in the very moment; Paramiko says so with an EOFError."""
        with contextlib.suppress(SSHException, EOFError, OSError):
            self._channel.close()

    def _end_error(self) -> HostError:
        return self._ended or ConnectionLost(f"{self._alias}: the connection was lost")

    @property
    def alive(self) -> bool:
        return self._ended is None

    def close(self) -> None:
        """Hang up; the helper ends by itself."""
        self._end(ConnectionLost(f"{self._alias}: this console has hung up"))
