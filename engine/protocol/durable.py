"""Files that are whole or absent.

Guarantees: after `write_json` returns, the new content survives a crash of the process and of the machine; a reader sees
the old content or the new one, never a mixture. `create_once` lets exactly one of several writers win.
Does not guarantee: anything about files that others append to.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
from pathlib import Path
from typing import Any


def write_json(path: Path, value: object) -> None:
    """Replace `path` by the JSON of `value`, atomically and durably."""
    write_bytes(path, (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Replace `path` by `data`, atomically and durably."""
    beside = _beside(path)
    try:
        with open(beside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def create_once(path: Path, value: object) -> bool:
    """Write `path` if nobody has; False says that somebody was first. Never leaves a half-written file under the name."""
    beside = _beside(path)
    data = (json.dumps(value, sort_keys=True, allow_nan=False) + "\n").encode()
    try:
        with open(beside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # A hard link fails when the name exists: O_EXCL for a file whose content is already complete.
        os.link(beside, path)
    except FileExistsError:
        return False
    finally:
        beside.unlink(missing_ok=True)
    sync_folder(path.parent)
    return True


def _beside(path: Path) -> Path:
    """A name of this call's own: two threads, or a signal handler inside a write, must not share one."""
    return path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` durable; file systems that refuse to sync a folder are left alone."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    except OSError:
        pass
    finally:
        os.close(fd)


def disk_full(error: OSError) -> bool:
    """Is it for want of space (or of the user's share of it) that this failed?"""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in `path`; None if there is no file or it holds no JSON object (say, after a full disk)."""
    try:
        value = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
