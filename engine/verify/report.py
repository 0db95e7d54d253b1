"""A comparison for people: Markdown, and curves that a terminal shows."""

from __future__ import annotations

from engine.verify.ranking import Comparison

_BLOCKS = "▁▂▃▄▅▆▇█"


def markdown(found: Comparison, about: dict[str, object], absent: dict[str, str] | None = None) -> str:
    """The whole report. `absent`: ways of choosing that this pool can't have, with the reason."""
    lines = ["# Best of N", ""]
    lines += [f"- {name}: {value}" for name, value in about.items()]
    lines += ["", "| choice | pass@1 | 95 % interval over problems | the critic less it, paired |", "|---|---|---|---|"]
    for choice in sorted(found.choices.values(), key=lambda c: c.value):
        interval = f"{percent(choice.low)} to {percent(choice.high)}"
        lines.append(f"| {choice.name} | {percent(choice.value)} | {interval} | {_less(found, choice.name)} |")
    lines += [f"| {name} | absent | {why} | |" for name, why in (absent or {}).items()]
    gain = found.gain
    lines += [
        "",
        f"**The critic gains {100 * gain.value:+.2f} points over a random pick of the same pool** "
        f"(95 % paired interval {100 * gain.low:+.2f} to {100 * gain.high:+.2f}), "
        f"{percent(found.share_of_gap)} of the way to the oracle.",
        "",
        "| N | " + " | ".join(str(k) for k in found.sizes) + " |",
        "|---|" + "---|" * len(found.sizes),
    ]
    for name, values in found.curves.items():
        lines.append(f"| {name} | " + " | ".join(percent(v) for v in values) + " |")
    lines += ["", "pass@k (unbiased): " + ", ".join(f"pass@{k} {percent(v)}" for k, v in found.pass_at.items())]
    lines += ["", "```", terminal(found), "```", ""]
    return "\n".join(lines)


def _less(found: Comparison, name: str) -> str:
    if name not in found.over:
        return ""
    over = found.over[name]
    return f"{100 * over.value:+.2f} [{100 * over.low:+.2f}, {100 * over.high:+.2f}]"


def terminal(found: Comparison) -> str:
    """One line a curve, over N."""
    every = [v for values in found.curves.values() for v in values]
    low, high = min(every), max(every)
    lines = []
    for name, values in found.curves.items():
        bars = "".join(_BLOCKS[round((v - low) / (high - low or 1) * (len(_BLOCKS) - 1))] for v in values)
        lines.append(f"{name:>20} {percent(values[0])} {bars} {percent(values[-1])}")
    return "\n".join([*lines, f"{'N':>20} {found.sizes[0]} to {found.sizes[-1]}"])


def percent(value: float) -> str:
    return f"{100 * value:.2f} %"
