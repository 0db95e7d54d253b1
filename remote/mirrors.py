"""Every remote run that is not over yet, mirrored while a console is open.

    mirrors = Mirrors(root, lambda name: workspace.host(name))
    begin(root, spec, status)             # right after a launch: the run is seen here before the first byte has come
    mirrors.attend([(run_id, host), …])   # again and again, with the runs that are not final here
    mirrors.problems()                    # host → why it can't be reached now

Guarantees: a run is mirrored by one console of this machine; what is mirrored already is left alone; a host that can't be
reached holds no other host up.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from engine.protocol.durable import create_once, write_json
from engine.protocol.layout import Root
from engine.protocol.spec import RunSpec
from engine.protocol.status import Status
from remote.host import HostError
from remote.mirror import Mirror

if TYPE_CHECKING:
    from remote.helper_link import Follower  # brings Paramiko: only with the first host

# The supervisor's own last words come right after the result.
_LAST_WORDS_S = 5.0


class Followable(Protocol):
    """What of a host is needed here."""

    name: str

    def follow(self, run_id: str, follower: Follower) -> int: ...

    def unfollow(self, number: int) -> None: ...


def begin(root: Root, spec: RunSpec, status: Status, now: Callable[[], float] = time.time) -> None:
    """The first files of a mirror, from what the launch has said."""
    paths = root.run(spec.run_id)
    paths.folder.mkdir(parents=True, exist_ok=True)
    create_once(paths.spec, spec.to_json())
    if not paths.observed.exists():
        write_json(paths.observed, {"status": status.to_json(), "at": now(), "host": spec.host})


@dataclass
class _Kept:
    host: Followable
    mirror: Mirror
    number: int
    over_since: float | None = None


class Mirrors:
    """See above. One thread calls `attend`; connecting happens in threads of its own."""

    def __init__(
        self,
        root: Root,
        host_of: Callable[[str], Followable],
        on_news: Callable[[str, str], None] = lambda run_id, what: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root, self._host_of, self._on_news, self._clock = root, host_of, on_news, clock
        self._kept: dict[str, _Kept] = {}
        self._busy: set[str] = set()
        self._problems: dict[str, str] = {}
        self._lock = threading.Lock()
        self._closed = False

    def attend(self, runs: Iterable[tuple[str, str]]) -> None:
        """Mirror these (run, host); let go of the ones that are complete, or not asked for any more (a lost run)."""
        wanted = list(runs)
        for run_id, host in wanted:
            with self._lock:
                if self._closed or run_id in self._kept or run_id in self._busy or self._is_over(run_id):
                    continue
                self._busy.add(run_id)
            threading.Thread(target=self._begin, args=(run_id, host), daemon=True, name=f"mirror {run_id}").start()
        self._let_go({run_id for run_id, _ in wanted})

    def _is_over(self, run_id: str) -> bool:
        return self._root.run(run_id).result.exists()

    def _begin(self, run_id: str, host_name: str) -> None:
        try:
            self._follow(run_id, host_name)
            self._problems.pop(host_name, None)
        except (HostError, OSError) as error:
            self._problems[host_name] = str(error)
        finally:
            self._busy.discard(run_id)

    def follow(self, run_id: str, host_name: str) -> None:
        """The same for one run, at once and in this thread: what goes wrong is raised."""
        with self._lock:
            if self._closed or run_id in self._kept or run_id in self._busy:
                return
            self._busy.add(run_id)
        try:
            self._follow(run_id, host_name)
        finally:
            self._busy.discard(run_id)

    def _follow(self, run_id: str, host_name: str) -> None:
        host = self._host_of(host_name)
        mirror = Mirror(self._root.run(run_id), host_name, lambda what: self._on_news(run_id, what))
        if mirror.begin():  # else another console's copy grows, which is as good
            kept = _Kept(host, mirror, host.follow(run_id, mirror))
            with self._lock:
                self._kept[run_id] = kept

    def is_level(self, run_id: str) -> bool:
        """Is everything here that a gate looks at? What somebody else mirrors is taken for level."""
        kept = self._kept.get(run_id)
        return kept is None or kept.mirror.is_level

    def _let_go(self, wanted: set[str]) -> None:
        now = self._clock()
        for run_id, kept in list(self._kept.items()):
            if run_id in wanted and not kept.mirror.complete.is_set():
                kept.over_since = None
            elif kept.over_since is None:
                kept.over_since = now
            elif now - kept.over_since >= _LAST_WORDS_S:
                self._end(run_id)

    def _end(self, run_id: str) -> None:
        kept = self._kept.pop(run_id)
        kept.host.unfollow(kept.number)
        kept.mirror.close()

    def problems(self) -> dict[str, str]:
        """Hosts that could not be entered, or can't be reached now, with the one line that says why."""
        found = dict(self._problems)
        for kept in list(self._kept.values()):
            problem = getattr(getattr(kept.host, "link", None), "problem", None)
            if problem is not None:
                found[kept.host.name] = str(problem)
        return found

    def log_lag(self, run_id: str) -> int:
        """How many bytes of a run's log are still on their way; 0 where nobody here copies it."""
        kept = self._kept.get(run_id)
        return 0 if kept is None else kept.mirror.log_lag

    def notes(self, run_id: str) -> list[str]:
        """What a person should know of a mirrored run."""
        kept = self._kept.get(run_id)
        return [] if kept is None else list(kept.mirror.notes)

    def close(self) -> None:
        with self._lock:
            self._closed = True
        for run_id in list(self._kept):
            self._end(run_id)
