"""What training code calls to be seen: metrics, facts, artifacts, models, progress, notes.

    from engine import runlog
    runlog.log(step=10, loss=0.41, **{"eval/accuracy": 0.9})
    runlog.fact("data/train_rows", 17886)
    runlog.artifact("train.npz")

Guarantees: a line is on disk at most a quarter of a second after the call, also when the program then dies; a line is
never torn by us; a full disk or a broken W&B never stops a run; only rank 0 writes; without `$FRACTAL_EVENTS` every call
does nothing, so that a program also runs by hand.
Does not guarantee: the last quarter of a second before a `kill -9`.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

from engine.protocol.events import Event, encode
from engine.protocol.files import describe, shown_path

_FLUSH_S = 0.2  # a curve that is redrawn a few times a second needs no more
_KEEP_UNWRITTEN = 200_000  # events kept in memory while the disk is full, before the oldest metrics go


class Sink:
    """Appends events to one file from one background thread; the caller only appends to a deque (atomic under the GIL)."""

    def __init__(self, path: Path, wandb: WandbSink | None = None) -> None:
        self.path = path
        self.wandb = wandb
        self.waiting: deque[tuple[float, str, Any]] = deque()
        self.dropped = 0
        self._seq = 0
        self._pending = b""
        self._pid = os.getpid()
        self._closed = threading.Event()
        # The lock keeps the flusher thread and an explicit `flush()` (or exit) from writing the same events.
        self._writing = threading.Lock()
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._mend_torn_tail()
        self._thread = threading.Thread(target=self._flush_until_closed, name="runlog", daemon=True)
        self._thread.start()

    def _mend_torn_tail(self) -> None:
        """An earlier writer may have died inside a line: end it, so that it spoils no line of ours."""
        size = os.fstat(self._fd).st_size
        if size:
            with open(self.path, "rb") as file:
                file.seek(size - 1)
                if file.read(1) != b"\n":
                    os.write(self._fd, b"\n")

    def put(self, kind: str, body: Any) -> None:
        self.waiting.append((time.time(), kind, body))

    def _flush_until_closed(self) -> None:
        while not self._closed.wait(_FLUSH_S):
            self.flush()

    def flush(self) -> None:
        """Write what waits; on a full disk keep it and try again later."""
        if os.getpid() != self._pid:  # a forked child (a DataLoader worker, say) must not write its parent's events
            self.waiting.clear()
            return
        with self._writing:
            if self._seq == 0:  # first of all lines, also in a program that ends before the thread has its turn
                self.waiting.appendleft((time.time(), "environment", environment()))
            lines = []
            while self.waiting:
                event = self._event(*self.waiting.popleft())
                lines.append(_line(event))
                if self.wandb is not None:
                    self.wandb.take(event)
            self._pending += b"".join(lines)
            self._write_pending()

    def _event(self, at: float, kind: str, body: Any) -> Event:
        self._seq += 1
        head: Event = {"v": 1, "seq": self._seq, "time": round(at, 3), "kind": kind}
        if kind != "metric":
            return head | body
        step, values = body
        if step is not None:
            head["step"] = step
        head["values"] = values
        return head

    def _write_pending(self) -> None:
        while self._pending:
            try:
                done = os.write(self._fd, self._pending)
            except OSError:  # a full disk: what is here stays here, whole lines only
                self._trim()
                return
            self._pending = self._pending[done:]

    def _trim(self) -> None:
        """Too much for memory: the oldest metrics go. The first line may be half on disk already, so it stays."""
        too_many = self._pending.count(b"\n") - _KEEP_UNWRITTEN
        if too_many <= 0:
            return
        first, *rest = self._pending.splitlines(keepends=True)
        kept = []
        for line in rest:
            if too_many > 0 and b'"kind":"metric"' in line:
                too_many -= 1
                self.dropped += 1
            else:
                kept.append(line)
        self._pending = b"".join([first, *kept])

    def close(self) -> None:
        self._closed.set()
        self.flush()
        if self.wandb is not None and os.getpid() == self._pid:
            self.wandb.finish()


def environment() -> dict[str, Any]:
    return {"python": sys.version.split()[0], "packages": installed_packages()}


def installed_packages() -> dict[str, str]:
    """Name and version of every installed distribution, read off the folders' names: a millisecond, nothing imported."""
    found: dict[str, str] = {}
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue
        for name in names:
            if name.endswith(".dist-info"):
                package, _, version = name.removesuffix(".dist-info").partition("-")
                found.setdefault(package.replace("_", "-").lower(), version)
    return found


