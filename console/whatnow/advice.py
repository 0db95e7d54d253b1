"""From what is known of a failure to its cause and the way out. Pure: a failure and the rules in, one advice out.

Guarantees: the first rule that fits is the answer; every word of it was filled from the failure itself, and a line that
could not be filled is left out, so that no advice names a key or a value that the run does not have.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from console.whatnow.rules import Rule, When

_WORD = re.compile(r"\{([A-Za-z_][\w.]*)\}")


@dataclass(frozen=True)
class Failure:
    """What is known of a run that went wrong, or of an action that was refused."""

    state: str
    reason: str = ""
    cause: str = ""
    """The word that whoever finished the run gave its failure."""
    log: str = ""
    """The end of the log."""
    nan_metrics: Mapping[str, float | None] = field(default_factory=dict)
    """Metrics whose newest value is no number, with the step at which that began where it is known."""
    remote: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    """What `{run}`, `{phase}` and the like stand for."""


@dataclass(frozen=True)
class Advice:
    """A cause and the ways out."""

    rule: str
    says: str
    do: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {"rule": self.rule, "says": self.says, "do": list(self.do)}

    def as_markdown(self) -> str:
        return f"**{self.says}**\n\n" + "\n".join(f"1. {way}" for way in self.do)


def advise(failure: Failure, rules: Iterable[Rule]) -> Advice | None:
    """The first rule that fits; None where none does."""
    for rule in rules:
        for when in rule.when:
            found = _holds(when, failure)
            if found is not None:
                return _filled(rule, failure, found)
    return None


def _holds(when: When, failure: Failure) -> dict[str, str] | None:
    """The words that the conditions have found; None where one of them does not hold."""
    host = "remote" if failure.remote else "local"
    for wanted, is_so in ((when.state, failure.state), (when.cause, failure.cause), (when.host, host)):
        if wanted and is_so not in wanted:
            return None
    found: dict[str, str] = {}
    for pattern, text in ((when.reason, failure.reason), (when.log, failure.log)):
        if pattern is None:
            continue
        match = _last_match(pattern, text)
        if match is None:
            return None
        found |= {name: value for name, value in match.groupdict().items() if value is not None}
    if when.metric == "nan":
        if not failure.nan_metrics:
            return None
        metric, step = next(iter(failure.nan_metrics.items()))
        found |= {"metric": metric, "at": "" if step is None else f" since step {step:g}"}
    return found


def _last_match(pattern: str, text: str) -> re.Match[str] | None:
    """The last one: what a log says at its end is nearer to the cause."""
    return next(iter(deque(re.finditer(pattern, text, re.M), maxlen=1)), None)


def _filled(rule: Rule, failure: Failure, found: dict[str, str]) -> Advice:
    values = {**flat(failure.config), **failure.words, "reason": failure.reason.rstrip("."), **found}
    values |= _to_lower(rule.lower, failure.config)
    says = fill(rule.says, values) or failure.reason or rule.says
    ways = (fill(line, values) for line in rule.do)
    return Advice(rule.name, says, tuple(way for way in ways if way is not None))


def fill(line: str, values: Mapping[str, Any]) -> str | None:
    """The line with its words; None where one is not known."""
    if any(word not in values for word in _WORD.findall(line)):
        return None
    return _WORD.sub(lambda match: str(values[match.group(1)]), line)


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Every value of a config under its dotted key."""
    values: dict[str, Any] = {}
    for key, value in config.items():
        values |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return values


def _to_lower(names: Sequence[str], config: Mapping[str, Any]) -> dict[str, str]:
    """The config value that is most worth lowering, in the order of the rule, with half of it (a third of a rate)."""
    values = flat(config)
    for name in names:
        for key, value in values.items():
            if key.rpartition(".")[2] == name and _can_go_down(value):
                less = str(max(1, value // 2)) if isinstance(value, int) else f"{value / 3:.1g}"
                return {"key": key, "value": str(value), "less": less}
    return {}


def _can_go_down(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return value > (1 if isinstance(value, int) else 0)
