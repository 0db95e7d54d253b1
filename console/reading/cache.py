"""What was read of a run, kept as columns, so that opening it again costs milliseconds: `<root>/cache/columns/<run>`.

Guarantees: a cache is taken only where the files it was made from still begin as they did then; reading goes on behind it, so
nothing is missed; one that is broken, of another version or of other files is passed over. It may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
from array import array
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.charts.series import Series
from engine.protocol.evidence import Summary

if TYPE_CHECKING:
    from console.reading.view import RunView

_VERSION = 1
_TRACK = 512
"""Bytes before the offset that must be the same: a file that was written anew differs there."""
WORTH_BYTES = 1 << 20
"""Below this, reading the events again is as fast."""
_MOST_FILES = 200


def folder_of(run: Path) -> Path:
    """Beside the runs, under the same root."""
    return run.parent.parent / "cache" / "columns"


def keep(view: RunView) -> bool:
    """Write what the view has read; False where that would not pay, or can't be done."""
    if sum(view.offsets.values()) - view.cached_bytes < WORTH_BYTES or not _is_ours(view.paths.folder):
        return False
    columns = {name: one.columns() for name, one in view.series.items()}
    head = {
        "v": _VERSION,
        "offsets": view.offsets,
        "tracks": {name: _track(view.paths.folder / name, at) for name, at in view.offsets.items()},
        "corrupt": view.corrupt,
        "progress": asdict(view.progress),
        "events": view.events,
        "meters": view.meters.kept(),
        "series": {
            name: [columns[name].count, one.rewinds, one.superseded, _summary(view, name)]
            for name, one in view.series.items()
        },
    }
    parts = [part.view for one in columns.values() for part in (one.steps, one.raw.values, one.times)]
    folder = folder_of(view.paths.folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        beside = folder / f".{view.paths.run_id}.{os.getpid()}"
        with open(beside, "wb") as file:  # not forced to the disk: a torn one is found out, and costs one more reading
            file.write(json.dumps(head, separators=(",", ":")).encode() + b"\n")
            file.writelines(part.data for part in parts)  # as they lie in memory: a copy would be as large again
        os.replace(beside, folder / view.paths.run_id)
        _prune(folder)
    except OSError:
        return False  # a full disk: the run is read anew next time
    view.cached_bytes = sum(view.offsets.values())
    return True


def _is_ours(run: Path) -> bool:
    """Nothing is laid into a colleague's root, which one may only be looking at."""
    return run.exists() and run.stat().st_uid == os.getuid()


def _summary(view: RunView, name: str) -> list[Any]:
    assert view.evidence is not None
    return list(view.evidence.metrics[name].__dict__.values())


def restore(view: RunView) -> bool:
    """Take over what was kept of this run; False where there is nothing to be trusted."""
    assert view.evidence is not None
    try:
        data = (folder_of(view.paths.folder) / view.paths.run_id).read_bytes()
        head = json.loads(data[: data.index(b"\n")])
        if head["v"] != _VERSION or any(
            _track(view.paths.folder / name, at) != head["tracks"][name] for name, at in head["offsets"].items()
        ):
            return False
        series = _series(data, data.index(b"\n") + 1, head["series"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    view.series = series
    view.offsets, view.corrupt = dict(head["offsets"]), head["corrupt"]
    view.cached_bytes = sum(view.offsets.values())
    view.feed(head["events"])
    view.meters.take(head["meters"])
    progress = head["progress"]
    view.progress.__dict__.update(progress | {"began": progress["began"] and tuple(progress["began"])})
    view.evidence.metrics.update({name: Summary(*about[3]) for name, about in head["series"].items()})
    return True


def _series(data: bytes, at: int, heads: dict[str, Any]) -> dict[str, Series]:
    found = {}
    for name, (count, rewinds, superseded, _) in heads.items():
        columns = []
        for code, width in (("d", 8), ("f", 4), ("d", 8)):
            column = array(code)
            column.frombytes(memoryview(data)[at : at + count * width])
            if len(column) != count:
                raise ValueError(f"{name} is torn")
            columns.append(column)
            at += count * width
        one = found[name] = Series(name)
        one.extend(*columns)
        one.rewinds, one.superseded = rewinds, superseded
    return found


def _track(file: Path, offset: int) -> str:
    """A hash of the first bytes and of those right before an offset; of a shorter file it is another."""
    try:
        with open(file, "rb") as handle:
            first = handle.read(min(_TRACK, offset))
            handle.seek(max(0, offset - _TRACK))
            last = handle.read(min(_TRACK, offset))
    except FileNotFoundError:
        return "" if offset == 0 else "gone"
    return hashlib.sha256(first + last + f"{len(last)}".encode()).hexdigest()[:16]


def _prune(folder: Path) -> None:
    """The caches that were used longest ago go."""
    kept: Iterable[os.DirEntry[str]] = sorted(os.scandir(folder), key=lambda e: e.stat().st_mtime, reverse=True)
    for entry in list(kept)[_MOST_FILES:]:
        os.unlink(entry.path)
