"""What a user asks of runs, in one line: `phase:7 cfg.lr>=1e-4 eval/accuracy>0.9 tag:x -note:debug free words`.

    field:value     contains it (a phase by its number; `a,b` is either; `*` stands for anything; `field:*` has it at all)
    field=value     is exactly it; also != < <= > >=
    cfg.KEY         a value of the run's config; its last part is enough where only one key ends so
    any other name  a metric's last value or a fact; `accuracy` is enough where only one ends so
    -term           not
    word            in the run's id, phase, step, preset, host, state, reason or tags

Pure. Parsing knows no names; `resolved` holds a query against the names that exist and names the nearest one.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from enum import Enum

from console.errors import UserError


class Kind(Enum):
    TEXT = "text"
    NUMBER = "number"
    DURATION = "duration"
    MONEY = "money"
    VALUE = "value"
    """Whatever it is in the config or the evidence: a number, a word, true or false."""


FIELDS: dict[str, Kind] = {
    **dict.fromkeys(("run", "project", "phase", "step", "preset", "variant", "host", "state", "reason"), Kind.TEXT),
    **dict.fromkeys(("plan", "by", "tree", "code", "config", "family", "tag", "note"), Kind.TEXT),
    "seed": Kind.NUMBER,
    "age": Kind.DURATION,
    "took": Kind.DURATION,
    "cost": Kind.MONEY,
}
CONFIG = "cfg."
OPS = ("<=", ">=", "!=", ":", "=", "<", ">")
_TERM = re.compile(r"(?P<field>[A-Za-z_][\w./@%-]*)(?P<op><=|>=|!=|[:=<>])(?P<value>.*)", re.DOTALL)
_WORD = re.compile(r'(?:[^\s"]|"[^"]*"?)+')
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:min|[smhdw]))+")


class QueryError(UserError):
    """The query can't be answered; the message says which part and what to write."""


@dataclass(frozen=True)
class Term:
    """One condition."""

    field: str
    """Empty for a free word."""
    op: str
    values: tuple[str, ...]
    negated: bool = False

    @property
    def kind(self) -> Kind:
        return FIELDS.get(self.field, Kind.VALUE)


@dataclass(frozen=True)
class Query:
    """All of its terms must hold."""

    terms: tuple[Term, ...] = ()

    @property
    def asked(self) -> list[str]:
        """The config keys, metrics and facts that it names: worth a column."""
        return list(dict.fromkeys(t.field for t in self.terms if t.field and t.field not in FIELDS))

    @property
    def moves(self) -> bool:
        """Does its answer change by the clock alone?"""
        return any(t.kind in (Kind.DURATION, Kind.MONEY) for t in self.terms)


@dataclass(frozen=True)
class Names:
    """The config keys and the metrics and facts that exist in the index."""

    config: tuple[str, ...] = ()
    finals: tuple[str, ...] = ()


def parse(text: str) -> Query:
    """The terms of a line; QueryError where one has no meaning."""
    return Query(tuple(_term(word) for word in _WORD.findall(text)))


def _term(word: str) -> Term:
    negated = word.startswith("-") and len(word) > 1
    body = word[1:] if negated else word
    match = _TERM.fullmatch(body) if not body.startswith('"') else None
    if match is None:
        return Term("", ":", (_plain(body),), negated)
    field, op, value = match["field"], match["op"], match["value"]
    values = tuple(_plain(v) for v in _split(value))
    if not any(values):
        raise QueryError(f"`{word}` has no value: write {field}{op}something")
    if op in ("<", "<=", ">", ">=") and len(values) > 1:
        raise QueryError(f"`{word}` compares with several values: a list goes with `:` or `=`")
    term = Term(field, op, values, negated)
    _readable(term, word)
    return term


def _split(value: str) -> list[str]:
    """At the commas that stand outside of quotes."""
    return re.findall(r'(?:[^,"]|"[^"]*"?)+', value)


def _plain(value: str) -> str:
    return value.replace('"', "")


def _readable(term: Term, word: str) -> None:
    """Every value must be of the field's kind."""
    for value in term.values:
        if value == "*" and term.op == ":":
            continue
        if term.kind is Kind.DURATION:
            seconds(value, word)
        elif term.kind in (Kind.NUMBER, Kind.MONEY):
            amount(value, word)
        elif term.kind is Kind.TEXT and term.op in ("<", "<=", ">", ">="):
            raise QueryError(f"`{word}`: {term.field} is a word; use {term.field}:{value}")
        elif term.op in ("<", "<=", ">", ">="):
            amount(value, word)


def number_of(value: str) -> float | None:
    """The number that a value is; None for a word, and NaN is a word."""
    try:
        found = float(value.removeprefix("$"))
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def amount(value: str, word: str) -> float:
    found = number_of(value)
    if found is None:
        raise QueryError(f"`{word}`: {value!r} is no number")
    return found


def seconds(value: str, word: str = "") -> float:
    """`90s`, `2h`, `1h30m`, `7d`; a bare number is refused, because nobody knows what it counts."""
    if not _DURATION.fullmatch(value):
        raise QueryError(f"`{word or value}`: {value!r} is no duration; write 90s, 20m, 2h, 7d or 1h30m")
    return sum(float(n) * _UNITS[u] for n, u in re.findall(r"(\d+(?:\.\d+)?)(min|[smhdw])", value))


def resolved(query: Query, names: Names) -> Query:
    """The same with full names; QueryError with the nearest name where one does not exist."""
    return Query(tuple(replace(t, field=full_name(t.field, names)) for t in query.terms))


def full_name(field: str, names: Names) -> str:
    """A field as it is called in the index."""
    if not field or field in FIELDS:
        return field
    if field.startswith(CONFIG):
        return CONFIG + _one_of(field.removeprefix(CONFIG), names.config, ".", CONFIG)
    return _one_of(field, names.finals, "/", "", hints=[*FIELDS, *(CONFIG + key for key in names.config)])


def _one_of(word: str, good: tuple[str, ...], separator: str, prefix: str, hints: list[str] | None = None) -> str:
    if word in good:
        return word
    ends = [name for name in good if name.endswith(separator + word)]
    if len(ends) == 1:
        return ends[0]
    if ends:
        shown = ", ".join(prefix + name for name in ends[:4])
        raise QueryError(f"{prefix}{word} may be any of {len(ends)}: {shown}{' …' if len(ends) > 4 else ''}")
    what = "config key" if prefix else "field, metric or fact"
    raise QueryError(f"no run has a {what} {prefix + word!r}{_near(word, list(good), prefix, hints or [])}")


def _near(word: str, good: list[str], prefix: str, hints: list[str]) -> str:
    """The nearest name, also by its last part: `acuracy` is near `eval/accuracy`."""
    import difflib

    names = [*(prefix + name for name in good), *hints]
    known = {part: name for name in names for part in (re.split(r"[/.]", name)[-1], name.removeprefix(prefix), name)}
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean {known[close[0]]!r}?" if close else ""
