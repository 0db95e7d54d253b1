"""What a run is found by besides its name: its config as flat keys, and the last value of each metric and fact.

Kept in the index in two small JSON columns, so that one query in SQL answers over 100,000 runs. Rebuilt from the run
folders when the index is lost. NaN and infinities are kept as words: they meet no comparison of numbers.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.protocol.evidence import Evidence

SCHEMA = """
CREATE TABLE IF NOT EXISTS configs (config_hash TEXT PRIMARY KEY, body TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS finals (run_id TEXT PRIMARY KEY, body TEXT, usd_per_h REAL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS finals_paid ON finals (usd_per_h) WHERE usd_per_h > 0;
CREATE TABLE IF NOT EXISTS names (kind TEXT, name TEXT, PRIMARY KEY (kind, name)) WITHOUT ROWID;
"""

_LONGEST_WORD = 200  # a fact may be a whole text; nobody filters by more than its beginning


def flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"train": {"lr": 1}}` as `{"train.lr": 1}`; lists become their JSON."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict) and value:
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = json.dumps(value) if isinstance(value, (list, dict)) else value
    return found


def finals_of(evidence: Evidence) -> dict[str, Any]:
    """The last value of each metric, and each fact that is a number or a word."""
    facts = {name: fact.get("value") for name, fact in evidence.facts.items()}
    metrics = {name: summary.last for name, summary in evidence.metrics.items()}
    return {name: kept(v) for name, v in {**facts, **metrics}.items() if isinstance(v, (int, float, str))}


def kept(value: float | str) -> float | str:
    """A value as the index keeps it."""
    if isinstance(value, str):
        return value[:_LONGEST_WORD]
    return value if math.isfinite(value) else str(value)


def put_config(db: sqlite3.Connection, config_hash: str, config: dict[str, Any]) -> None:
    """A config that the index may not have yet."""
    if not config_hash or db.execute("SELECT 1 FROM configs WHERE config_hash = ?", (config_hash,)).fetchone():
        return
    body = flat(config)
    db.execute("INSERT OR IGNORE INTO configs VALUES (?, ?)", (config_hash, _body(body)))
    _put_names(db, "config", body)


def put_finals(db: sqlite3.Connection, run_id: str, finals: dict[str, Any]) -> None:
    """What a run has shown by now."""
    body = _body(finals)
    known = db.execute("SELECT body FROM finals WHERE run_id = ?", (run_id,)).fetchone()
    if known is not None and known[0] == body:
        return
    db.execute(
        "INSERT INTO finals (run_id, body) VALUES (?, ?) ON CONFLICT (run_id) DO UPDATE SET body = excluded.body",
        (run_id, body),
    )
    _put_names(db, "final", finals)


def _body(values: dict[str, Any]) -> str:
    return json.dumps({k.replace('"', ""): v for k, v in values.items()}, allow_nan=False, default=str)


def _put_names(db: sqlite3.Connection, kind: str, names: Iterable[str]) -> None:
    db.executemany("INSERT OR IGNORE INTO names VALUES (?, ?)", [(kind, n.replace('"', "")) for n in names])
