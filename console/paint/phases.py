"""From standings to lines of text for the screen. Pure: no widget, no app; the same words as the headless verbs."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from console.words import SIGNS, STYLES, ago, duration, usd

if TYPE_CHECKING:
    from console.runs.notes import Note
    from console.runs.spending import Spent
    from console.standing import GateStanding, PhaseStanding
    from console.store import RunRow
    from engine.protocol.gates import Verdict


def state_text(state: str) -> Text:
    """Sign and word; the colour only repeats what they say."""
    return Text(f"{SIGNS.get(state, '·')} {state}", STYLES.get(state, ""))


_ROOMY = 30
"""Columns from which a phase's second line has its words."""


def phase_line(s: PhaseStanding, spent: Spent | None = None, columns: int = _ROOMY) -> Text:
    """Two lines of the list of phases: state and name, then preset, gates and what it has cost so far."""
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{SIGNS.get(s.state, '·')} ", STYLES.get(s.state, ""))
    text.append(s.phase.phase, "bold")
    text.append(f"\n  {s.state}", STYLES.get(s.state, "dim"))
    between, unit = (" · ", " checks") if columns >= _ROOMY else (" ", "")
    text.append(f"{between}{s.preset}{between}{s.checks_passed}/{s.checks}{unit}", "dim")
    if spent is not None and spent.seconds >= 1:
        text.append(f"{between}{spent_words(spent)}", "dim")
    return text


def spent_words(spent: Spent) -> str:
    """Time, and money where a run cost any."""
    return duration(spent.seconds) + (f" {usd(spent.usd)}" if spent.usd else "")


def notes_text(notes: Sequence[Note], most: int = 3) -> Text:
    """The newest notes on a phase, a line each; the rest stands behind `N`."""
    text = Text()
    for note in notes[: -most - 1 : -1]:
        text.append("✎ learning " if note.kind == "learning" else "✎ note ", "bold yellow")
        text.append(_cut(" ".join(note.body.split())))
        text.append(f"  {note.who}, {time.strftime('%d %b', time.localtime(note.at))}\n", "dim")
    return text


def notes_words(notes: Sequence[Note]) -> str:
    return f"{len(notes)} note{'s' * (len(notes) != 1)}: N" if notes else ""


def _cut(words: str, most: int = 160) -> str:
    return words if len(words) <= most else words[: most - 1] + "…"


def goal_text(markdown: str) -> Text:
    """A goal as a pane shows it: headings, bold, italics, code, links, bullets and numbers; tables stay as they were typed."""
    text = Text()
    for at, line in enumerate(_joined(markdown).split("\n")):
        text.append("\n" if at else "")
        heading = re.match(r"#{1,6} +(.*)", line)
        if heading is not None:
            text.append(heading.group(1), "bold underline")
        else:
            _inline(text, line)
    return text


def _inline(text: Text, line: str) -> None:
    for part in re.split(r"(\*\*[^*]+\*\*|(?<!\*)\*[^*\s][^*]*\*|`[^`]+`|\[[^\]]+\]\([^)\s]+\))", line):
        if part.startswith("**"):
            text.append(part[2:-2], "bold")
        elif len(part) > 2 and part[0] == part[-1] == "*":
            text.append(part[1:-1], "italic")
        elif part.startswith("`"):
            text.append(part[1:-1], "cyan")
        elif part.startswith("[") and part.endswith(")"):
            words, _, link = part[1:-1].partition("](")
            text.append(words, "underline")
            text.append(f" ({link})", "dim")
        else:
            text.append(part)


_STARTS = re.compile(r"([-*+] |\d+[.)] |#{1,6} |\||> )")


def _joined(markdown: str) -> str:
    """Paragraphs as one line each, so that the screen wraps them; bullets, headings and tables keep their lines."""
    blocks = []
    for block in re.split(r"\n\s*\n", markdown.strip()):
        lines: list[str] = []
        for line in map(str.strip, block.splitlines()):
            if line[:2] in ("- ", "* ", "+ "):
                lines.append("  • " + line[2:].strip())
            elif _STARTS.match(line) or not lines or lines[-1].startswith("#"):
                lines.append(line)
            else:
                lines[-1] += " " + line
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


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
