"""What is known of a file that a run made: size, hash, rows. One description for the program, the supervisor and the pull."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

Description = dict[str, Any]


def describe(path: Path, shown: str | None = None) -> Description:
    """Size, sha256, modification time and rows of a file; of a folder its size and the hash over names and contents."""
    digest = hashlib.sha256()
    size = 0
    for file in files_below(path):
        if path.is_dir():
            digest.update(str(file.relative_to(path)).encode() + b"\0")
        with open(file, "rb") as handle:
            while chunk := handle.read(1 << 20):
                digest.update(chunk)
                size += len(chunk)
    about: Description = {
        "path": str(path) if shown is None else shown,
        "size": size,
        "sha256": digest.hexdigest(),
        "mtime_ns": latest_change(path),
    }
    rows = count_rows(path)
    return about if rows is None else {**about, "rows": rows}


def files_below(path: Path) -> list[Path]:
    """The file itself, or every file of a folder in a stable order."""
    return sorted(f for f in path.rglob("*") if f.is_file()) if path.is_dir() else [path]


def latest_change(path: Path) -> int:
    return max((f.stat().st_mtime_ns for f in files_below(path)), default=0)


def unchanged(path: Path, about: Description) -> bool:
    """Does the description still hold, judged by size and modification time?"""
    try:
        size = sum(f.stat().st_size for f in files_below(path))
        return size == about.get("size") and latest_change(path) == about.get("mtime_ns")
    except OSError:
        return False


def shown_path(path: Path, work: str | None) -> str:
    """Relative to the work folder where it lies inside it: the run may be looked at on another machine."""
    if work:
        try:
            return str(path.resolve().relative_to(Path(work).resolve()))
        except ValueError:
            pass
    return str(path)


def count_rows(path: Path) -> int | None:
    """Lines of a `.jsonl`, items of a `.json` list, first dimension of a `.npz`'s first array; None for all else."""
    try:
        if path.suffix == ".jsonl":
            with open(path, "rb") as file:
                return sum(1 for line in file if line.strip())
        if path.suffix == ".json" and path.stat().st_size < (1 << 28):
            value = json.loads(path.read_bytes())
            return len(value) if isinstance(value, list) else None
        if path.suffix == ".npz":
            return _npz_rows(path)
    except (*_UNREADABLE, zipfile.BadZipFile, zlib.error):
        return None
    return None


# What a file that is not what its name says can raise in its readers; a count is never worth a run's end.
_UNREADABLE = (ValueError, OSError, EOFError, SyntaxError, KeyError, TypeError, RuntimeError, MemoryError)


def _npz_rows(path: Path) -> int | None:
    """From the header of the first array alone: no numpy, nothing decompressed but the first block."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if not names:
            return 0
        with archive.open(names[0]) as file:
            head = file.read(8)
            width = 2 if head[6:7] == b"\x01" else 4
            length = int.from_bytes(file.read(width), "little")
            shape = ast.literal_eval(file.read(length).decode("latin1").strip())["shape"]
    return int(shape[0]) if shape else None


def unique_values(path: Path, key: str) -> tuple[int, int]:
    """Rows of a `.jsonl` and how many different values `key` takes; rows without the key, or torn ones, share one value."""
    seen: set[str] = set()
    rows = 0
    with open(path, "rb") as file:
        for line in file:
            if line.strip():
                rows += 1
                try:
                    row = json.loads(line)
                except ValueError:
                    row = None
                seen.add(json.dumps(row.get(key) if isinstance(row, dict) else None, sort_keys=True))
    return rows, len(seen)


def free_bytes(folder: Path) -> int:
    stats = os.statvfs(folder)
    return stats.f_bavail * stats.f_frsize
