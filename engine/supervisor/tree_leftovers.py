"""What making snapshots leaves beside them: trees that were set aside (`.old-*`) and unfinished ones (`.tree-*`).

Guarantees: nothing that a process stands in or has open files of is taken away, nor anything younger than an hour; where
that can't be told (no /proc, another user's processes), only what is older than a week.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from engine.protocol.layout import Root

_YOUNG_S = 3600.0
_OLD_S = 7 * 86400.0


def clear(root: Root, now: float | None = None) -> list[str]:
    """Take away what nobody needs any more; the names."""
    now = time.time() if now is None else now
    aside = [p for p in root.trees.glob(".*") if p.name.startswith((".old-", ".tree-")) and _age_s(p, now) > _YOUNG_S]
    if not aside:
        return []
    used, all_seen = _places_in_use()
    gone = []
    for path in aside:
        inside = str(path.resolve()) + "/"
        if any(place.startswith(inside) for place in used) or not (all_seen or _age_s(path, now) > _OLD_S):
            continue
        shutil.rmtree(path, ignore_errors=True)
        gone.append(path.name)
    return gone


def _age_s(path: Path, now: float) -> float:
    try:
        return now - path.stat().st_mtime
    except OSError:
        return 0.0


def _places_in_use() -> tuple[set[str], bool]:
    """Where processes stand and what they have open; False where some could not be looked at."""
    if not Path("/proc/self/cwd").exists():
        return set(), False
    found, all_seen = set(), True
    for name in os.listdir("/proc"):
        if not name.isdigit() or name == "1":  # init stands in no tree, and lets nobody look
            continue
        try:
            found.add(os.readlink(f"/proc/{name}/cwd") + "/")
            found |= {os.readlink(f"/proc/{name}/fd/{fd}") for fd in os.listdir(f"/proc/{name}/fd")}
        except (FileNotFoundError, ProcessLookupError):
            continue
        except PermissionError:
            all_seen = all_seen and not _is_ours(name)
    return found, all_seen


def _is_ours(pid: str) -> bool:
    """Only this user's runs stand in this user's trees."""
    try:
        return os.stat(f"/proc/{pid}").st_uid == os.getuid()
    except OSError:
        return False
