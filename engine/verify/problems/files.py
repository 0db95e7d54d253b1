"""Rows of data files, or one line that says which file is damaged where."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from engine.verify.problems.problem import BadData


def data_folder() -> Path | None:
    """The folder with real data, `$FRACTAL_DATA`; None where there is none."""
    named = os.environ.get("FRACTAL_DATA")
    return Path(named) if named else None


def json_lines(path: Path) -> list[dict[str, Any]]:
    """The rows of a `.jsonl` or `.jsonl.gz`; a cut file names its last good row."""
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        text = raw.decode("utf-8")
    except FileNotFoundError:
        raise BadData(f"{path} does not exist; put the file there or unset FRACTAL_DATA to use the hub") from None
    except (EOFError, OSError, UnicodeDecodeError) as error:
        raise BadData(f"{path} is damaged ({error}); fetch it again") from None
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            rows.append(json.loads(line))
        except ValueError:
            raise BadData(f"{path}:{number}: no JSON row; the file is cut or damaged, fetch it again") from None
    return rows


def json_list(path: Path) -> list[dict[str, Any]]:
    """The items of a JSON array."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadData(f"{path} does not exist; put the file there or unset FRACTAL_DATA to use the hub") from None
    except ValueError as error:
        raise BadData(f"{path} is cut or damaged ({error}); fetch it again") from None
    if not isinstance(rows, list):
        raise BadData(f"{path}: a JSON list is expected")
    return rows


def field(row: dict[str, Any], name: str, where: str) -> Any:
    try:
        return row[name]
    except KeyError:
        raise BadData(f"{where}: the row has no {name!r}; is this the right file?") from None


def fingerprint_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
