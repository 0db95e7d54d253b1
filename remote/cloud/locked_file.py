"""A small text file that several consoles and guards rewrite: read, change, replace, under one lock.

Guarantees: no change of another process is lost, and a reader sees the old text or the new one, never a mixture.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from engine.protocol.durable import write_bytes


def rewrite(file: Path, change: Callable[[str], str], mode: int = 0o600, lock: Path | None = None) -> None:
    """Replace the text of `file` by what `change` makes of it; a missing file is an empty text."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # The lock has a file of its own: `file` itself is replaced.
    held = os.open(lock or file.with_name(f".{file.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        before = file.read_text() if file.exists() else ""
        after = change(before)
        if after != before:
            write_bytes(file, after.encode())
            file.chmod(mode)
    finally:
        os.close(held)
