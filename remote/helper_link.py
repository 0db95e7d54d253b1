"""A helper on a host that is always there again: connects when it is first needed, and anew after every loss.

Guarantees: a request whose answer was lost is asked again (every request there may be done twice); what is followed is
resumed at the byte where the follower stands, without being asked; nothing is waited for longer than `patience_s`.
Errors that only a person can mend (a changed host key, a refused login) end the tries at once.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from remote.backoff import pause_s
from remote.helper_session import Answer, Session, Start
from remote.host import HostError, Unreachable
from remote.ssh.connection import Connection
from remote.ssh.errors import ConnectionLost

Open = Callable[[], Connection]

# A pull's window holds what a fast way carries in a round trip: less would idle. More is no gain either: what does not fit the
# way piles up in the host's sshd, which moves all of it for each packet (up to seven times its work at 64 MB on a near host).
_WAY_BYTES_PER_S = 250e6
_LEAST_WINDOW, _MOST_WINDOW = 4 << 20, 64 << 20


def bulk_window(round_trip_s: float) -> int:
    """Pure."""
    return int(min(max(round_trip_s * _WAY_BYTES_PER_S, _LEAST_WINDOW), _MOST_WINDOW))


def _round_trip_s(session: Session) -> float:
    """The quickest of three small requests: one may meet a busy moment."""
    times = []
    for _ in range(3):
        began = time.monotonic()
        session.ask("stat", path="/")
        times.append(time.monotonic() - began)
    return min(times)


class Follower(Protocol):
    """Where the news of a run go. Called from the link's reading thread, in order."""

    def offsets(self) -> dict[str, int]:
        """Per growing file how many bytes are here: asked again after every loss."""

    def take(self, head: dict[str, Any], payload: bytes) -> None:
        """One piece (see `engine.supervisor.watch`)."""


# A follower that could not take a piece (a full disk here) is tried again after this long.
_RETRY_S = 2.0
# A session that lived shorter and brought nothing does not count as a way that works: the pauses go on growing.
_PROVEN_S = 10.0


@dataclass
class _Followed:
    run_id: str
    follower: Follower
    only: tuple[str, ...]
    session: Session | None = None
    number: int = 0
    not_before: float = 0.0
    has_news: bool = False
    """Something was taken since the keeper last looked: the way works."""

    def take(self, session: Session, head: dict[str, Any], payload: bytes) -> None:
        """Hand a piece on; one that can't be taken ends this watch alone, and it begins anew where the follower stands."""
        if self.session is not session:
            return
        try:
            self.follower.take(head, payload)
            self.has_news = True
        except OSError:
            self.session, self.not_before = None, time.monotonic() + _RETRY_S
            session.unwatch(self.number)


@dataclass(frozen=True)
class Shelled:
    """A script that ended."""

    code: int
    output: str
    in_time: bool = True


