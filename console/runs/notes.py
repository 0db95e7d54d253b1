"""Notes and learnings on phases and runs, and tags on runs: a log that is only added to. What is withdrawn stays in it, marked.

Works on the store's own connection; who writes and when is given by whoever calls.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from console.errors import UserError

SCHEMA = """
CREATE TABLE IF NOT EXISTS notes (
    n INTEGER PRIMARY KEY, kind TEXT, project TEXT, phase TEXT, run_id TEXT, body TEXT, who TEXT, at REAL, withdrawn REAL
);
CREATE INDEX IF NOT EXISTS notes_by_run ON notes (run_id);
CREATE TABLE IF NOT EXISTS tags (run_id TEXT, tag TEXT, who TEXT, at REAL, PRIMARY KEY (run_id, tag)) WITHOUT ROWID;
"""

KINDS = ("note", "learning", "deleted")
_TAG = re.compile(r"[A-Za-z0-9][\w./+=-]{0,40}")


@dataclass(frozen=True)
class Note:
    """One entry of the log."""

    n: int
    kind: str
    """`note`, `learning` (what is to be remembered beyond this run), or `deleted` (a run that is no more)."""
    project: str
    phase: str
    run_id: str | None
    """None: it is about the phase."""
    body: str
    who: str
    at: float
    withdrawn: float | None = None


class Notes:
    """The log in the console's index."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def add(self, kind: str, project: str, phase: str, run_id: str | None, body: str, who: str, at: float) -> int:
        """Write one down; its number."""
        if kind not in KINDS:
            raise ValueError(f"a note is one of {', '.join(KINDS)}, not {kind!r}")
        if not body.strip():
            raise UserError("a note without words says nothing")
        cursor = self._db.execute(
            "INSERT INTO notes (kind, project, phase, run_id, body, who, at) VALUES (?,?,?,?,?,?,?)",
            (kind, project, phase, run_id, body.strip(), who, at),
        )
        return int(cursor.lastrowid or 0)

    def withdraw(self, n: int, at: float) -> Note:
        """Cross one out; it stays in the exported log."""
        found = self._select("n = ?", [n], True)
        if not found or found[0].withdrawn is not None:
            problem = "was withdrawn already" if found else "does not exist"
            raise UserError(f"note {n} {problem}. Type: fractal-console notes")
        self._db.execute("UPDATE notes SET withdrawn = ? WHERE n = ?", (at, n))
        return found[0]

    def find(
        self,
        words: Sequence[str] = (),
        project: str | None = None,
        phase: str | None = None,
        run_id: str | None = None,
        withdrawn: bool = False,
    ) -> list[Note]:
        """Those that hold every word, oldest first."""
        where, values = ["1"], []
        for column, value in (("project", project), ("phase", phase), ("run_id", run_id)):
            if value is not None:
                where.append(f"{column} = ?")
                values.append(value)
        for word in words:
            where.append("instr(lower(body || ' ' || phase || ' ' || COALESCE(run_id, '') || ' ' || kind), ?) > 0")
            values.append(word.lower())
        return self._select(" AND ".join(where), values, withdrawn)

    def on_phases(self, project: str) -> dict[str, list[Note]]:
        """What is written on whole phases, by phase, oldest first."""
        found: dict[str, list[Note]] = {}
        for note in self._select("run_id IS NULL AND project = ?", [project], False):
            found.setdefault(note.phase, []).append(note)
        return found

    def _select(self, where: str, values: Sequence[object], withdrawn: bool) -> list[Note]:
        kept = "" if withdrawn else " AND withdrawn IS NULL"
        query = f"SELECT n, kind, project, phase, run_id, body, who, at, withdrawn FROM notes WHERE {where}{kept} ORDER BY n"
        return [Note(*row) for row in self._db.execute(query, values)]

    # Tags

    def tag(self, run_ids: Iterable[str], add: Sequence[str], remove: Sequence[str], who: str, at: float) -> None:
        """Put tags on runs and take others off."""
        for word in (*add, *remove):
            check_tag(word)
        for run_id in run_ids:
            rows = [(run_id, word, who, at) for word in add]
            self._db.executemany("INSERT OR IGNORE INTO tags VALUES (?, ?, ?, ?)", rows)
            self._db.executemany("DELETE FROM tags WHERE run_id = ? AND tag = ?", [(run_id, w) for w in remove])

    def tags(self, run_id: str) -> list[str]:
        return [t for (t,) in self._db.execute("SELECT tag FROM tags WHERE run_id = ? ORDER BY tag", (run_id,))]


def check_tag(word: str) -> str:
    if not _TAG.fullmatch(word):
        raise UserError(f"{word!r} is no tag: letters, digits and . _ / + = -, at most 41")
    return word


def tag_changes(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """`good +new -old` as what to put on and what to take off."""
    add = [w.removeprefix("+") for w in words if not w.startswith("-")]
    return add, [w[1:] for w in words if w.startswith("-")]
