"""The console's own memory: an index of runs, what people said about checks, what was chosen last. SQLite in WAL mode.

Guarantees: two consoles may have it open; a `kill -9` at any point loses at most the statement under way; what a person
said is never overwritten, only followed by a newer word.
Does not guarantee: to be the truth about runs. Run folders are; this index is rebuilt from them when it is lost.
"""

from __future__ import annotations

import json
import sqlite3
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.protocol.evidence import Evidence, EvidenceReader, Summary
from engine.protocol.gates import Word
from engine.protocol.layout import Root
from engine.protocol.spec import RunSpec, read_spec
from engine.protocol.status import FINAL, LOST, Status, observe
from engine.protocol.version import NewerProtocol
from engine.registry_file import patiently

_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    run_id TEXT PRIMARY KEY, host TEXT, project TEXT, phase TEXT, step TEXT, preset TEXT, variant TEXT, plan TEXT,
    created REAL, created_by TEXT, seed INTEGER, tree TEXT, code TEXT, config_hash TEXT, family TEXT,
    state TEXT, reason TEXT, started REAL, ended REAL, final INTEGER
);
CREATE INDEX IF NOT EXISTS runs_by_phase ON runs (project, phase, created);
CREATE INDEX IF NOT EXISTS runs_open ON runs (final);
CREATE TABLE IF NOT EXISTS evidence (run_id TEXT PRIMARY KEY, body TEXT);
CREATE TABLE IF NOT EXISTS words (
    n INTEGER PRIMARY KEY, kind TEXT, project TEXT, phase TEXT, preset TEXT, check_id TEXT, said TEXT,
    who TEXT, reason TEXT, at REAL, code TEXT
);
CREATE INDEX IF NOT EXISTS words_by_phase ON words (project, phase, preset);
CREATE TABLE IF NOT EXISTS registered (run_id TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS memory (name TEXT PRIMARY KEY, value TEXT);
"""


@dataclass(frozen=True)
class RunRow:
    """One run as the index knows it."""

    run_id: str
    host: str
    project: str
    phase: str
    step: str
    preset: str
    variant: str
    plan: str | None
    created: float
    created_by: str
    seed: int | None
    tree: str
    code: str
    config_hash: str
    family: str
    state: str
    reason: str
    started: float | None
    ended: float | None
    final: bool

    @property
    def unreadable(self) -> bool:
        """Its folder is there and can't be read; `reason` says why."""
        return self.project == _NOBODY

    @property
    def seconds(self) -> float | None:
        """How long the command has run."""
        if self.started is None:
            return None
        return (self.ended if self.ended is not None else time.time()) - self.started


_COLUMNS = ", ".join(RunRow.__dataclass_fields__)


class Store:
    """One console's connection."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
        patiently(lambda: self._db.execute("PRAGMA journal_mode=WAL"))
        self._db.execute("PRAGMA synchronous=NORMAL")
        patiently(lambda: self._db.executescript(_SCHEMA))
        self._readers: dict[str, EvidenceReader] = {}

    def close(self) -> None:
        self._db.close()

    # What is known of runs

    def refresh(self, root: Root, host: str = "local") -> list[str]:
        """Take in runs that are new or not final; returns the ids whose row changed."""
        known = dict(self._db.execute("SELECT run_id, final FROM runs WHERE host = ?", (host,)).fetchall())
        looked = [self._look(root, run_id) for run_id in root.run_ids() if not known.get(run_id)]
        changed = [row for row in looked if row is not None and self._differs(row)]
        if changed:
            # At once a writer: a transaction that begins as a reader is refused when another console writes meanwhile.
            self._db.execute("BEGIN IMMEDIATE")
            try:
                for row in changed:
                    self._write(row)
            finally:
                self._db.execute("COMMIT")
        return [row.run_id for row in changed]

    def _look(self, root: Root, run_id: str) -> RunRow | None:
        paths = root.run(run_id)
        try:
            spec = read_spec(paths.spec)
            return None if spec is None else _row_of(spec, observe(paths))
        except NewerProtocol as error:
            problem = str(error)
        except (ValueError, TypeError, KeyError) as error:
            problem = f"{paths.spec} can't be read: {error}"
        # Open in the index: once this installation is newer, or the file is mended, it is read like any other.
        unreadable = _unreadable(run_id, paths.folder.stat().st_mtime)
        return replace(_row_of(unreadable, Status(LOST, problem)), final=False)

    def put_run(self, spec: RunSpec, status: Status) -> bool:
        """Write a run's row; True if that changed anything."""
        row = _row_of(spec, status)
        if not self._differs(row):
            return False
        self._write(row)
        return True

    def _differs(self, row: RunRow) -> bool:
        return self.run(row.run_id) != row

    def _write(self, row: RunRow) -> None:
        values = list(row.__dict__.values())
        self._db.execute(f"INSERT OR REPLACE INTO runs ({_COLUMNS}) VALUES ({','.join('?' * len(values))})", values)

    def runs(self, project: str | None = None, phase: str | None = None, limit: int | None = None) -> list[RunRow]:
        """Runs, newest first."""
        where, values = ["1"], []
        for column, value in (("project", project), ("phase", phase)):
            if value is not None:
                where.append(f"{column} = ?")
                values.append(value)
        tail = f" LIMIT {int(limit)}" if limit else ""
        query = f"SELECT {_COLUMNS} FROM runs WHERE {' AND '.join(where)} ORDER BY created DESC, run_id DESC{tail}"
        return [_row(values) for values in self._db.execute(query, values)]

    def run(self, run_id: str) -> RunRow | None:
        row = self._db.execute(f"SELECT {_COLUMNS} FROM runs WHERE run_id = ?", (run_id,)).fetchone()
        return None if row is None else _row(row)

    # What runs have shown

    def evidence(self, root: Root, row: RunRow) -> Evidence | None:
        """A run's evidence: kept once it is final, gathered anew while it is not."""
        if row.final:
            kept = self._db.execute("SELECT body FROM evidence WHERE run_id = ?", (row.run_id,)).fetchone()
            if kept is not None:
                return thawed(json.loads(kept[0]))
        reader = self._readers.setdefault(row.run_id, EvidenceReader(root.run(row.run_id)))
        evidence = reader.read(Status(row.state, row.reason, started=row.started, ended=row.ended))
        if evidence is not None and row.final:
            del self._readers[row.run_id]
            body = json.dumps(frozen(evidence))
            self._db.execute("INSERT OR REPLACE INTO evidence VALUES (?, ?)", (row.run_id, body))
        return evidence

    def unregistered(self) -> list[RunRow]:
        """Runs that have ended and whose models the registry has not been told of."""
        query = f"SELECT {_COLUMNS} FROM runs WHERE final AND run_id NOT IN (SELECT run_id FROM registered)"
        return [_row(values) for values in self._db.execute(query)]

    def set_registered(self, run_id: str) -> None:
        self._db.execute("INSERT OR IGNORE INTO registered VALUES (?)", (run_id,))

    # What people have said

    def say(
        self,
        kind: str,
        project: str,
        phase: str,
        preset: str,
        check_id: str,
        said: bool,
        who: str,
        reason: str,
        code: str = "",
    ) -> None:
        """`tick` or `override` a check, or take that back (`said` False)."""
        self._db.execute(
            "INSERT INTO words (kind, project, phase, preset, check_id, said, who, reason, at, code)"
            " VALUES (?,?,?,?,?,?,?,?,?,?)",
            (kind, project, phase, preset, check_id, int(said), who, reason, time.time(), code),
        )

    def words(self, kind: str, project: str, phase: str, preset: str) -> dict[str, Word]:
        """Per check the newest word, where it was not taken back."""
        rows = self._db.execute(
            "SELECT check_id, said, who, reason, at, code FROM words"
            " WHERE kind = ? AND project = ? AND phase = ? AND preset = ? ORDER BY n",
            (kind, project, phase, preset),
        )
        newest = {row[0]: row[1:] for row in rows}
        return {
            check: Word(who, reason, at, code) for check, (said, who, reason, at, code) in newest.items() if int(said)
        }

    # What was chosen last

    def remember(self, name: str, value: Any) -> None:
        self._db.execute("INSERT OR REPLACE INTO memory VALUES (?, ?)", (name, json.dumps(value)))

    def recall(self, name: str, default: Any = None) -> Any:
        row = self._db.execute("SELECT value FROM memory WHERE name = ?", (name,)).fetchone()
        return default if row is None else json.loads(row[0])


def _row(values: tuple[Any, ...]) -> RunRow:
    row = dict(zip(RunRow.__dataclass_fields__, values, strict=True))
    return RunRow(**{**row, "final": bool(row["final"])})


def _row_of(spec: RunSpec, status: Status) -> RunRow:
    return RunRow(
        *(spec.run_id, spec.host, spec.project, spec.phase, spec.step, spec.preset, spec.variant, spec.plan),
        *(spec.created, spec.created_by, spec.seed, spec.tree, spec.code, spec.config_hash, spec.family),
        *(status.state, status.reason, status.started, status.ended),
        # `lost` is only concluded, and a folder may still get its end: it stays open in the index for an hour
        final=_settled(status, spec),
    )


def _settled(status: Status, spec: RunSpec) -> bool:
    return status.state in FINAL and (status.state != LOST or time.time() - spec.created > 3600)


_NOBODY = "?"


def _unreadable(run_id: str, created: float) -> RunSpec:
    """A row for a folder that can't be read, so that it is seen and not silently missing."""
    return RunSpec(run_id, _NOBODY, "?", "?", "?", "?", [], "", "", created=created)


def frozen(evidence: Evidence) -> dict[str, Any]:
    """Evidence as JSON."""
    body = dict(evidence.__dict__)
    body["metrics"] = {name: list(s.__dict__.values()) for name, s in evidence.metrics.items()}
    return body


def thawed(body: dict[str, Any]) -> Evidence:
    """Evidence from what `frozen` made of it."""
    metrics = {name: Summary(*values) for name, values in body["metrics"].items()}
    return Evidence(**{**body, "metrics": metrics})