class _Lines:
    """Bytes as they come, told line by line; an unfinished last line at the end."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._all = b""
        self._told = 0

    def take(self, head: dict[str, Any], data: bytes) -> None:
        self._all += data
        while (end := self._all.find(b"\n", self._told)) >= 0:
            self._say(self._all[self._told : end].decode(errors="replace").rstrip("\r"))
            self._told = end + 1

    def text(self) -> str:
        if self._told < len(self._all):
            self.take({}, b"\n")
        return self._all.decode(errors="replace")


class HelperLink:
    """See above. Any thread may use it."""

    def __init__(
        self,
        open_connection: Open,
        start: Start,
        patience_s: float = 20.0,
        luck: Callable[[], float] = random.random,
    ) -> None:
        self._open, self._start = open_connection, start
        self._patience_s, self._luck = patience_s, luck
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._session: Session | None = None
        self._bulk: Session | None = None
        self._followed: dict[int, _Followed] = {}
        self._keeper: threading.Thread | None = None
        self._closed = threading.Event()
        self._count = 0
        self.problem: HostError | None = None
        """Why there is no connection now."""
        self.losses = 0

    # Asking

    def session(self) -> Session:
        """The session; connects where there is none. One try."""
        with self._lock:
            if self._closed.is_set():
                raise ConnectionLost("this host was closed; open it again")
            if self._session is None or not self._session.alive:
                self._session = self._connected(self._session is not None)
            return self._session

    def _connected(self, again: bool) -> Session:
        if again:
            self.losses += 1
        self._hang_up()
        try:
            self._connection = self._open()
            session = Session(self._connection, self._start)
        except HostError as error:
            self.problem = error
            self._hang_up()
            raise
        self.problem = None
        return session

    def _hang_up(self) -> None:
        for part in (self._bulk, self._session, self._connection):
            if part is not None:
                part.close()
        self._bulk = self._session = self._connection = None

    def bulk(self) -> Session:
        """A second helper on the same connection, with a window as wide as the way is long."""
        session = self.session()
        with self._lock:
            if self._connection is None:
                raise ConnectionLost("the connection was lost")
            if self._bulk is None or not self._bulk.alive:
                self._bulk = Session(self._connection, self._start, bulk_window(_round_trip_s(session)))
            return self._bulk

    def ask(self, op: str, timeout_s: float | None = 60.0, **args: Any) -> Answer:
        """One request; asked again after a loss, as long as patience lasts."""
        return self.persist(lambda session: session.ask(op, timeout_s, **args))

    def send(self, op: str, more: Callable[[], Iterable[bytes]], timeout_s: float | None = None, **args: Any) -> Answer:
        """One request with a long payload, which is read anew for every try."""
        return self.persist(lambda session: session.ask(op, timeout_s, more(), **args))

    def persist(self, work: Callable[[Session], Answer]) -> Answer:
        """Do it; after a loss again. A host that was never reached is told at once."""
        deadline = time.monotonic() + self._patience_s
        attempt = 0
        while True:
            known = self._session is not None
            try:
                return work(self.session())
            except Unreachable:
                attempt += 1
                wait = 0.0 if attempt == 1 else pause_s(attempt - 1, self._luck())
                if not (known or self.losses) or time.monotonic() + wait > deadline or self._closed.wait(wait):
                    raise

    def shell(self, script: str, say: Callable[[str], None], timeout_s: float) -> Shelled:
        """Run a script there. After a loss it is run again: it must bear that."""
        kept: list[_Lines] = []

        def once(session: Session) -> Answer:
            kept.append(_Lines(say))
            wait_s = timeout_s + 30.0
            return session.ask("shell", wait_s, on_part=kept[-1].take, script=script, limit_s=timeout_s)

        head = self.persist(once).head
        return Shelled(head["code"], kept[-1].text(), head["in_time"])

    # Following

    def follow(self, run_id: str, follower: Follower, only: tuple[str, ...] = ()) -> int:
        """Tell the follower everything new of a run, across losses, until `unfollow`."""
        with self._lock:
            self._count += 1
            number = self._count
            self._followed[number] = _Followed(run_id, follower, only)
            if self._keeper is None:
                self._keeper = threading.Thread(target=self._keep, daemon=True, name="keep link")
                self._keeper.start()
        self._begin_watches()
        return number

    def unfollow(self, number: int) -> None:
        followed = self._followed.pop(number, None)
        if followed is not None and followed.session is not None and followed.session.alive:
            followed.session.unwatch(followed.number)

    def _begin_watches(self) -> None:
        """Where a watch does not stand on the present session, begin it there. What fails is the keeper's to mend."""
        with contextlib.suppress(HostError):
            session = self.session()
            for followed in list(self._followed.values()):
                with self._lock:
                    if followed.session is session or time.monotonic() < followed.not_before:
                        continue
                    followed.session = session
                take = partial(followed.take, session)
                followed.number = session.watch(followed.run_id, followed.follower.offsets(), take, followed.only)

    def _keep(self) -> None:
        """Be connected while anything is followed."""
        attempt, since = 0, time.monotonic()
        while not self._closed.is_set():
            session = self._session
            if self._took_news():
                attempt = 0
            if session is not None and session.alive:
                attempt = 0 if time.monotonic() - since > _PROVEN_S else attempt
                self._begin_watches()
                session.gone.wait(1.0)
                continue
            if not self._followed:
                self._closed.wait(1.0)
                continue
            if attempt and self._closed.wait(pause_s(attempt, self._luck())):
                return
            attempt, since = attempt + 1, time.monotonic()
            self._begin_watches()

    def _took_news(self) -> bool:
        found = False
        for followed in list(self._followed.values()):
            found, followed.has_news = found or followed.has_news, False
        return found

    def close(self) -> None:
        self._closed.set()
        with self._lock:
            self._followed.clear()
            self._hang_up()
        if self._keeper is not None and self._keeper is not threading.current_thread():
            self._keeper.join(5.0)
