"""How values are written for people: states with their signs, times, money, tables. One place for screen and verbs.

A state is never colour alone: it has a sign and a word.
"""

from __future__ import annotations

import math
import os
import shutil
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

SIGNS = {
    "passed": "✓",
    "succeeded": "✓",
    "failed": "✗",
    "blocked": "⊘",
    "lost": "✗",
    "waiting": "·",
    "ready": "·",
    "open": "·",
    "queued": "…",
    "starting": "…",
    "running": "▶",
    "begun": "▷",
    "stalled": "!",
    "orphaned": "!",
    "stale": "~",
    "overridden": "◇",
    "stopped": "■",
    "capped": "■",
    "unwritten": "○",
}

STYLES = {
    "passed": "green",
    "succeeded": "green",
    "failed": "red",
    "lost": "red",
    "running": "cyan",
    "starting": "cyan",
    "queued": "cyan",
    "stale": "yellow",
    "stalled": "yellow",
    "orphaned": "yellow",
    "overridden": "magenta",
    "blocked": "yellow",
    "stopped": "yellow",
    "capped": "yellow",
}

_ANSI = {"green": 32, "red": 31, "cyan": 36, "yellow": 33, "magenta": 35, "bold": 1, "dim": 2}


def command_name() -> str:
    """How this very program is called from here: by name where the shell finds it, else by its path."""
    own = Path(sys.argv[0])
    found = shutil.which(own.name)
    if (found is not None and Path(found).resolve() == own.resolve()) or own.name == "__main__.py":
        return "fractal-console"
    return os.path.relpath(own) if own.exists() else "fractal-console"


def sign(state: str) -> str:
    """`✓ passed`."""
    return f"{SIGNS.get(state, '·')} {state}"


def coloured(text: str, style: str | None) -> str:
    """Text in a colour where the output is a terminal that wants one."""
    if style is None or style not in _ANSI or not wants_colour():
        return text
    return f"\x1b[{_ANSI[style]}m{text}\x1b[0m"


def wants_colour() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def shown_state(state: str) -> str:
    return coloured(sign(state), STYLES.get(state))


def desktop_note(words: str, environ: Mapping[str, str]) -> str:
    """The escape sequence (OSC 9) by which terminals raise a desktop notification; wrapped where tmux stands between."""
    said = "".join(c for c in words if c.isprintable())
    note = f"\x1b]9;{said}\x07"
    return "\x1bPtmux;" + note.replace("\x1b", "\x1b\x1b") + "\x1b\\" if "TMUX" in environ else note


def duration(seconds: float | None) -> str:
    """`48 s`, `3 min 20 s`, `2 h 05 min`."""
    if seconds is None or not math.isfinite(seconds):
        return ""
    s = round(seconds)
    if s < 60:
        return f"{s} s"
    if s < 3600:
        return f"{s // 60} min {s % 60:02d} s"
    return f"{s // 3600} h {s % 3600 // 60:02d} min"


def ago(then: float, now: float) -> str:
    """How long ago, coarsely."""
    s = max(0.0, now - then)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if s >= size:
            return f"{int(s // size)} {unit} ago"
    return "now" if s < 5 else f"{int(s)} s ago"


def number(value: float) -> str:
    """Four significant digits, as people read them."""
    if value != value or value in (math.inf, -math.inf):
        return str(value)
    if float(value).is_integer() and abs(value) < 1e7:
        return f"{int(value)}"
    return f"{value:.4g}"


def usd(value: float) -> str:
    return f"${value:.2f}"


def size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def width(text: str) -> int:
    """Columns that a text takes on a terminal."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 0 if unicodedata.combining(c) else 1 for c in text)


def table(rows: Sequence[Sequence[str]], head: Sequence[str] = (), styles: Sequence[str | None] = ()) -> str:
    """Columns aligned; the last one keeps its length."""
    every = [list(head), *map(list, rows)] if head else [list(r) for r in rows]
    if not every:
        return ""
    columns = max(len(r) for r in every)
    widths = [max((width(r[i]) for r in every if i < len(r)), default=0) for i in range(columns)]
    lines = []
    for at, row in enumerate(every):
        cells = [cell + " " * (widths[i] - width(cell)) if i + 1 < len(row) else cell for i, cell in enumerate(row)]
        line = "  ".join(cells).rstrip()
        style = "dim" if head and at == 0 else (styles[at - bool(head)] if at - bool(head) < len(styles) else None)
        lines.append(coloured(line, style))
    return "\n".join(lines)
