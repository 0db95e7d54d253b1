"""The console's own memory: an index of runs, what people said about checks, what was chosen last. SQLite in WAL mode.

Guarantees: two consoles may have it open; a `kill -9` at any point loses at most the statement under way; what a person
said is never overwritten, only followed by a newer word.
Does not guarantee: to be the truth about runs. Run folders are; this index is rebuilt from them when it is lost.
"""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.runs import finals, notes
from console.runs.frozen import frozen, thawed
from console.runs.listing import Listing
from console.runs.spending import Spending
from engine.protocol.case import Word
from engine.protocol.evidence import Evidence, EvidenceReader
from engine.protocol.spec import RunSpec, read_spec
from engine.protocol.status import FINAL, LOST, Status, observe
from engine.protocol.version import NewerProtocol
from engine.registry.wait import patiently

if TYPE_CHECKING:
    from engine.protocol.layout import Root

_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    run_id TEXT PRIMARY KEY, host TEXT, project TEXT, phase TEXT, step TEXT, preset TEXT, variant TEXT, plan TEXT,
    created REAL, created_by TEXT, seed INTEGER, tree TEXT, code TEXT, config_hash TEXT, family TEXT,
    state TEXT, reason TEXT, started REAL, ended REAL, final INTEGER
);
CREATE INDEX IF NOT EXISTS runs_by_phase ON runs (project, phase, created);
CREATE INDEX IF NOT EXISTS runs_by_project ON runs (project, created);
CREATE INDEX IF NOT EXISTS runs_by_preset ON runs (project, phase, preset, variant);
CREATE INDEX IF NOT EXISTS runs_by_family ON runs (project, phase, family);
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


COLUMNS = tuple(RunRow.__dataclass_fields__)
_COLUMNS = ", ".join(COLUMNS)
_HALF = f"SELECT {_COLUMNS} FROM runs WHERE project = ? AND phase = ? AND preset = ? AND"
_RUNS_OF = f"{_HALF} variant = ? UNION {_HALF} family = ?"
_UPDATES = ", ".join(f"{name} = excluded.{name}" for name in RunRow.__dataclass_fields__ if name != "run_id")
_LIVE_FINALS_S = 10.0  # how often the index hears the newest values of a run that goes on


@dataclass(frozen=True)
class _Seen:
    """A run folder as it was found."""

    row: RunRow
    config: dict[str, Any]


