"""What a helper answers: each request a JSON object with arguments, each answer a JSON object (and bytes).

Errors have a kind that tells the console which of its own errors to raise: `unknown-run`, `launch`, `host`.
Guarantees: every request may be sent again after a lost answer; doing it twice is like doing it once.
"""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from engine.protocol.durable import read_json
from engine.protocol.files import files_below
from engine.protocol.frames import PIECE
from engine.protocol.identity import boot_id
from engine.protocol.layout import Root, safe_id
from engine.protocol.plan import Plan
from engine.protocol.plan_status import status_on_host
from engine.protocol.spec import RunSpec
from engine.supervisor import execute, ops, tree_leftovers, trees
from engine.supervisor.slots import count_gpus
from engine.supervisor.slots import queue as queue_of

Args = dict[str, Any]
Answer = tuple[dict[str, Any], bytes]
Stream = Callable[[dict[str, Any], bytes], None]
"""Sends a part of an answer that is too long for one frame."""


class Refusal(Exception):
    """A request that can't be done: kind and words."""

    def __init__(self, kind: str, words: str) -> None:
        super().__init__(words)
        self.kind = kind


class Answers:
    """The table of requests of one helper process."""

    def __init__(self, root: Root, code: Path) -> None:
        self.root, self.code = root, code
        self.quick: dict[str, Callable[[Args], Answer]] = {
            "facts": self._facts,
            "runs": lambda a: ({"runs": self.root.run_ids()}, b""),
            "spec": lambda a: ({"spec": self._spec(a).to_json()}, b""),
            "observe": self._observe,
            "read": self._read,
            "read-plan": self._read_plan,
            "plan-status": lambda a: ({"value": status_on_host(self.root.plan(a["plan"]))}, b""),
            "queue": lambda a: ({"queue": queue_of(self.root)}, b""),
            "checkpoint": self._checkpoint,
            "stop-plan": self._stop_plan,
            "stat": _stat,
            "list": _list,
            "echo": lambda a: ({}, b""),
        }
        """Answered at once, in the order they came."""
        self.slow: dict[str, Callable[[Args, Stream, Iterator[bytes]], Answer]] = {
            "launch": self._launch,
            "launch-plan": self._launch_plan,
            "stop": self._stop,
            "tree": self._tree,
            "range": _range,
            "shell": self._shell,
        }
        """Answered by a thread, so that a start of Python or a large file keeps nobody waiting."""
        self.afterwards: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        """Work that makes the next answer faster; done when this one is given."""

    def _facts(self, args: Args) -> Answer:
        facts = {
            "system": f"{platform.system()} {platform.release()}",
            "cores": os.cpu_count(),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "gpus": count_gpus(self.root),
            "free_bytes": shutil.disk_usage(self.root.path).free,
            "python": sys.version.split()[0],
            "uv": bool(shutil.which("uv")),
        }
        return facts, b""

    def _spec(self, args: Args) -> RunSpec:
        run_id = args["run"]
        try:
            spec = ops.spec_of(self.root, safe_id(run_id))
        except ValueError as error:
            raise Refusal("unknown-run", f"there is no run {run_id!r}: {error}") from None
        if spec is None:
            raise Refusal("unknown-run", f"there is no run {run_id}")
        return spec

    def _observe(self, args: Args) -> Answer:
        self._spec(args)
        return {"status": ops.status_of(self.root, args["run"]).to_json()}, b""

    def _read(self, args: Args) -> Answer:
        try:
            folder = self.root.run(args["run"]).folder
        except ValueError as error:
            raise Refusal("unknown-run", f"there is no run {args['run']!r}: {error}") from None
        path = folder / args["file"]
        if not path.resolve().is_relative_to(folder.resolve()):
            raise Refusal("unknown-run", f"{args['file']} is no file of run {args['run']}")
        chunk = ops.read(path, args["at"], min(args["limit"], 32 << 20))
        return {"at": chunk.offset, "size": chunk.size, "rewritten": chunk.rewritten}, chunk.data

    def _read_plan(self, args: Args) -> Answer:
        if "/" in args["file"]:
            raise Refusal("host", f"{args['file']} is no file of a plan")
        return {"value": read_json(self.root.plan(args["plan"]).folder / args["file"])}, b""

    def _launch(self, args: Args, stream: Stream, incoming: Iterator[bytes]) -> Answer:
        with _said_as_launch(self.root):
            spec = RunSpec.from_json(args["spec"])
            return {"status": ops.launch(self.root, spec, self.code).to_json()}, b""

    def _launch_plan(self, args: Args, stream: Stream, incoming: Iterator[bytes]) -> Answer:
        with _said_as_launch(self.root):
            return {"said": ops.launch_plan(self.root, Plan.from_json(args["plan"]), self.code)}, b""

    def _stop(self, args: Args, stream: Stream, incoming: Iterator[bytes]) -> Answer:
        self._spec(args)
        status = ops.stop(self.root, args["run"], args["by"], args["why"], self.code, args["grace_s"])
        return {"status": status.to_json()}, b""

    def _checkpoint(self, args: Args) -> Answer:
        self._spec(args)
        return {"status": ops.checkpoint(self.root, args["run"], args["by"]).to_json()}, b""

    def _stop_plan(self, args: Args) -> Answer:
        execute.ask_stop(self.root, args["plan"], args["by"], args["why"])
        return {}, b""

    def _shell(self, args: Args, stream: Stream, incoming: Iterator[bytes]) -> Answer:
        """Run a script of `sh` in the root; its output comes in parts, both streams as one, as they are written."""
        process = subprocess.Popen(
            ["/bin/sh", "-c", args["script"]],
            cwd=self.root.path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert process.stdout is not None
        timer = threading.Timer(args["limit_s"], os.killpg, (process.pid, signal.SIGKILL))
        timer.daemon = True
        timer.start()
        with process.stdout as output:
            while data := os.read(output.fileno(), 64 << 10):
                stream({}, data)
        code = process.wait()
        in_time = timer.is_alive()
        timer.cancel()
        return {"code": code, "in_time": in_time}, b""

    def _tree(self, args: Args, stream: Stream, incoming: Iterator[bytes]) -> Answer:
        try:
            order = trees.Order.from_json(args)
            seen = trees.survey(self.root, order)
            if seen is None or seen.missing or args["look"]:
                return {"missing": None if seen is None else seen.missing}, b""
            path = trees.build(self.root, order, seen, incoming)
            self.afterwards.put(lambda: trees.lay_ahead(self.root, order.tree))
            self.afterwards.put(lambda: tree_leftovers.clear(self.root))
        except trees.BadContent as error:
            raise Refusal("launch", str(error)) from None
        return {"path": str(path), "missing": []}, b""


def _stat(args: Args) -> Answer:
    """Size and marks of a file; `present` is False where there is none."""
    path = os.path.expanduser(args["path"])
    try:
        about = os.stat(path)
    except FileNotFoundError:
        return {"present": False, "path": path, "now_ns": time.time_ns()}, b""
    said = {"present": True, "path": path, "size": about.st_size, "mtime_ns": about.st_mtime_ns, "ino": about.st_ino,
            "folder": os.path.isdir(path), "now_ns": time.time_ns()}  # fmt: skip
    return said, b""


def _list(args: Args) -> Answer:
    """Every file of a folder, or the one file, with its size."""
    top = Path(os.path.expanduser(args["path"]))
    return {"files": [[str(f.relative_to(top)) if f != top else "", f.stat().st_size] for f in files_below(top)]}, b""


def _range(args: Args, stream: Stream, incoming: Iterator[bytes]) -> Answer:
    """The bytes of a part of a file in pieces, and at their end the hash of what was read here."""
    digest = hashlib.sha256()
    left = args["count"]
    with open(args["path"], "rb", buffering=0) as file:
        file.seek(args["at"])
        while left > 0 and (data := file.read(min(PIECE, left))):
            digest.update(data)
            stream({}, data)
            left -= len(data)
        about = os.fstat(file.fileno())
    return {
        "digest": digest.hexdigest(),
        "size": about.st_size,
        "mtime_ns": about.st_mtime_ns,
        "ino": about.st_ino,
    }, b""


def hello(root: Root) -> dict[str, Any]:
    """What a helper says first."""
    return {"hello": 1, "root": str(root.path), "home": os.path.expanduser("~"), "boot": boot_id(),
            "python": sys.version.split()[0], "pid": os.getpid(), "time": time.time()}  # fmt: skip


class _said_as_launch:
    """What stands in the way of a start becomes a refusal of kind `launch`."""

    def __init__(self, root: Root) -> None:
        self.root = root

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            words = f"the disk that holds {self.root.path} is full; free some space and launch again"
            raise Refusal("launch", words) from None
        if isinstance(error, (OSError, ValueError, ops.LaunchError)):
            raise Refusal("launch", str(error)) from None
