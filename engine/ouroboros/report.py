"""The evaluation as JSON for programs and as Markdown for people."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

import numpy as np

from engine.ouroboros.metrics import Estimate, Ints, Scored, histogram

_BAR = 40


@dataclass(frozen=True)
class Section:
    """One pool of items that was measured, with its own name in the report and before its metrics."""

    title: str
    prefix: str
    """What stands before the metric's name: `eval/`, `eval/novel_` and so on."""
    items: int
    problems: int
    metrics: dict[str, Estimate]
    note: str = ""


@dataclass(frozen=True)
class Report:
    title: str
    about: dict[str, object]
    sections: list[Section] = field(default_factory=list)
    histogram: str = ""

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def markdown(report: Report) -> str:
    lines = [f"# {report.title}", ""]
    lines += [f"- {name}: {value}" for name, value in report.about.items()]
    for section in report.sections:
        lines += [
            "",
            f"## {section.title}",
            "",
            f"{section.items} items of {section.problems} problems. {section.note}".rstrip(),
            "",
        ]
        if section.metrics:
            lines += ["| metric | value | 95 % interval |", "|---|---|---|"]
            lines += [f"| {n} | {m.value:.4f} | {m.low:.4f} … {m.high:.4f} |" for n, m in section.metrics.items()]
    if report.histogram:
        lines += ["", "## Energies of the test items", "", "```", report.histogram, "```"]
    return "\n".join(lines) + "\n"


def energy_histogram(scored: Scored, bins: int = 20) -> str:
    """Correct and wrong side by side, a row a bin; bars are shares of the class, on a square-root scale."""
    correct, wrong = (histogram(scored.energy[scored.wrong == side], bins) for side in (False, True))
    rows = [f"{'E':>9}  {'correct':<{_BAR}}  wrong"]
    for index in range(bins):
        low, high = index / bins, (index + 1) / bins
        rows.append(f"{low:.2f}-{high:.2f}  {_bar(correct, index):<{_BAR}}  {_bar(wrong, index)}".rstrip())
    return "\n".join(rows)


def _bar(counts: Ints, index: int) -> str:
    if not counts[index]:
        return ""
    share = counts[index] / counts.sum()
    length = max(1, round(float(np.sqrt(share)) * (_BAR - 8)))
    return "█" * length + f" {counts[index]}"
