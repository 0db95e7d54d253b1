"""What runs took and cost, asked of the index over every run at once. Works on the store's own connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spent:
    """What the runs of a phase have taken so far, those that failed too."""

    runs: int = 0
    seconds: float = 0.0
    usd: float = 0.0


class Spending:
    """Seconds and dollars in the console's index."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def spent(self, project: str, now: float) -> dict[str, Spent]:
        """Per phase, over all its runs and presets; a run that goes on counts until now."""
        took = "COALESCE(r.ended, CASE WHEN r.final THEN r.started ELSE :now END) - r.started"
        mine = "r.project = :project AND r.started IS NOT NULL"
        values = {"project": project, "now": now}
        paid = dict(  # asked apart: few runs cost anything, and a join over every run costs the most
            self._db.execute(  # CROSS: SQLite keeps this order, the few that cost something first
                f"SELECT r.phase, SUM(({took}) / 3600 * f.usd_per_h) FROM finals f CROSS JOIN runs r ON r.run_id = f.run_id"
                f" WHERE f.usd_per_h > 0 AND {mine} GROUP BY r.phase",
                values,
            ).fetchall()
        )
        rows = self._db.execute(
            f"SELECT r.phase, COUNT(*), SUM({took}) FROM runs r WHERE +{mine} GROUP BY r.phase", values
        )
        return {phase: Spent(runs, max(0.0, took or 0.0), paid.get(phase, 0.0)) for phase, runs, took in rows}

    def prices(self, run_ids: Sequence[str]) -> dict[str, float]:
        """Dollars an hour of the machines that these runs were on, where they cost any."""
        marks = ",".join("?" * len(run_ids))
        query = f"SELECT run_id, usd_per_h FROM finals WHERE usd_per_h > 0 AND run_id IN ({marks})"
        return dict(self._db.execute(query, list(run_ids)).fetchall())

    def set_price(self, run_id: str, usd_per_h: float) -> None:
        """What an hour of the machine costs that a run is on."""
        self._db.execute(
            "INSERT INTO finals (run_id, body, usd_per_h) VALUES (?, '{}', ?)"
            " ON CONFLICT (run_id) DO UPDATE SET usd_per_h = excluded.usd_per_h",
            (run_id, usd_per_h),
        )
