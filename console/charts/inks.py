"""What the cells of a chart are, as numbers: the widget gives each a colour, the drawing knows none."""

from __future__ import annotations

BLANK, AXIS, LABEL, TITLE, MET, UNMET, OPEN, CURSOR, GAP, READING, VALUE = range(11)
FIRST_TRACE = 16
LINE, FAINT, MARK, NAME = range(4)


def trace_ink(index: int, kind: int) -> int:
    return FIRST_TRACE + 4 * index + kind
