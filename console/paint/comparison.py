"""A comparison as lines of text: the sides with their colours, the tables of what differs. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.text import Text

from console.charts.palette import MARKS
from console.comparing.sides import Side
from console.comparing.tables import about_rows, config_differences, final_rows, final_words
from console.words import SIGNS, STYLES, width

_WIDEST = 34


def side_line(side: Side, colour: str, at: int, baseline: str | None) -> Text:
    """One side: its mark and colour as on the charts, its name, how its runs ended."""
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{MARKS[at]} ", colour)
    text.append(_named(side, baseline), "bold")
    states = [m.row.state for m in side.members]
    for state in dict.fromkeys(states):
        count = f" {states.count(state)}" if len(states) > 1 else ""
        text.append(f"  {SIGNS.get(state, '·')} {state}{count}", STYLES.get(state, ""))
    if not side.is_band:
        text.append(f"  {side.members[0].row.run_id}", "dim")
    return text


def _named(side: Side, baseline: str | None) -> str:
    return f"{side.name} (base)" if side.key == baseline else side.name


def tables_text(sides: Sequence[Side], baseline: str | None, checks: Sequence[dict[str, Any]] = ()) -> Text:
    """What differs in the configs, and the final values with their distance to the baseline; one column a side."""
    heads = [_named(s, baseline) for s in sides]
    rows: list[Sequence[str]] = [["", *heads]]
    rows += [[name, *values] for name, values in about_rows(sides)]
    differences = config_differences(sides)
    rows += [[], ["config" if differences else "the configs are the same"]]
    rows += [[d.key, *d.values] for d in differences]
    finals = final_rows(sides, baseline, checks)
    rows += [[], ["final values"]] if finals else []
    rows += [[f.name, *(final_words(f, i) for i in range(len(sides)))] for f in finals]
    return _table(rows)


def _table(rows: Sequence[Sequence[str]]) -> Text:
    """Columns aligned; a row of one cell is a heading."""
    every = [[_cut(cell) for cell in row] for row in rows]
    columns = max(map(len, every))
    widths = [max((width(row[i]) for row in every if len(row) > 1), default=0) for i in range(columns)]
    text = Text(no_wrap=True)
    for at, row in enumerate(every):
        line = "  ".join(cell + " " * (widths[i] - width(cell)) for i, cell in enumerate(row))
        text.append(line.rstrip() + "\n", "bold" if at == 0 or len(row) == 1 else "")
    return text


def _cut(cell: str) -> str:
    return cell if len(cell) <= _WIDEST else cell[: _WIDEST - 1] + "…"
