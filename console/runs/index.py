"""Every run ever, asked by a query: ids in order, and the lines of those that are looked at. Read only; a connection of its own.

The answer to a query is a list of ids (cheap at 100,000 runs); a line is read when it comes into sight. Readers in SQLite's
WAL mode never wait for whoever writes, so a screen may ask on its own thread.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from console.runs.notes import Note, Notes
from console.runs.query import Names, Query
from console.runs.sql import Where, expression, order, tables, where
from console.store import COLUMNS, RunRow, Store, row_of_values

_AT_ONCE = 500  # ids in one statement; older builds of SQLite take 999 values at most


@dataclass(frozen=True)
class RunLine:
    """One run with what people said of it and what the query asked for."""

    row: RunRow
    tags: tuple[str, ...] = ()
    notes: int = 0
    usd: float = 0.0
    values: dict[str, Any] = field(default_factory=dict)
    """Per config key, metric or fact that was asked for; None where the run has none."""

    def to_json(self) -> dict[str, Any]:
        return {
            **self.row.__dict__,
            "tags": list(self.tags),
            "notes": self.notes,
            "usd": self.usd,
            "values": self.values,
        }


@dataclass(frozen=True)
class Sort:
    """By which field, and which way."""

    field: str = "age"
    descending: bool = False

    @staticmethod
    def parse(word: str) -> Sort:
        """`took`, or `-took` for the largest first."""
        return Sort(word.removeprefix("-"), word.startswith("-"))


class RunIndex:
    """One thread's view of the index."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._is_shared = store.in_memory
        self._db = store.connection_to_read()
        self._clock = clock

    def close(self) -> None:
        if not self._is_shared:
            self._db.close()

    def version(self) -> int:
        """Changes when anybody has written."""
        others: int = self._db.execute("PRAGMA data_version").fetchone()[0]
        return others + self._db.total_changes

    def names(self) -> Names:
        """The config keys, metrics and facts that some run has."""
        rows = self._db.execute("SELECT kind, name FROM names ORDER BY name").fetchall()
        return Names(
            tuple(name for kind, name in rows if kind == "config"),
            tuple(name for kind, name in rows if kind == "final"),
        )

    def ids(
        self, query: Query, project: str | None = None, sort: Sort | None = None, most: int | None = None
    ) -> list[str]:
        """The runs that meet a query (with full names), in order."""
        sort = sort or Sort()
        meets, by = where(query, project), order(sort.field, sort.descending)
        limit = "" if most is None else f" LIMIT {int(most)}"
        statement = f"SELECT r.run_id FROM {tables(meets.sql, by)} WHERE {meets.sql} ORDER BY {by}{limit}"
        return [run_id for (run_id,) in self._run(statement, meets)]

    def count(self, query: Query, project: str | None = None) -> int:
        meets = where(query, project)
        found: int = self._run(f"SELECT COUNT(*) FROM {tables(meets.sql)} WHERE {meets.sql}", meets).fetchone()[0]
        return found

    def lines(self, ids: Sequence[str], asked: Sequence[str] = ()) -> dict[str, RunLine]:
        """The lines of some runs, by id; one that is gone is left out."""
        found: dict[str, RunLine] = {}
        for at in range(0, len(ids), _AT_ONCE):
            found |= self._some_lines(ids[at : at + _AT_ONCE], asked)
        return found

    def shown(self, ids: Sequence[str]) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
        """The flat config and the final values of some runs."""
        made = Where()
        places = ", ".join(made.add(run_id) for run_id in ids)
        rows = self._run(
            "SELECT r.run_id, COALESCE(c.body, '{}'), COALESCE(f.body, '{}') FROM runs r"
            " LEFT JOIN configs c ON c.config_hash = r.config_hash LEFT JOIN finals f ON f.run_id = r.run_id"
            f" WHERE r.run_id IN ({places})",
            made,
        )
        return {run_id: (json.loads(config), json.loads(finals)) for run_id, config, finals in rows}

    def notes_of(self, run_id: str) -> list[Note]:
        return Notes(self._db).find(run_id=run_id)

    def notes(self, words: Sequence[str], project: str) -> list[Note]:
        """A project's notes that hold every word, oldest first."""
        return Notes(self._db).find(words, project)

    def _some_lines(self, ids: Sequence[str], asked: Sequence[str]) -> dict[str, RunLine]:
        made = Where()
        places = ", ".join(made.add(run_id) for run_id in ids)
        extra = [expression(name) for name in ("tag", "cost", *asked)]
        columns = ", ".join(f"r.{name}" for name in COLUMNS)
        statement = (
            f"SELECT {columns}, (SELECT COUNT(*) FROM notes n WHERE n.run_id = r.run_id AND n.withdrawn IS NULL),"
            f" {', '.join(extra)} FROM {tables(*extra)} WHERE r.run_id IN ({places})"
        )
        width = len(COLUMNS)
        return {
            values[0]: RunLine(
                row_of_values(values[:width]),
                tuple((values[width + 1] or "").split()),
                values[width],
                values[width + 2] or 0.0,
                dict(zip(asked, values[width + 3 :], strict=True)),
            )
            for values in self._run(statement, made)
        }

    def _run(self, statement: str, values: Where) -> sqlite3.Cursor:
        return self._db.execute(statement, {**values.values, "now": self._clock()})
