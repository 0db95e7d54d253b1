"""Search and count in a process of its own, so that the interpreter's lock never stands between a key and the screen.

Guarantees: the same answers in the same order as the functions of `search` and `index` that do the work there; batches
bounded by count and time; the process ends with its caller, and soon after `stopped()` says so; one that dies is told
(`CutShort`), never taken for "nothing more". Reads the very file that is open here: its descriptor is handed down.
Short pieces are done on the caller's thread, because a process takes longer to start.
"""

from __future__ import annotations

import os
import select
import struct
import subprocess
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path

from console.logs.index import BLOCK, LogFile, count_newlines
from console.logs.search import Query, matches_by_chunk, never, parse_query

SHORT = 8 * 1024 * 1024
"""Bytes that a thread has searched before a process would have started."""
BATCH = 50_000
BATCH_S = 0.2
BACKFILL_BLOCKS = 512
"""Blocks counted per batch: 32 MiB, a few hundredths of a second."""
_NICE = 5
"""Keys and drawing go first where the machine is full."""
_POLL_S = 0.1
_SIZE = struct.Struct("<I")
_CHECKOUT = str(Path(__file__).resolve().parents[2])


class CutShort(Exception):
    """The process died: what it has found is not all."""


def found(
    file: LogFile, query: Query, start: int, stop: int, back: bool = False, stopped: Callable[[], bool] = never
) -> Iterator[array[int]]:
    """Where the matching lines between two line starts begin, in batches; from the end up when asked."""
    if stop - start > SHORT:
        yield from _beside(file, ["back" if back else "on", query.text, str(start), str(stop)], "Q", stopped)
    else:
        yield from _batches(file, query, start, stop, back, stopped)


def counted(file: LogFile, last: int, stopped: Callable[[], bool] = never) -> Iterator[array[int]]:
    """Newlines of the blocks before one, batch by batch, the newest blocks first."""
    if last * BLOCK > SHORT:
        yield from _beside(file, ["count", str(last)], "I", stopped)
    else:
        yield from _counts(file, last)


def _batches(
    file: LogFile, query: Query, start: int, stop: int, back: bool, stopped: Callable[[], bool]
) -> Iterator[array[int]]:
    """What is found first goes out at once, the rest at a pace that a screen can take in."""
    batch, due = array("Q"), 0.0
    for offsets in matches_by_chunk(file, query, start, stop, stopped, back):
        batch.extend(offsets)
        if batch and (len(batch) >= BATCH or time.monotonic() >= due):
            yield batch
            batch, due = array("Q"), time.monotonic() + BATCH_S
    if batch:
        yield batch


def _counts(file: LogFile, last: int) -> Iterator[array[int]]:
    while last:
        first = max(0, last - BACKFILL_BLOCKS)
        yield count_newlines(file, first, last, last * BLOCK)
        last = first


# ---------------------------------------------------------------- this side


def _beside(file: LogFile, job: list[str], typecode: str, stopped: Callable[[], bool]) -> Iterator[array[int]]:
    code = "import sys; sys.path.insert(0, sys.argv[1]); from console.logs.beside import main; main(sys.argv[2:])"
    argv = [sys.executable, "-I", "-S", "-c", code, _CHECKOUT, str(file.descriptor), *job]
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, pass_fds=(file.descriptor,)
    )
    assert process.stdout is not None
    try:
        for data in _frames(process.stdout.fileno(), stopped):
            batch = array(typecode)
            batch.frombytes(data)
            yield batch
        if not stopped() and process.wait() != 0:
            raise CutShort(f"the search's process ended with {process.returncode}: not everything was looked at")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _frames(pipe: int, stopped: Callable[[], bool]) -> Iterator[bytes]:
    """Whole batches as they come, until the process has closed its end."""
    held = bytearray()
    while not stopped():
        if not select.select([pipe], [], [], _POLL_S)[0]:
            continue
        data = os.read(pipe, 1 << 20)
        if not data:
            return
        held += data
        while len(held) >= _SIZE.size:
            end = _SIZE.size + _SIZE.unpack_from(held)[0]
            if len(held) < end:
                break
            yield bytes(held[_SIZE.size : end])
            del held[:end]


# ---------------------------------------------------------------- the other side


def main(argv: list[str]) -> None:
    """The process: a descriptor, a job and what it asks for; batches go to stdout."""
    os.nice(_NICE)
    descriptor, job, *asked = argv
    file, caller = LogFile(Path(f"/dev/fd/{descriptor}")), os.getppid()
    for batch in _work(file, job, asked, lambda: os.getppid() != caller):
        data = batch.tobytes()
        sys.stdout.buffer.write(_SIZE.pack(len(data)) + data)
        sys.stdout.buffer.flush()


def _work(file: LogFile, job: str, asked: list[str], orphaned: Callable[[], bool]) -> Iterator[array[int]]:
    if job == "count":
        return _counts(file, int(asked[0]))
    text, start, stop = asked
    return _batches(file, parse_query(text), int(start), int(stop), job == "back", orphaned)
