"""A file that is only kept to save time: trusted where it is one's own and whole, written without waiting for the disk.

Guarantees: a torn, damaged or foreign file reads as none; any number of processes may write it at once, each puts a whole one.
Does not guarantee that it is there: who uses it can make it again.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def read_kept(file: Path) -> bytes | None:
    """What was kept; None where there is nothing to be trusted, such as in a colleague's root: theirs is theirs to believe."""
    try:
        with open(file, "rb") as opened:
            if os.fstat(opened.fileno()).st_uid != os.getuid():
                return None
            checksum, _, body = opened.read().partition(b"\n")
    except OSError:
        return None
    return body if checksum == _checksum(body) else None


def keep(file: Path, body: bytes, most_files: int) -> None:
    """Keep it; of its folder's files those that were written longest ago go. A full disk costs a little time, nothing else."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(_checksum(body) + b"\n" + body)  # not forced to the disk: a torn one is found out
        os.replace(beside, file)
        entries = sorted(os.scandir(file.parent), key=lambda entry: entry.stat().st_mtime, reverse=True)
        for entry in entries[most_files:]:
            os.unlink(entry.path)
    except OSError:
        pass


def _checksum(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=16).hexdigest().encode()
