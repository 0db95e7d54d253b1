"""The supervisor's code, laid on a host under the hash of its content.

A run keeps the supervisor that it started with, while the checkout changes under it; several versions lie side by side.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

from engine.protocol import layout
from engine.protocol.layout import Root

_PACKAGES = ("protocol", "supervisor")


@cache
def shipped_files() -> tuple[tuple[str, bytes], ...]:
    """Name and content of every file that a host needs: `engine/protocol` and `engine/supervisor`."""
    engine_folder = Path(layout.__file__).resolve().parent.parent
    files = [("engine/__init__.py", b"")]
    for package in _PACKAGES:
        sources = sorted((engine_folder / package).glob("*.py"))
        files += [(f"engine/{package}/{f.name}", f.read_bytes()) for f in sources]
    return tuple(files)


@cache
def code_hash() -> str:
    """What names this version of the supervisor."""
    digest = hashlib.sha256()
    for name, content in shipped_files():
        digest.update(name.encode() + b"\0" + content + b"\0")
    return digest.hexdigest()[:12]


def ship_locally(root: Root) -> Path:
    """The folder on this machine that holds the supervisor's code; made at the first call."""
    target = root.bin / code_hash()
    if target.is_dir():
        return target
    root.bin.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".ship-", dir=root.bin))
    for name, content in shipped_files():
        (staging / name).parent.mkdir(parents=True, exist_ok=True)
        (staging / name).write_bytes(content)
    try:
        os.rename(staging, target)
    except OSError:  # another console was first, with the same content
        shutil.rmtree(staging, ignore_errors=True)
    return target