class WandbSink:
    """Passes events on to Weights & Biases; the first failure is said once and ends it, never the run."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.run: Any = None
        self.broken = False

    def open(self) -> None:
        """Begin the W&B run, and wait for it: W&B can't be started any more once a short program is over."""
        try:
            import wandb

            # In the work folder, unless somebody said where: the folder that a run executes in is a snapshot.
            where = {} if "WANDB_DIR" in os.environ else {"dir": os.environ.get("FRACTAL_WORK")}
            self.run = wandb.init(**{**where, **self.settings})
        except Exception as error:
            self._stop(error)

    def take(self, event: Event) -> None:
        if self.run is None or self.broken:
            return
        try:
            self._pass_on(event)
        except Exception as error:
            self._stop(error)

    def _stop(self, error: Exception) -> None:
        """Whatever W&B throws, the run goes on."""
        self.broken = True
        print(f"W&B stopped: {error}. The run goes on; its events are in events.jsonl.", file=sys.stderr)

    def _pass_on(self, event: Event) -> None:
        if event["kind"] == "metric":
            extra = {"step": event["step"]} if "step" in event else {}
            self.run.log(event["values"] | extra)
        elif event["kind"] == "fact":
            self.run.summary[event["name"]] = event["value"]
        elif event["kind"] == "model":
            self._save_model(event)

    def _save_model(self, event: Event) -> None:
        import wandb

        artifact = wandb.Artifact(event["name"].replace("/", "-"), type="model", metadata=event.get("metadata") or {})
        path = Path(os.environ.get("FRACTAL_WORK") or ".") / event["path"]
        if path.is_dir():
            artifact.add_dir(str(path))
        elif path.exists():
            artifact.add_file(str(path))
        self.run.log_artifact(artifact)

    def finish(self) -> None:
        if self.run is None or self.broken:
            return
        try:
            self.run.finish()
        except Exception as error:
            print(f"W&B could not finish: {error}", file=sys.stderr)


def _plain(value: Any) -> Any:
    """A JSON number for what training code hands over: numpy and torch scalars included. Never raises: a run goes on."""
    if type(value) is float or type(value) is int:
        return value
    try:
        item = getattr(value, "item", None)
        return item() if item is not None else value
    except Exception:  # a tensor of many elements, one on a broken device: what it says of itself is kept
        return str(value)


def _line(event: Event) -> bytes:
    """The event's line; what JSON has no word for stands as its text."""
    try:
        return encode(event)
    except (TypeError, ValueError, RecursionError):
        return encode(json.loads(json.dumps(event, default=str, skipkeys=True)))


_sink: Sink | None = None
_opened = False
_opening = threading.Lock()  # two threads of a program may log for the first time at once


def _open() -> Sink | None:
    """The sink of this process, made at the first call; None outside a run and on ranks other than 0."""
    global _sink, _opened
    with _opening:
        path = None if _opened else os.environ.get("FRACTAL_EVENTS")
        if path and os.environ.get("RANK", "0") == "0":
            try:
                _sink = Sink(Path(path), _wandb_sink())
                atexit.register(_sink.close)
            except OSError as error:
                print(f"{path} can't be written: {error}. The run goes on without events.", file=sys.stderr)
        _opened = True  # last: whoever sees it sees the sink
    return _sink


def _wandb_sink() -> WandbSink | None:
    """W&B's run, where one is asked for; begun before our own exit hook is set, so that ours still finds it open."""
    text = os.environ.get("FRACTAL_WANDB")
    if not text:
        return None
    sink = WandbSink(json.loads(text))
    sink.open()
    return sink


def log(step: int | None = None, **metrics: Any) -> None:
    """Numbers at a step; one line for all that one call carries."""
    sink = _sink if _opened else _open()
    if sink is not None:
        for name, value in metrics.items():  # now, not later: the tensor may be changed in place by then
            if type(value) is not float and type(value) is not int:
                metrics[name] = _plain(value)
        sink.waiting.append((time.time(), "metric", (step if step is None else _plain(step), metrics)))


def fact(name: str, value: Any, **about: Any) -> None:
    """A final claim of this run, evidence for gates. `low`, `high`: its interval; `pool`: what it was measured on."""
    _put("fact", {"name": name, "value": _plain(value), **{k: _plain(v) for k, v in about.items()}})


def artifact(path: str | os.PathLike[str], **about: Any) -> None:
    """A file that this run made: its size, hash and, for jsonl and npz, its rows."""
    file = Path(path)
    sink = _open()
    if sink is not None:
        sink.put("artifact", {**describe(file, shown_path(file, os.environ.get("FRACTAL_WORK"))), **about})


def model(name: str, model_type: str, path: str | os.PathLike[str], metadata: dict[str, Any] | None = None) -> None:
    """A trained model for the registry."""
    file = Path(path)
    sink = _open()
    if sink is not None:
        sink.put(
            "model",
            {
                **describe(file, shown_path(file, os.environ.get("FRACTAL_WORK"))),
                "name": name,
                "model_type": model_type,
                "metadata": metadata or {},
            },
        )


def checkpoint(path: str | os.PathLike[str], step: int) -> None:
    """A checkpoint was written; say it after the file is whole."""
    _put("checkpoint", {"path": shown_path(Path(path), os.environ.get("FRACTAL_WORK")), "step": _plain(step)})


def progress(done: float, total: float, unit: str = "steps") -> None:
    """How far this run is; the console derives rate and ETA."""
    _put("progress", {"done": _plain(done), "total": _plain(total), "unit": unit})


def note(text: str) -> None:
    """A remark for people, kept with the run."""
    _put("note", {"text": text})


def flush() -> None:
    """Have everything on disk now; before a deliberate exit that skips `atexit`."""
    if _sink is not None:
        _sink.flush()


def _put(kind: str, body: dict[str, Any]) -> None:
    sink = _open()
    if sink is not None:
        sink.put(kind, body)
