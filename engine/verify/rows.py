"""A JSONL file that a step appends to and can go on with.

Beside `X.jsonl` lies `X.params.json`: what the rows were made with. Going on with other parameters is refused and says which
differ; a torn last line is dropped; a unit of rows is on disk (fsync) before it counts as done.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from engine.protocol.durable import read_json, write_json
from engine.verify.step import StepFailed


def params_path(path: Path) -> Path:
    return path.with_suffix(".params.json")


class Appender:
    """Opened for one step; `had` are the rows of an earlier, interrupted try."""

    def __init__(self, path: Path, params: dict[str, Any]) -> None:
        self.path = path
        _same_or_refused(path, params)
        self.dropped_torn_line = _drop_torn_line(path)
        self.had = list(read(path)) if path.exists() else []
        self._file = open(path, "ab")  # noqa: SIM115

    def append(self, rows: list[dict[str, Any]]) -> None:
        """All rows of one unit, durably."""
        self._file.write(b"".join(json.dumps(row, sort_keys=True).encode() + b"\n" for row in rows))
        self._file.flush()
        os.fsync(self._file.fileno())

    def __enter__(self) -> Appender:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def _same_or_refused(path: Path, params: dict[str, Any]) -> None:
    plain = json.loads(json.dumps(params))
    if path.exists() and path.stat().st_size:
        kept = read_json(params_path(path))
        if kept is None:
            raise StepFailed(
                f"{path} has no {params_path(path).name} beside it: nobody knows how it was made. Move it away."
            )
        differ = sorted(k for k in kept.keys() | plain.keys() if kept.get(k) != plain.get(k))
        if differ:
            shown = "; ".join(f"{k}: {kept.get(k)!r} there, {plain.get(k)!r} now" for k in differ)
            raise StepFailed(f"{path} was made with other parameters ({shown}). Move it away, or use those.")
    else:
        write_json(params_path(path), plain)


def _drop_torn_line(path: Path) -> bool:
    """Cut what stands after the last line end."""
    if not path.exists():
        return False
    data = path.read_bytes()
    if not data or data.endswith(b"\n"):
        return False
    os.truncate(path, data.rfind(b"\n") + 1)
    return True


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a finished or unfinished file."""
    try:
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield json.loads(line)
                except ValueError:
                    raise StepFailed(
                        f"{path}:{number}: no JSON row; the file is damaged. Move it away and run again."
                    ) from None
    except FileNotFoundError:
        raise StepFailed(f"{path} does not exist; run the step that makes it first") from None
