"""The notes of a project as a log in Markdown: by day, each with its time, who wrote it and what it is about. Pure."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import groupby

from console.runs.notes import Note


def notes_log(notes: Sequence[Note]) -> str:
    """Oldest first, a heading a day."""
    return "\n".join(["# Log of notes and learnings", "", *notes_lines(notes, "## ")])


def notes_lines(notes: Sequence[Note], heading: str = "") -> list[str]:
    """The lines of the log; without a heading's sign each line has its day."""
    if not heading:
        return [_line(note, "%Y-%m-%d %H:%M") for note in notes]
    lines = []
    for day, of_day in groupby(sorted(notes, key=lambda n: n.at), key=lambda n: _stamp(n.at, "%Y-%m-%d")):
        lines += [f"{heading}{day}", ""]
        lines += [_line(note) for note in of_day] + [""]
    return lines


def _line(note: Note, when: str = "%H:%M") -> str:
    kind = "" if note.kind == "note" else f"**{note.kind}** "
    body = " ".join(note.body.split())
    if note.withdrawn is not None:
        body = f"~~{body}~~ (withdrawn {_stamp(note.withdrawn, '%Y-%m-%d')})"
    return f"- {_stamp(note.at, when)} {kind}`{note.run_id or note.phase}` {body} — {note.who}"


def _stamp(at: float, how: str) -> str:
    """In UTC, so that a log reads the same wherever it is exported."""
    return time.strftime(how, time.gmtime(at))
