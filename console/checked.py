"""What has been read and checked already, kept under a hash of all that it came from: `<root>/cache/checked/<hash>`.

So a usual start needs neither YAML nor pydantic. Guarantees: what is kept is taken only for the very bytes of the files that it
was made from and only by the very code that checked them; one that is torn or was tampered with is passed over; only what holds
is kept, a wrong file is refused anew each time. Any number of consoles may keep at once. It may be deleted at any time.
Does not guarantee to keep anything: a read-only glance writes nothing, and a full disk costs a little time.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from remote.kept import keep, read_kept

_MOST_FILES = 200
"""Ten stand for the five phases; every edit adds one, every new version of the code a set."""


class Checked:
    """See above. Without a folder it remembers for this process only."""

    def __init__(self, folder: Path | None = None, *, writes: bool = True) -> None:
        self._folder = folder
        self._writes = writes
        self._known: dict[str, str] = {}

    def of(self, about: Sequence[Any], files: Sequence[Path], make: Callable[[], Any]) -> Any:
        """What `make` makes of these files, as JSON gives it back; `about` is whatever else it depends on."""
        before = [_bytes_of(file) for file in files]
        key = _hash(_code(), json.dumps(about, default=repr).encode(), *before)
        text = self._known.get(key) or self._read(key)
        if text is None:
            value = make()
            text = _as_json(value)
            # Edited between hashing and making: what was made belongs to other bytes than the hash.
            if text is None or [_bytes_of(file) for file in files] != before:
                return value
            self._write(key, text)
        self._known[key] = text
        return json.loads(text)

    def _read(self, key: str) -> str | None:
        body = None if self._folder is None else read_kept(self._folder / key)
        return None if body is None else body.decode()

    def _write(self, key: str, text: str) -> None:
        if self._folder is not None and self._writes:
            keep(self._folder / key, text.encode(), _MOST_FILES)


def _as_json(value: Any) -> str | None:
    """None where JSON would give back something else: a date, a key that is a number."""
    try:
        text = json.dumps(value)
    except (TypeError, ValueError):
        return None
    return text if json.loads(text) == value else None


def _bytes_of(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:  # not there, or `make` says better what is wrong with it
        return None


def _hash(*parts: bytes | None) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(b"-" if part is None else b"%d:" % len(part) + part)
    return digest.hexdigest()


@cache
def _code() -> bytes:
    """Marks of the code that reads and checks. ctime among them: whatever writes or replaces a file moves it."""
    import engine.config
    import engine.protocol

    console = Path(__file__).parent
    folders = [*engine.config.__path__, *engine.protocol.__path__, str(console), str(console / "launch")]
    files = [file for folder in folders for file in _sources(folder)]
    files += [found for name in ("pydantic", "yaml") if (found := _origin(name)) is not None]
    return "\n".join(f"{file} {_marks(file)}" for file in files).encode()


def _sources(folder: str) -> list[str]:
    return sorted(entry.path for entry in os.scandir(folder) if entry.name.endswith(".py"))


def _origin(package: str) -> str | None:
    """The file of a package, which is not imported for it."""
    from importlib.util import find_spec

    found = find_spec(package)
    return found.origin if found is not None else None


def _marks(file: str) -> tuple[int, int, int]:
    about = os.stat(file)
    return about.st_size, about.st_mtime_ns, about.st_ctime_ns
