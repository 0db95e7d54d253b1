"""The steps of a phase as lines of text: the graph, each with its run's time against the estimate, its files. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from console.paint.stepgraph import NODE, drawn, edges
from console.words import SIGNS, STYLES, duration, usd

if TYPE_CHECKING:
    from console.standing import PhaseStanding, StepStanding

_FILES = 4


def step_rows(s: PhaseStanding, columns: int, tall: bool) -> list[tuple[str, Text]]:
    """One row a step: its place in the graph, name, times, what it does or why it does not; its files below on a tall screen."""
    pieces = drawn(edges(s.phase, [x.step for x in s.steps]))
    times = [times_of(x, s.preset) for x in s.steps]
    name_width = max((len(x.step.step) for x in s.steps), default=0)
    time_width = max(map(len, times), default=0) if columns >= 60 else 0
    rows = []
    for x, took in zip(s.steps, times, strict=True):
        piece, under = pieces[x.step.step]
        text = _line(x, piece, took, name_width, time_width)
        if tall and (x.step.inputs or x.step.outputs):
            text.append(f"\n{under} " + " " * (name_width + 4), "dim")
            text.append(files_of(x), "dim")
        rows.append((x.step.step, text))
    return rows


def _line(s: StepStanding, piece: str, took: str, name_width: int, time_width: int) -> Text:
    style = STYLES.get(s.state, "")
    text = Text(no_wrap=True, overflow="ellipsis")
    before, node, after = piece.partition(NODE)
    text.append(before, "dim")
    text.append(node, style)
    text.append(f"{after} ", "dim")
    text.append(f"{SIGNS.get(s.state, '·')} {s.step.step:<{name_width}}  {s.state:<9}  ", style)
    if time_width:
        text.append(f"{took:<{time_width}}  ", "dim")
    text.append(s.why if s.why and s.state != "succeeded" else s.step.title or s.step.run)
    if s.step.optional:
        text.append("  (optional)", "dim")
    return text


def files_of(s: StepStanding) -> str:
    """`train.npz, val.npz → best.pt`."""
    reads, makes = _some(s.step.inputs), _some([o.path for o in s.step.outputs])
    return f"{reads} → {makes}" if reads and makes else f"→ {makes}" if makes else f"{reads} →" if reads else ""


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _FILES} more" if len(names) > _FILES else ""
    return ", ".join(names[:_FILES]) + more


def times_of(s: StepStanding, preset: str) -> str:
    """`48 s of ~1 min $0.02`: the run against the estimate."""
    estimate = s.step.estimate.get(preset)
    guess = (
        f"~{duration(estimate.minutes * 60)}" + (f" {usd(estimate.usd)}" if estimate.usd else "") if estimate else ""
    )
    took = duration(s.run.seconds) if s.run is not None else ""
    if took and s.usd:
        took += f" {usd(s.usd)}"
    return f"{took} of {guess}" if took and guess else took or guess


def sum_line(s: PhaseStanding) -> str:
    """What the whole phase is thought to take, and what its runs that count took."""
    guesses = [x.step.estimate[s.preset] for x in s.steps if s.preset in x.step.estimate and not x.step.optional]
    took = sum(x.run.seconds or 0 for x in s.steps if x.run is not None)
    money = sum(x.usd for x in s.steps)
    parts = [f"took {duration(took)}" + (f", {usd(money)}" if money else "")] if took else []
    if guesses:
        cost = sum(g.usd for g in guesses)
        parts.append(f"estimate {duration(60 * sum(g.minutes for g in guesses))}" + (f", {usd(cost)}" if cost else ""))
    return "; ".join(parts) or "no estimate"
