"""What differs between sides: config keys that are not the same, final metrics with their distance to a baseline. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from console.comparing.sides import Mean, Member, Side, mean_of
from console.reading.view import gated_first
from console.words import duration, number, usd

_SEVERAL = 4
"""Values of one key within a side that are listed; more are counted."""


@dataclass(frozen=True)
class Difference:
    """One config key with its value on each side; empty where the side has none."""

    key: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Final:
    """One number on each side, and how far each is from the baseline."""

    name: str
    means: tuple[Mean | None, ...]
    from_baseline: tuple[float | None, ...]
    words: tuple[str, ...] = ()
    """For a fact that is a word: what each side says."""


def config_differences(sides: Sequence[Side]) -> list[Difference]:
    """The keys that are not the same on every side, and what else a run stands on: code, host."""
    keys = dict.fromkeys(key for side in sides for m in side.members for key in m.config)
    rows = [Difference(key, tuple(_said(side, key) for side in sides)) for key in keys]
    stands_on: dict[str, Callable[[Member], str]] = {
        "phase": lambda m: m.row.phase,
        "step": lambda m: m.row.step,
        "host": lambda m: m.row.host,
        "code": lambda m: m.row.code[:10],
    }
    for name, of in stands_on.items():
        rows.append(Difference(f"({name})", tuple(_listed([of(m) for m in side.members]) for side in sides)))
    return [row for row in rows if len(set(row.values)) > 1]


def _said(side: Side, key: str) -> str:
    return _listed([_word(m.config[key]) for m in side.members if key in m.config])


def _listed(values: Sequence[str]) -> str:
    different = list(dict.fromkeys(values))
    return ", ".join(different) if len(different) <= _SEVERAL else f"{len(different)} values"


def _word(value: Any) -> str:
    return number(value) if isinstance(value, float) else str(value)


def final_rows(
    sides: Sequence[Side], baseline: str | None = None, checks: Sequence[dict[str, Any]] = ()
) -> list[Final]:
    """Every final metric and fact that some side has, those of a gate first."""
    names = sorted({name for side in sides for m in side.members for name in m.finals})
    at = next((i for i, side in enumerate(sides) if side.key == baseline), None)
    return [_final(name, sides, at) for name in gated_first(names, list(checks))]


def _final(name: str, sides: Sequence[Side], baseline: int | None) -> Final:
    means = tuple(mean_of(side.values(name)) for side in sides)
    base = means[baseline] if baseline is not None else None
    away = tuple(
        None if base is None or mean is None or i == baseline else mean.mean - base.mean for i, mean in enumerate(means)
    )
    said = tuple(_listed([str(m.finals[name]) for m in side.members if name in m.finals]) for side in sides)
    return Final(name, means, away, said if not any(means) else ())


def final_words(row: Final, at: int) -> str:
    """`0.934 ±0.012 (+0.05)`."""
    mean = row.means[at]
    if mean is None:
        return row.words[at] if row.words else "–"
    half = "" if mean.half is None else f" ±{number(mean.half)}"
    away = row.from_baseline[at]
    return number(mean.mean) + half + ("" if away is None else f" ({_signed(away)})")


def _signed(value: float) -> str:
    return f"{'+' if value >= 0 else '−'}{number(abs(value))}"


def about_rows(sides: Sequence[Side]) -> list[tuple[str, tuple[str, ...]]]:
    """State, time, cost and tags of each side."""
    rows = [
        ("state", tuple(_listed([m.row.state for m in s.members]) for s in sides)),
        ("took", tuple(_took(s.members) for s in sides)),
        ("cost", tuple(usd(sum(m.usd for m in s.members)) if any(m.usd for m in s.members) else "" for s in sides)),
        ("tags", tuple(" ".join(dict.fromkeys(t for m in s.members for t in m.tags)) for s in sides)),
    ]
    return [row for row in rows if any(row[1])]


def _took(members: Sequence[Member]) -> str:
    times = [m.row.seconds for m in members if m.row.seconds is not None]
    return duration(sum(times) / len(times)) + (" each" if len(times) > 1 else "") if times else ""
