"""Runs as rows of a table and, in full, as the words about one. Pure; the same words as the headless verbs."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.text import Text

from console.runs.index import RunLine
from console.runs.notes import Note
from console.widgets.table import Cell, Column
from console.words import SIGNS, STYLES, ago, duration, number, usd

_ASKED_WIDTH = 12


def shown_value(value: object) -> str:
    """A config value or a metric as people read it."""
    if value is None:
        return ""
    return number(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)


def short_phase(phase: str) -> str:
    """`phase7` of `phase7-ouroboros`."""
    return phase.split("-")[0]


def run_columns(asked: Sequence[str], all_projects: bool = False) -> list[Column]:
    """The columns of a list of runs; what the query asks about gets one of its own."""
    project = [Column("project", "project", 12, rank=4)] if all_projects else []
    return [
        Column("state", "state", 11),
        *project,
        Column("phase", "phase", 8, rank=1),
        Column("step", "step", 14, rank=1, most=24),
        *(Column(name, _tail(name), _ASKED_WIDTH, rank=2, right=True) for name in asked),
        Column("variant", "preset", 18, rank=4, most=44),
        Column("age", "created", 12, rank=3),
        Column("took", "took", 12, rank=5),
        Column("tag", "tags", 12, rank=7, most=30),
        Column("note", "notes", 5, rank=9, right=True),
        Column("host", "host", 10, rank=8),
        Column("cost", "cost", 7, rank=8, right=True),
        Column("run", "run", 5, rank=6),
        Column("reason", "because", 8, rank=2),
    ]


def _tail(name: str) -> str:
    """The end of a long name, which is what tells names apart."""
    return name if len(name) <= _ASKED_WIDTH else "…" + name[1 - _ASKED_WIDTH :]


def run_cells(line: RunLine, now: float) -> dict[str, Cell]:
    """One run's cells by the keys of the columns."""
    r = line.row
    cells = {
        "state": Cell(f"{SIGNS.get(r.state, '·')} {r.state}", STYLES.get(r.state, "")),
        "project": Cell(r.project),
        "phase": Cell(short_phase(r.phase)),
        "step": Cell(r.step, "bold"),
        "variant": Cell(r.variant),
        "age": Cell(ago(r.created, now), "dim"),
        "took": Cell(duration(r.seconds), "dim"),
        "tag": Cell(" ".join(line.tags), "magenta"),
        "note": Cell(str(line.notes or ""), "yellow"),
        "host": Cell(r.host, "dim"),
        "cost": Cell(usd(line.usd) if line.usd else "", "dim"),
        "run": Cell(r.run_id[-5:], "dim"),
        "reason": Cell("" if r.state == "succeeded" else r.reason, "dim"),
    }
    return cells | {name: Cell(shown_value(value)) for name, value in line.values.items()}


def run_words(line: RunLine, notes: Sequence[Note], most: int = 3) -> Text:
    """The highlighted run in full: its id and variant, its because, its tags, its newest notes."""
    r = line.row
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(r.run_id, "bold")
    text.append(f"  {r.phase} · {r.step} at {r.variant} on {r.host}, by {r.created_by}", "dim")
    text.append(f"\n{SIGNS.get(r.state, '·')} {r.state}", STYLES.get(r.state, ""))
    text.append(f"  {r.reason}" if r.reason else "", "dim")
    if line.tags:
        text.append("   " + " ".join(line.tags), "magenta")
    for note in notes[-most:]:
        text.append(f"\n{note.kind} {ago(note.at, time.time())} by {note.who}: ", "yellow")
        text.append(" ".join(note.body.split()))
    return text
