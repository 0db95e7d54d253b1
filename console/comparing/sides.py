"""What is compared: sides, each one run or the runs of one configuration with several seeds. Pure.

A side's key is what its colour hangs on: the run's id, or the family's hash with its step, so that both keep theirs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from console.charts.palette import assign
from console.charts.seeds import t_quantile
from console.charts.series import Series
from console.paint.runs import short_phase
from console.store import RunRow


@dataclass(frozen=True)
class Member:
    """One run with all that is compared of it."""

    row: RunRow
    config: dict[str, Any] = field(default_factory=dict)
    """Flat: `train.lr`."""
    finals: dict[str, Any] = field(default_factory=dict)
    series: dict[str, Series] = field(default_factory=dict)
    usd: float = 0.0
    tags: tuple[str, ...] = ()

    @property
    def family(self) -> tuple[str, str, str]:
        return self.row.phase, self.row.step, self.row.family or self.row.run_id


@dataclass(frozen=True)
class Side:
    """One line of each chart, one column of each table."""

    key: str
    name: str
    members: tuple[Member, ...]

    @property
    def is_band(self) -> bool:
        return len(self.members) > 1

    def values(self, name: str) -> list[float]:
        """A final metric or fact of each of its runs that has it as a number."""
        found = [m.finals.get(name) for m in self.members]
        return [float(v) for v in found if isinstance(v, (int, float)) and not isinstance(v, bool)]


@dataclass(frozen=True)
class Mean:
    """A number over the runs of a side."""

    mean: float
    half: float | None
    """Half of the 95 % interval; None for one run."""
    count: int


def mean_of(values: Sequence[float]) -> Mean | None:
    """The mean with Student's interval; None where there is nothing."""
    count = len(values)
    if not count:
        return None
    mean = sum(values) / count
    if count < 2:
        return Mean(mean, None, 1)
    spread = (sum((v - mean) ** 2 for v in values) / (count - 1)) ** 0.5
    return Mean(mean, t_quantile(count - 1) * spread / count**0.5, count)


def sides_of(members: Sequence[Member], by_family: bool) -> list[Side]:
    """In the order given; runs of one family with different seeds become one side, where that is asked for."""
    groups: dict[tuple[str, ...], list[Member]] = {}
    for member in members:
        key = member.family if by_family and _has_sisters(member, members) else (member.row.run_id,)
        groups.setdefault(key, []).append(member)
    names = _names(list(groups.values()))
    return [Side(":".join(key), name, tuple(group)) for (key, group), name in zip(groups.items(), names, strict=True)]


def _has_sisters(member: Member, members: Sequence[Member]) -> bool:
    return len({m.row.seed for m in members if m.family == member.family}) > 1


def colours_of(sides: Sequence[Side]) -> dict[str, int]:
    """A colour per side by the hash of its key, the next free one where that is taken by an earlier side."""
    return assign((side.key for side in sides), {})


_PARTS: tuple[Callable[[RunRow], str], ...] = (
    lambda row: short_phase(row.phase),
    lambda row: row.step,
    lambda row: seedless(row.variant),
    lambda row: "" if row.seed is None else f"seed {row.seed}",
    lambda row: row.host,
    lambda row: row.run_id[-5:],
)


def _names(groups: Sequence[Sequence[Member]]) -> list[str]:
    """The shortest names that tell the sides apart: only what differs, and the end of the id where nothing else does."""
    parts = [[_common(part, group) for part in _PARTS] for group in groups]
    if len({p[2].partition("+")[0] for p in parts}) == 1 and all("+" in p[2] for p in parts):
        for p in parts:
            p[2] = p[2].partition("+")[2]
    chosen = [i for i in range(len(_PARTS) - 1) if len({p[i] for p in parts}) > 1]
    if len({tuple(p[i] for i in chosen) for p in parts}) < len(parts):
        chosen.append(len(_PARTS) - 1)
    names = [" ".join(filter(None, (p[i] for i in chosen))) or p[2] for p in parts]
    return [f"{name} ×{len(group)}" if len(group) > 1 else name for name, group in zip(names, groups, strict=True)]


def _common(part: Callable[[RunRow], str], group: Sequence[Member]) -> str:
    found = {part(m.row) for m in group}
    return found.pop() if len(found) == 1 else ""


def seedless(variant: str) -> str:
    """`cpu+lr=1` of `cpu+lr=1,seed=3`."""
    preset, _, overrides = variant.partition("+")
    kept = [word for word in overrides.split(",") if word and not re.match(r"(?:.*\.)?seed=", word)]
    return f"{preset}+{','.join(kept)}" if kept else preset
