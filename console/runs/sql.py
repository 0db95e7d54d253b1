"""A query as SQL over the index of runs. Pure: terms in, a condition with its values out; user's words are only ever values.

The tables stand under the letters r (runs), f (finals) and c (configs). A missing value meets no comparison, and so meets
the negation of each.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from console.runs.query import CONFIG, FIELDS, Kind, Query, Term, number_of, seconds

_TAGS = "(SELECT group_concat(tag, ' ') FROM tags t WHERE t.run_id = r.run_id)"
_NOTES = "(SELECT group_concat(body, ' ') FROM notes n WHERE n.run_id = r.run_id AND n.withdrawn IS NULL)"
_COLUMNS = {
    **{name: f"r.{name}" for name in ("project", "phase", "step", "preset", "variant", "host", "state", "reason")},
    **{name: f"r.{name}" for name in ("plan", "tree", "code", "family", "seed")},
    "run": "r.run_id",
    "by": "r.created_by",
    "config": "r.config_hash",
    "tag": _TAGS,
    "note": _NOTES,
    "age": "(:now - r.created)",
    "took": "(COALESCE(r.ended, :now) - r.started)",
    "cost": "(COALESCE(f.usd_per_h, 0) * (COALESCE(r.ended, :now) - COALESCE(r.started, :now)) / 3600)",
}
_FREE = ("r.run_id", "r.phase", "r.step", "r.variant", "r.host", "r.state", "r.reason", _TAGS)


@dataclass
class Where:
    """A condition and its values by name."""

    sql: str = "1"
    values: dict[str, object] = field(default_factory=dict)

    def add(self, value: object) -> str:
        """A value's place in the statement."""
        name = f"v{len(self.values)}"
        self.values[name] = value
        return f":{name}"


def where(query: Query, project: str | None = None) -> Where:
    """What a run must meet; `now` is for whoever runs it to give."""
    made = Where()
    parts = [_term(term, made) for term in query.terms]
    if project is not None and not any(t.field == "project" for t in query.terms):
        parts.insert(0, f"r.project = {made.add(project)}")
    made.sql = " AND ".join(parts) or "1"
    return made


def tables(*expressions: str) -> str:
    """The tables that these expressions read."""
    said = " ".join(expressions)
    joins = " LEFT JOIN finals f ON f.run_id = r.run_id" if "f." in said else ""
    return "runs r" + joins + (" LEFT JOIN configs c ON c.config_hash = r.config_hash" if "c." in said else "")


def expression(name: str) -> str:
    """What a field, config key or metric is in SQL."""
    if name in FIELDS:
        return _COLUMNS[name]
    if name.startswith(CONFIG):
        return f"json_extract(c.body, {_path(name.removeprefix(CONFIG))})"
    return f"json_extract(f.body, {_path(name)})"


def order(name: str, descending: bool) -> str:
    """An ORDER BY that puts what has no value last, newest first among equals."""
    if name == "age":
        way = "ASC" if descending else "DESC"
        return f"r.created {way}, r.run_id {way}"
    key = expression(name)
    return f"{key} IS NULL, {key} {'DESC' if descending else 'ASC'}, r.created DESC, r.run_id DESC"


def _path(key: str) -> str:
    """A JSON path as an SQL word; the names in the index hold no quotes."""
    clean = key.replace('"', "")
    return "'$.\"" + clean.replace("'", "''") + "\"'"


def _term(term: Term, made: Where) -> str:
    if not term.field:
        either = " OR ".join(f"{column} LIKE {made.add(_like(term.values[0]))} ESCAPE '\\'" for column in _FREE)
        return _maybe_not(either, term.negated)
    parts = [_condition(term, value, made) for value in term.values]
    if term.op == "!=":
        return _maybe_not(" AND ".join(parts), term.negated)
    return _maybe_not(" OR ".join(parts), term.negated)


def _maybe_not(sql: str, negated: bool) -> str:
    return f"NOT COALESCE(({sql}), 0)" if negated else f"({sql})"


def _condition(term: Term, value: str, made: Where) -> str:
    column = expression(term.field)
    if value == "*" and term.op == ":":
        return f"{column} IS NOT NULL"
    if term.kind is Kind.DURATION:
        return f"{column} {_op(term.op)} {made.add(seconds(value))}"
    if term.kind in (Kind.NUMBER, Kind.MONEY):
        return f"{column} {_op(term.op)} {made.add(number_of(value))}"
    if term.field == "phase" and value.isdigit() and term.op in (":", "=", "!="):
        return _phase_number(column, value, term.op == "!=", made)
    if term.field == "tag" and term.op in ("=", "!="):
        column = "' ' || " + column + " || ' '"
        return f"{column} {'NOT ' if term.op == '!=' else ''}LIKE {made.add(f'% {_literal(value)} %')} ESCAPE '\\'"
    if term.kind is Kind.VALUE:
        return _of_any_kind(term, column, value, made)
    return _text(column, term.op, value, made)


def _op(op: str) -> str:
    return "=" if op == ":" else op


def _phase_number(column: str, value: str, unlike: bool, made: Where) -> str:
    """Phase 1 is not phase 14."""
    name = f"phase{value}"
    same = f"({column} = {made.add(name)} OR {column} LIKE {made.add(name + '-%')})"
    return f"NOT {same}" if unlike else same


def _of_any_kind(term: Term, column: str, value: str, made: Where) -> str:
    """A config value or a final one: compared as a number where both are, else as a word."""
    wanted = number_of(value)
    if wanted is not None:
        return f"(typeof({column}) IN ('integer', 'real') AND {column} {_op(term.op)} {made.add(wanted)})"
    if value.lower() in ("true", "false") and term.op in (":", "=", "!="):
        kind = column.replace("json_extract", "json_type", 1)
        said = made.add(value.lower())
        return f"({kind} {'!=' if term.op == '!=' else '='} {said})"
    return _text(f"CAST({column} AS TEXT)", term.op, value, made)


def _text(column: str, op: str, value: str, made: Where) -> str:
    if op == ":":
        return f"{column} LIKE {made.add(_like(value))} ESCAPE '\\'"
    if "*" in value:
        return f"{column} {'NOT ' if op == '!=' else ''}LIKE {made.add(_literal(value))} ESCAPE '\\'"
    return f"{column} {'<>' if op == '!=' else '='} {made.add(value)} COLLATE NOCASE"


def _literal(value: str) -> str:
    """A LIKE pattern in which only `*` is special."""
    for char in ("\\", "%", "_"):
        value = value.replace(char, "\\" + char)
    return value.replace("*", "%")


def _like(value: str) -> str:
    """Contains it; a value with `*` is the whole pattern."""
    return _literal(value) if "*" in value else f"%{_literal(value)}%"
