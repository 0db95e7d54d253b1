"""From standings to lines of text for the screen. Pure: no widget, no app; the same words as the headless verbs."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.text import Text

from console.standing import GateStanding, PhaseStanding, StepStanding
from console.store import RunRow
from console.words import SIGNS, STYLES, ago, duration, usd
from engine.protocol.gates import Verdict

if TYPE_CHECKING:
    pass


def state_text(state: str) -> Text:
    """Sign and word; the colour only repeats what they say."""
    return Text(f"{SIGNS.get(state, '·')} {state}", STYLES.get(state, ""))


def phase_line(s: PhaseStanding, columns: int = 34) -> Text:
    """Two lines of the list of phases."""
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{SIGNS.get(s.state, '·')} ", STYLES.get(s.state, ""))
    text.append(s.phase.phase, "bold")
    text.append(f"\n  {s.state}", STYLES.get(s.state, "dim"))
    text.append(f" · {s.preset} · {s.checks_passed}/{s.checks} checks", "dim")
    return text


def goal_text(markdown: str) -> Text:
    """Bold, italics, code and bullets of a goal; the rest of Markdown stays as it was typed."""
    text = Text()
    for part in re.split(r"(\*\*[^*]+\*\*|(?<!\*)\*[^*\s][^*]*\*|`[^`]+`)", _joined(markdown)):
        if part.startswith("**"):
            text.append(part[2:-2], "bold")
        elif len(part) > 2 and part[0] == part[-1] == "*":
            text.append(part[1:-1], "italic")
        elif part.startswith("`"):
            text.append(part[1:-1], "cyan")
        else:
            text.append(part)
    return text


def _joined(markdown: str) -> str:
    """Paragraphs as one line each, so that the screen wraps them; bullets keep their lines."""
    blocks = []
    for block in markdown.strip().split("\n\n"):
        lines: list[str] = []
        for line in block.splitlines():
            bullet = line.lstrip().startswith(("- ", "* "))
            if bullet:
                lines.append("  • " + line.lstrip()[2:].strip())
            elif lines:
                lines[-1] += " " + line.strip()
            else:
                lines.append(line.strip())
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def step_lines(s: PhaseStanding, columns: int) -> list[tuple[str, Text]]:
    """The steps of a phase: sign, name, real time against the estimate, what each does or why it does not."""
    times = [_times(x, s.preset) for x in s.steps]
    name_width = max((len(x.step.step) for x in s.steps), default=0)
    time_width = max(map(len, times), default=0) if columns >= 60 else 0
    return [(x.step.step, _step_line(x, t, name_width, time_width)) for x, t in zip(s.steps, times, strict=True)]


def _step_line(s: StepStanding, times: str, name_width: int, time_width: int) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{SIGNS.get(s.state, '·')} {s.step.step:<{name_width}}  ", STYLES.get(s.state, ""))
    if time_width:
        text.append(f"{times:<{time_width}}  ", "dim")
    text.append(s.why if s.why and s.state != "succeeded" else s.step.title or s.step.run)
    return text


def _times(s: StepStanding, preset: str) -> str:
    estimate = s.step.estimate.get(preset)
    guess = (
        f"~{duration(estimate.minutes * 60)}" + (f" {usd(estimate.usd)}" if estimate.usd else "") if estimate else ""
    )
    took = duration(s.run.seconds) if s.run is not None else ""
    return f"{took} of {guess}" if took and guess else took or guess


def gate_head(g: GateStanding) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{SIGNS.get(g.state, '·')} ", STYLES.get(g.state, ""))
    text.append(f"gate {g.gate.gate}", "bold")
    text.append(f"  {g.state} {g.passed}/{len(g.verdicts)}", STYLES.get(g.state, "dim"))
    text.append(f"  {g.gate.title}", "dim")
    return text


def verdict_line(v: Verdict, now: float, width: int) -> Text:
    """A check with its verdict and its because; in a narrow pane the because stands on a line of its own."""
    text = Text(no_wrap=True, overflow="ellipsis")
    style = STYLES.get(v.state, "dim")
    if width:
        text.append(f"  {SIGNS.get(v.state, '·')} {v.state:<10} ", style)
        text.append(f"{v.text:<{width}}  ")
        text.append(v.because, "dim")
        text.append(f"  {ago(v.when, now)}" if v.when is not None else "", "dim")
    else:
        text.append(f" {SIGNS.get(v.state, '·')} ", style)
        text.append(v.text)
        text.append(f"\n   {v.state}: ", style)
        text.append(v.because, "dim")
    return text


def gate_rows(s: PhaseStanding, columns: int) -> list[tuple[str, Text]]:
    """Every gate of a phase with its checks, as lines with ids."""
    now = time.time()
    longest = max((len(v.text) for g in s.gates for v in g.verdicts), default=0)
    width = longest if columns >= longest + 50 else 0
    rows = []
    for gate in s.gates:
        rows.append((f"gate:{gate.gate.gate}", gate_head(gate)))
        rows += [(v.check_id, verdict_line(v, now, width)) for v in gate.verdicts]
    return rows


def run_line(r: RunRow, now: float) -> Text:
    """One run in a list."""
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{SIGNS.get(r.state, '·')} {r.state:<10} ", STYLES.get(r.state, ""))
    text.append(f"{r.phase.split('-')[0]:<9} {r.step:<14} {r.variant:<16} ")
    text.append(f"{ago(r.created, now):<11} {duration(r.seconds):<13} ", "dim")
    text.append(f"{r.run_id[-5:]}  ", "dim")
    text.append(r.reason if r.state != "succeeded" else "", "dim")
    return text


def fresh_ticks(before: Iterable[GateStanding], after: Iterable[GateStanding]) -> list[Verdict]:
    """Checks whose verdict has just become passed or failed: what is announced."""
    old = {v.check_id: v.state for g in before for v in g.verdicts}
    return [
        v
        for g in after
        for v in g.verdicts
        if v.state in ("passed", "failed") and old.get(v.check_id) not in (None, v.state)
    ]
