"""Many candidates, a few workers.

    with Pool(workers=2) as pool:
        for verdict in pool.judge(samples):
            ...

Guarantees: exactly one verdict a sample, in the order of completion; a wall time-out is run again at the end, alone, because a
busy machine may have caused it (a kernel CPU kill is final); a worker whose judge is stuck is replaced and the sample that
stuck it is a FAIL with reason `protocol`. Does not guarantee the order.
"""

from __future__ import annotations

import collections
import os
import pickle
import selectors
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from engine.verify.sandbox import frames
from engine.verify.sandbox.verdict import FAIL, Limits, Sample, SandboxBroken, Verdict
from engine.verify.sandbox.worker import Setting

_CHUNK = 4
_AHEAD = 2  # chunks a worker holds, so that it never waits for us
_STUCK_EXTRA_S = 30.0  # what a judge may take for its own work on top of a candidate's wall limit
_MAX_MESSAGE = 1 << 30
_PROJECT = Path(__file__).resolve().parents[3]


class Sandbox(Protocol):
    """What judges samples: the local pool, or the same over Ray."""

    tier: str

    def judge(self, samples: Iterable[Sample]) -> Iterator[Verdict]: ...

    def close(self) -> None: ...


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    reader: frames.Reader
    given: collections.deque[Sample] = field(default_factory=collections.deque)
    """Samples without a verdict yet, in the order given."""
    heard: float = 0.0
    """When it last spoke or was given something."""

    @property
    def fd(self) -> int:
        assert self.process.stdout is not None
        return self.process.stdout.fileno()

    def tell(self, message: Any) -> None:
        assert self.process.stdin is not None
        frames.send(self.process.stdin.fileno(), pickle.dumps(message))

    def stuck(self, now: float, limits: Limits) -> bool:
        if not self.given:
            return False
        return now - self.heard > limits.wall_s(self._longest_s()) + _STUCK_EXTRA_S

    def _longest_s(self) -> float:
        return max(s.tests.cpu_s * max(1, len(s.tests.stdin)) for s in list(self.given)[:_CHUNK])

    def close(self) -> None:
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()
        try:
            self.process.wait(0 if self.given else 8)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Pool:
    """Workers on this machine. A context manager; `close` ends every process it started."""

    def __init__(
        self, workers: int | None = None, limits: Limits | None = None, walls: str = "all", unsafe: bool = False
    ) -> None:
        self.limits = limits or Limits()
        self._setting = Setting(self.limits, walls, unsafe)
        self._workers: list[_Worker] = []
        self.tier = ""
        try:
            for _ in range(workers or usable_cores()):
                self._workers.append(self._launch())
            self.tier = max(self._greeting(worker) for worker in self._workers)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        while self._workers:
            self._workers.pop().close()

    def _launch(self) -> _Worker:
        process = subprocess.Popen(
            [sys.executable, "-m", "engine.verify.sandbox.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=_PROJECT,
            env={**os.environ, "PYTHONPATH": str(_PROJECT), "PYTHONHASHSEED": "0"},
        )
        assert process.stdout is not None
        worker = _Worker(process, frames.Reader(process.stdout.fileno(), _MAX_MESSAGE))
        worker.tell(self._setting)
        return worker

    def _greeting(self, worker: _Worker) -> str:
        try:
            said = pickle.loads(worker.reader.next(time.monotonic() + 120))
        except (frames.Closed, frames.Late):
            raise SandboxBroken("a sandbox worker did not start; its error stands above") from None
        if isinstance(said, SandboxBroken):
            raise said
        return str(said)

    def judge(self, samples: Iterable[Sample]) -> Iterator[Verdict]:
        """A verdict for every sample."""
        late: list[Sample] = []
        for sample, verdict in self._round(iter(samples), _CHUNK, len(self._workers)):
            if verdict.reason == "wall":
                late.append(sample)
            else:
                yield verdict
        for _, verdict in self._round(iter(late), 1, 1):
            yield verdict

    def _round(self, samples: Iterator[Sample], chunk: int, workers: int) -> Iterator[tuple[Sample, Verdict]]:
        """Keep `workers` busy until nothing is left."""
        suspects: collections.deque[Sample] = collections.deque()  # were in the hands of a worker that got stuck
        selector = selectors.DefaultSelector()
        active = self._workers[:workers]
        try:
            for worker in active:
                selector.register(worker.fd, selectors.EVENT_READ, worker)
                self._feed(worker, samples, chunk)
            while any(worker.given for worker in active) or suspects:
                for key, _ in selector.select(timeout=1.0):
                    yield from self._hear(key.data)
                for worker in active:
                    if worker.stuck(time.monotonic(), self.limits):
                        selector.unregister(worker.fd)
                        yield from self._replace(worker, suspects)
                        selector.register(worker.fd, selectors.EVENT_READ, worker)
                    if suspects and not worker.given:
                        self._give(worker, [suspects.popleft()])
                    else:
                        self._feed(worker, samples, chunk)
        finally:
            selector.close()
            self._abandon_unfinished()

    def _feed(self, worker: _Worker, samples: Iterator[Sample], chunk: int) -> None:
        while len(worker.given) <= chunk * (_AHEAD - 1):
            batch = [s for _, s in zip(range(chunk), samples, strict=False)]
            if not batch:
                return
            self._give(worker, batch)

    def _give(self, worker: _Worker, batch: list[Sample]) -> None:
        worker.given.extend(batch)
        worker.heard = time.monotonic()
        try:
            worker.tell(batch)
        except frames.Closed:
            raise SandboxBroken("a sandbox worker died; its error stands above") from None

    def _hear(self, worker: _Worker) -> Iterator[tuple[Sample, Verdict]]:
        """Everything that it has said: a message may come along with the one that woke us."""
        while True:
            try:
                said = pickle.loads(worker.reader.next(time.monotonic() + 60))
            except (frames.Closed, frames.Late):
                raise SandboxBroken(
                    "a sandbox worker died in the middle of its work; nothing was labelled by it"
                ) from None
            if isinstance(said, SandboxBroken):
                raise said
            worker.heard = time.monotonic()
            for verdict in said:
                yield worker.given.popleft(), verdict
            if not worker.reader.holds_one:
                return

    def _replace(self, worker: _Worker, suspects: collections.deque[Sample]) -> Iterator[tuple[Sample, Verdict]]:
        """A judge that is stuck over a value: alone with one sample it is that sample's doing, else find out which."""
        given = list(worker.given)
        worker.close()
        fresh = self._launch()
        self._greeting(fresh)
        worker.process, worker.reader, worker.given = fresh.process, fresh.reader, collections.deque()
        if len(given) == 1:
            yield given[0], Verdict(given[0].key, FAIL, "protocol", 0, 1, mode="stuck", tier=self.tier)
        else:
            suspects.extend(given)

    def _abandon_unfinished(self) -> None:
        """The caller stopped early: workers with samples in hand are replaced, so that the next round starts clean."""
        for at, worker in enumerate(self._workers):
            if worker.given:
                worker.close()
                self._workers[at] = self._launch()
                self._greeting(self._workers[at])


def usable_cores() -> int:
    return len(os.sched_getaffinity(0))
