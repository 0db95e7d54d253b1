"""The steps of a phase as a small graph: what needs what, drawn as lanes beside the list. Pure.

    ●      prepare
    ●─╮    leak_probe
    ● │    train            the first that needs a step stays in its lane
    ● │    evaluate
      ●    baseline         the others hang on a lane beside it, which ends at the last

An edge is a need that is stated, or a file that one step makes and another reads; what follows from other edges is left out.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.config.phase import Phase, Step

NODE = "●"
_UP, _DOWN, _LEFT, _RIGHT = 1, 2, 4, 8
_LINES = {
    0: " ",
    _UP | _DOWN: "│",
    _LEFT | _RIGHT: "─",
    _UP | _LEFT: "╯",
    _DOWN | _LEFT: "╮",
    _UP | _RIGHT: "╰",
    _DOWN | _RIGHT: "╭",
    _UP | _DOWN | _LEFT: "┤",
    _UP | _DOWN | _RIGHT: "├",
    _LEFT | _RIGHT | _UP: "┴",
    _LEFT | _RIGHT | _DOWN: "┬",
    _UP | _DOWN | _LEFT | _RIGHT: "┼",
}


@dataclass
class _Lane:
    """A line that goes down from a step to those of its followers that have not come yet."""

    source: str
    waiting: list[str]


def edges(phase: Phase, steps: list[Step]) -> dict[str, list[str]]:
    """Per step the steps that it builds on, without those that another one stands for."""
    names = [s.step for s in steps]
    direct = {s.step: [n for n in names[: names.index(s.step)] if n in _before(phase, steps, s)] for s in steps}
    beyond: dict[str, set[str]] = {}
    for step in names:
        beyond[step] = set().union(*({need} | beyond[need] for need in direct[step])) if direct[step] else set()
    return {step: [n for n in direct[step] if not any(n in beyond[other] for other in direct[step])] for step in names}


def _before(phase: Phase, steps: list[Step], step: Step) -> set[str]:
    needs = set(phase.needs_of(step))
    makers = {
        s.step for s in steps for made in s.outputs for read in step.inputs if fnmatch.fnmatchcase(read, made.path)
    }
    return needs | makers


def drawn(needs: dict[str, list[str]]) -> dict[str, tuple[str, str]]:
    """Per step its piece of the graph, and the piece for a line under it; all of one width."""
    followers = {name: [n for n in needs if name in needs[n]] for name in needs}
    lanes: list[_Lane | None] = []
    rows: dict[str, tuple[list[int], int, list[int]]] = {}
    for name in needs:
        above = [lane is not None for lane in lanes]
        coming = [at for at, lane in enumerate(lanes) if lane is not None and name in lane.waiting]
        ends = [at for at in coming if (lane := lanes[at]) is not None and lane.waiting == [name]]
        own = ends[0] if ends else _free(lanes)
        for at in coming:
            lane = lanes[at]
            assert lane is not None
            lane.waiting.remove(name)
            if not lane.waiting:
                lanes[at] = None
        first, rest = followers[name][:1], followers[name][1:]
        _put(lanes, own, _Lane(name, first) if first else None)
        beside = _free(lanes, own + 1) if rest else None
        if beside is not None:
            _put(lanes, beside, _Lane(name, rest))
        below = [lane is not None for lane in lanes]
        reached = [*coming, *([beside] if beside is not None else [])]
        rows[name] = (_cells(own, reached, above, below), own, [_UP | _DOWN if held else 0 for held in below])
    width = max((len(cells) for cells, _, _ in rows.values()), default=0)
    return {name: (_text(cells, own, width), _text(under, None, width)) for name, (cells, own, under) in rows.items()}


def _free(lanes: list[_Lane | None], first: int = 0) -> int:
    return next((at for at in range(first, len(lanes)) if lanes[at] is None), max(first, len(lanes)))


def _put(lanes: list[_Lane | None], at: int, lane: _Lane | None) -> None:
    lanes.extend([None] * (at + 1 - len(lanes)))
    lanes[at] = lane


def _cells(own: int, reached: list[int], above: list[bool], below: list[bool]) -> list[int]:
    """One row: which ways a line leaves each lane's cell."""
    wide = max(len(above), len(below), own + 1)
    cells = [
        (_UP if at < len(above) and above[at] else 0) | (_DOWN if at < len(below) and below[at] else 0)
        for at in range(wide)
    ]
    for at in reached:
        low, high = min(own, at), max(own, at)
        for between in range(low, high + 1):
            cells[between] |= (_RIGHT if between < high else 0) | (_LEFT if between > low else 0)
    return cells


def _text(cells: list[int], own: int | None, width: int) -> str:
    """Two columns a lane: the line itself, and the way to the next one."""
    padded = cells + [0] * (width - len(cells))
    text = ""
    for at, cell in enumerate(padded):
        text += NODE if at == own else _LINES.get(cell, "│")
        text += "─" if cell & _RIGHT else " "
    return text[:-1] if text else ""
