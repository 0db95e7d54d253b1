"""Logs lying about in a folder: which one is the newest, and a bounded piece of it to look at."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator
from pathlib import Path

from console.errors import UserError

_LOG_LIKE = (
    "*.log",
    "log",
    "log.txt",
    "*log*.txt",
    "*.out",
    "*log*.jsonl",
    "metrics*.jsonl",
    "train*.txt",
    "output.txt",
)
_LEFT_OUT = {"node_modules", "site-packages", "__pycache__", "venv", "env", "configs"}
_LOOKED_AT = 20_000  # files: a data folder of millions is not searched for a log
_HALF_BYTES = 1 << 20  # from the beginning and from the end: enough to see every kind of line, quick to read
_LONGEST = 4096  # a longer line is data


def newest_log(folder: Path) -> Path | None:
    """The file that was written last and is called like a log; None where there is none."""
    newest, newest_at = None, 0.0
    for path in _log_like(folder):
        try:
            about = path.stat()
        except OSError:
            continue
        if about.st_size and about.st_mtime > newest_at:
            newest, newest_at = path, about.st_mtime
    return newest


def _log_like(folder: Path) -> Iterator[Path]:
    seen = 0
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(d for d in folders if d not in _LEFT_OUT and not d.startswith("."))
        for name in files:
            seen += 1
            if any(fnmatch.fnmatch(name.lower(), pattern) for pattern in _LOG_LIKE):
                yield Path(here) / name
        if seen > _LOOKED_AT:
            return


def read_sample(path: Path) -> str:
    """The first and last megabyte of a log as text."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            data = file.read(_HALF_BYTES)
            if size > len(data):
                file.seek(max(len(data), size - _HALF_BYTES))
                data += b"\n" * (size > 2 * _HALF_BYTES) + file.read()
    except FileNotFoundError:
        raise UserError(f"there is no log {path}") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder; name the log itself") from None
    lines = data.decode(errors="replace").splitlines(keepends=True)
    return "".join(line for line in lines if len(line) <= _LONGEST)
