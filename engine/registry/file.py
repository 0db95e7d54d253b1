"""The registry's file: its tables, its version, and writing to it from several processes. SQLite, standard library only.

Guarantees: a change is there whole or not at all, also after `kill -9`; writers wait for each other; a file of a newer
version is refused, never touched.
Does not guarantee: to be shared between threads. Each opens its own.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from engine.registry.model import RegistryError
from engine.registry.wait import BUSY_S, patiently

_SCHEMA = """
CREATE TABLE sessions (
    session_id TEXT PRIMARY KEY, pipeline_config_json TEXT NOT NULL DEFAULT '{}', start_time REAL, end_time REAL,
    status TEXT NOT NULL DEFAULT '', current_phase TEXT, progress_percent REAL NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '', step TEXT, preset TEXT, seed INTEGER, host TEXT, plan TEXT, tree TEXT, code TEXT,
    config_hash TEXT, measured_json TEXT NOT NULL DEFAULT '{}'
);
CREATE TABLE models (
    model_id TEXT PRIMARY KEY, session_id TEXT NOT NULL REFERENCES sessions(session_id), phase_name TEXT NOT NULL,
    model_name TEXT NOT NULL, model_path TEXT NOT NULL, size_mb REAL, parameters INTEGER, created_at REAL NOT NULL,
    metadata_json TEXT NOT NULL DEFAULT '{}', tags TEXT NOT NULL DEFAULT '',
    step TEXT, model_type TEXT NOT NULL DEFAULT '', size_bytes INTEGER, sha256 TEXT
);
CREATE INDEX models_by_session ON models (session_id);
CREATE INDEX models_by_phase ON models (phase_name);
CREATE INDEX models_by_created ON models (created_at);
CREATE INDEX models_by_sha256 ON models (sha256);
CREATE TABLE model_parents (
    model_id TEXT NOT NULL REFERENCES models(model_id), said TEXT NOT NULL, PRIMARY KEY (model_id, said)
);
CREATE TABLE model_gates (
    model_id TEXT NOT NULL REFERENCES models(model_id), gate TEXT NOT NULL, state TEXT NOT NULL, because TEXT NOT NULL,
    judged_at REAL NOT NULL, PRIMARY KEY (model_id, gate)
);
CREATE TABLE promotions (
    n INTEGER PRIMARY KEY, phase_name TEXT NOT NULL, model_id TEXT NOT NULL REFERENCES models(model_id),
    sha256 TEXT NOT NULL, promoted_at REAL NOT NULL, promoted_by TEXT NOT NULL, reason TEXT NOT NULL
);
CREATE TABLE phase_handoffs (
    handoff_id TEXT PRIMARY KEY, source_phase TEXT NOT NULL, target_phase TEXT NOT NULL,
    source_model_id TEXT NOT NULL REFERENCES models(model_id), target_model_id TEXT REFERENCES models(model_id),
    handoff_timestamp REAL NOT NULL, validation_status TEXT NOT NULL, validation_metrics_json TEXT NOT NULL
);
CREATE INDEX handoffs_by_target ON phase_handoffs (target_phase);
"""

# Each script brings a file of the version before to the next; the file's version is how many it has seen. Only ever append.
_SCRIPTS = (
    _SCHEMA,
    "ALTER TABLE sessions ADD COLUMN variant TEXT",
    "CREATE INDEX models_by_name ON models (model_name); CREATE INDEX parents_by_said ON model_parents (said)",
)


class RegistryFile:
    """One thread's connection."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
        except sqlite3.Error as error:
            raise RegistryError(f"{path} can't be opened as the registry: {error}") from None
        try:
            self._prepare(path)
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise RegistryError(f"{path} can't be used as the registry: {error}") from None
        except RegistryError:
            self._db.close()
            raise

    def _prepare(self, path: Path) -> None:
        if self.one("PRAGMA journal_mode")[0] != "wal":
            patiently(lambda: self._db.execute("PRAGMA journal_mode=WAL"))
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute("PRAGMA foreign_keys=ON")
        if self._version() < len(_SCRIPTS):
            with self.writing():  # the version is asked again: another process may have been here while this one waited
                for script in _SCRIPTS[self._version() :]:
                    for statement in script.split(";"):
                        self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version={max(self._version(), len(_SCRIPTS))}")
        if self._version() > len(_SCRIPTS):
            raise RegistryError(f"{path} is of a newer fractal-console (registry {self._version()}): update this one")

    def _version(self) -> int:
        return int(self.one("PRAGMA user_version")[0])

    def close(self) -> None:
        self._db.close()

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """One whole change or none; waits for another process that is writing."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def one(self, query: str, *values: Any) -> Any:
        return self._db.execute(query, values).fetchone()

    def run(self, query: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        return self._db.execute(query, values)

    def upsert(self, table: str, columns: dict[str, Any], keep: tuple[str, ...]) -> None:
        """Write a row; where it stands already, all but the columns to keep."""
        again = ", ".join(f"{name} = excluded.{name}" for name in columns if name not in keep)
        self._db.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
            f" ON CONFLICT ({keep[0]}) DO UPDATE SET {again}",
            tuple(columns.values()),
        )