class Store:
    """One console's connection."""

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        """`readonly`: a copy in memory as the file is now; nothing is ever written to it."""
        self.path, self.in_memory = path, readonly
        if readonly:
            self._db = _copied(path)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
            patiently(lambda: self._db.execute("PRAGMA journal_mode=WAL"))
        self._db.execute("PRAGMA synchronous=NORMAL")
        patiently(lambda: self._db.executescript(_SCHEMA + finals.SCHEMA + notes.SCHEMA))
        self.notes = notes.Notes(self._db)
        self.money = Spending(self._db)
        self._readers: dict[str, EvidenceReader] = {}
        self._listing = Listing()
        self._over: set[str] | None = None
        """Runs that need no more looks; None until the index was asked."""
        self._told: dict[str, float] = {}
        """When the index was last told the values of a run that goes on."""
        self._kept: dict[str, Evidence] = {}
        """Evidence of runs that are over, as it was read last: it does not change any more."""

    def close(self) -> None:
        self._db.close()

    def connection_to_read(self) -> sqlite3.Connection:
        """For another thread that only asks: a connection of its own, or this one where the index is a copy in memory."""
        if self.in_memory:
            return self._db
        db = sqlite3.connect(self.path, timeout=10, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA query_only = ON")
        return db

    # What is known of runs

    def refresh(self, root: Root) -> list[str]:
        """Take in runs that are new or not final; returns the ids whose row changed."""
        if self._over is None:
            self._over = {r for (r,) in self._db.execute("SELECT run_id FROM runs WHERE final")}
            self._complete(root)
        seen = [s for run_id in self._listing.open_ids(root, self._over) if (s := self._look(root, run_id)) is not None]
        changed = [s for s in seen if self._differs(s.row)]
        if changed:
            # At once a writer: a transaction that begins as a reader is refused when another console writes meanwhile.
            self._db.execute("BEGIN IMMEDIATE")
            try:
                for one in changed:
                    self._write(one.row)
                    finals.put_config(self._db, one.row.config_hash, one.config)
            finally:
                self._db.execute("COMMIT")
        for one in seen:
            self._tell_finals(root, one.row)
        self._over.update(s.row.run_id for s in seen if s.row.final)
        return [s.row.run_id for s in changed]

    def _complete(self, root: Root) -> None:
        """What an index that was written by an earlier version lacks."""
        bare = "SELECT MIN(run_id) FROM runs WHERE config_hash NOT IN (SELECT config_hash FROM configs) GROUP BY config_hash"
        for (run_id,) in self._db.execute(bare).fetchall():
            one = self._look(root, run_id)
            if one is not None:
                finals.put_config(self._db, one.row.config_hash, one.config)
        untold = f"SELECT {_COLUMNS} FROM runs WHERE final AND run_id NOT IN (SELECT run_id FROM finals)"
        for values in self._db.execute(untold).fetchall():
            row = row_of_values(values)
            evidence = self.evidence(root, row)
            finals.put_finals(self._db, row.run_id, {} if evidence is None else finals.finals_of(evidence))

    def _tell_finals(self, root: Root, row: RunRow) -> None:
        """Bring the values that queries see up to date: at the end, and now and then before it."""
        now = time.monotonic()
        if row.unreadable or (not row.final and now - self._told.get(row.run_id, -_LIVE_FINALS_S) < _LIVE_FINALS_S):
            return
        self._told[row.run_id] = now
        evidence = self.evidence(root, row)
        if evidence is not None and not row.final:
            finals.put_finals(self._db, row.run_id, finals.finals_of(evidence))

    def _look(self, root: Root, run_id: str) -> _Seen | None:
        paths = root.run(run_id)
        try:
            spec = read_spec(paths.spec)
            return None if spec is None else _Seen(_row_of(spec, observe(paths)), spec.config)
        except NewerProtocol as error:
            problem = str(error)
        except (ValueError, TypeError, KeyError) as error:
            problem = f"{paths.spec} can't be read: {error}"
        # Open in the index: once this installation is newer, or the file is mended, it is read like any other.
        unreadable = _unreadable(run_id, paths.folder.stat().st_mtime)
        return _Seen(replace(_row_of(unreadable, Status(LOST, problem)), final=False), {})

    def put_run(self, spec: RunSpec, status: Status) -> bool:
        """Write a run's row; True if that changed anything."""
        row = _row_of(spec, status)
        if not self._differs(row):
            return False
        self._write(row)
        finals.put_config(self._db, row.config_hash, spec.config)
        return True

    def _differs(self, row: RunRow) -> bool:
        return self.run(row.run_id) != row

    def _write(self, row: RunRow) -> None:
        values = list(row.__dict__.values())
        self._db.execute(
            f"INSERT INTO runs ({_COLUMNS}) VALUES ({','.join('?' * len(values))})"
            f" ON CONFLICT (run_id) DO UPDATE SET {_UPDATES}",
            values,
        )

    def forget(self, run_id: str) -> None:
        """Take a run out of the index; its notes stay in their log."""
        for table in ("runs", "evidence", "finals", "registered", "tags"):
            self._db.execute(f"DELETE FROM {table} WHERE run_id = ?", (run_id,))
        self._readers.pop(run_id, None)

    def version(self) -> int:
        """Changes when anybody has written to the index."""
        others: int = self._db.execute("PRAGMA data_version").fetchone()[0]
        return others + self._db.total_changes

    def runs(self, project: str | None = None, phase: str | None = None, limit: int | None = None) -> list[RunRow]:
        """Runs, newest first."""
        where, values = _equal(project=project, phase=phase)
        tail = f" LIMIT {int(limit)}" if limit else ""
        query = f"SELECT {_COLUMNS} FROM runs WHERE {' AND '.join(where)} ORDER BY created DESC, run_id DESC{tail}"
        return [row_of_values(values) for values in self._db.execute(query, values)]

    def runs_of(self, project: str, phase: str, preset: str, variant: str, family: str) -> list[RunRow]:
        """The runs that may speak for a variant: its own and those of its family, newest first."""
        query = f"{_RUNS_OF} ORDER BY created DESC, run_id DESC"
        same = (project, phase, preset)
        return [row_of_values(found) for found in self._db.execute(query, [*same, variant, *same, family])]

    def deciding_runs(self, project: str, phase: str, preset: str, variant: str, family: str) -> list[RunRow]:
        """Of these the newest of each kind, where no other of the kind could change a verdict: the same step, variant, ground
        and seed, and both ended well or both did not, and both are over or both are not."""
        kind = "step, variant, seed, code, family, state = 'succeeded', final"
        newest = f"ROW_NUMBER() OVER (PARTITION BY {kind} ORDER BY created DESC, run_id DESC)"
        ranked = f"SELECT *, {newest} AS place FROM ({_RUNS_OF})"
        query = f"SELECT {_COLUMNS} FROM ({ranked}) WHERE place = 1 ORDER BY created DESC, run_id DESC"
        same = (project, phase, preset)
        return [row_of_values(found) for found in self._db.execute(query, [*same, variant, *same, family])]

    def presets_used(self, project: str, phase: str) -> set[str]:
        query = "SELECT DISTINCT preset FROM runs WHERE project = ? AND phase = ?"
        return {preset for (preset,) in self._db.execute(query, (project, phase))}

    def open_runs(self) -> list[RunRow]:
        """Runs that have not ended yet, as far as the index knows, newest first."""
        query = f"SELECT {_COLUMNS} FROM runs WHERE final = 0 ORDER BY created DESC"
        return [row_of_values(values) for values in self._db.execute(query)]

    def run(self, run_id: str) -> RunRow | None:
        row = self._db.execute(f"SELECT {_COLUMNS} FROM runs WHERE run_id = ?", (run_id,)).fetchone()
        return None if row is None else row_of_values(row)

    # What runs have shown

    def evidence(self, root: Root, row: RunRow) -> Evidence | None:
        """A run's evidence: kept once it is final, gathered anew while it is not."""
        if row.final:
            if row.run_id in self._kept:
                return self._kept[row.run_id]
            kept = self._db.execute("SELECT body FROM evidence WHERE run_id = ?", (row.run_id,)).fetchone()
            if kept is not None:
                self._kept[row.run_id] = thawed(json.loads(kept[0]))
                return self._kept[row.run_id]
        reader = self._readers.setdefault(row.run_id, EvidenceReader(root.run(row.run_id)))
        evidence = reader.read(Status(row.state, row.reason, started=row.started, ended=row.ended))
        if evidence is not None and row.final:
            del self._readers[row.run_id]
            body = json.dumps(frozen(evidence))
            self._db.execute("INSERT OR REPLACE INTO evidence VALUES (?, ?)", (row.run_id, body))
            finals.put_finals(self._db, row.run_id, finals.finals_of(evidence))
        return evidence

    def unregistered(self) -> list[RunRow]:
        """Runs that have ended and whose models the registry has not been told of."""
        query = f"SELECT {_COLUMNS} FROM runs WHERE final AND run_id NOT IN (SELECT run_id FROM registered)"
        return [row_of_values(values) for values in self._db.execute(query)]

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


def _equal(**columns: str | None) -> tuple[list[str], list[str]]:
    """Conditions on the columns that are given."""
    given = {name: value for name, value in columns.items() if value is not None}
    return [f"{name} = ?" for name in given] or ["1"], list(given.values())


def _copied(path: Path) -> sqlite3.Connection:
    """The file's content in memory. Opened as immutable where nobody writes (no `-wal` beside it): any other way SQLite lays
    two files of its own beside it and leaves them; and where the folder can't be written to, it opens no other way."""
    memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    if path.exists():
        written_now = path.with_name(path.name + "-wal").exists()
        for way in ("mode=ro", "immutable=1") if written_now else ("immutable=1",):
            try:
                with closing(sqlite3.connect(f"{path.resolve().as_uri()}?{way}", uri=True)) as source:
                    source.backup(memory)
                break
            except sqlite3.OperationalError:
                if way == "immutable=1":
                    raise
    return memory


def row_of_values(values: tuple[Any, ...]) -> RunRow:
    row = object.__new__(RunRow)  # its own way in sets field by field: thousands are made at the start
    row.__dict__.update(zip(COLUMNS, values, strict=True), final=bool(values[-1]))
    return row


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
