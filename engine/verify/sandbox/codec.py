"""Values on the wire: tagged JSON over exact types.

Guarantees: what `decode` returns is built from builtin types by us, so no method of a candidate's class ever runs in the
judge; decoding never imports, never calls, and refuses what is too deep, too large or unknown with `WireError`.
Does not guarantee: that an object of an unknown class can be looked into: it travels as an opaque `Ref`, equal to itself only.

Scalars are JSON scalars. Every JSON array is `[tag, …]`: l list, t tuple, d dict, s set, f frozenset, i iterator (its items),
I large integer, b bytes, B bytearray, c complex, r range, y builtin type, R reference, and a few of the standard library.
"""

from __future__ import annotations

import builtins
import collections
import datetime
import importlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

MAX_DEPTH = 60
MAX_ITEMS = 200_000  # an endless iterator is cut here; no test of the data sets looks further
_SAFE_INT = 1 << 62
_HASH_BUDGET_S = 1.0  # crafted collisions make a set quadratic; honest ones of this size take a tenth

# Types that travel by name, such as the `int` that MBPP/533 passes as an argument.
_TYPES = {t.__name__: t for t in (int, float, str, bool, complex, list, tuple, dict, set, frozenset, bytes, bytearray)}
_TYPES["NoneType"] = type(None)


class WireError(Exception):
    """A message that is no message of ours, or a value that can't travel."""


class Ref:
    """An object that stays in the candidate's process. Equal to itself only."""

    __slots__ = ("number", "type_name")

    def __init__(self, number: int, type_name: str) -> None:
        self.number = number
        self.type_name = type_name

    def __repr__(self) -> str:
        return f"<{self.type_name}>"


Keep = Callable[[Any], int]


def encode(value: Any, keep: Keep | None = None, depth: int = 0) -> Any:
    """The JSON form of `value`; unknown objects are given to `keep`, whose number travels (without `keep`: WireError)."""
    kind = type(value)
    if kind is str or kind is float or kind is bool or value is None:
        return value
    if kind is int:
        return value if -_SAFE_INT < value < _SAFE_INT else ["I", hex(value)]
    if depth >= MAX_DEPTH:
        return _opaque(value, keep)
    if kind is list:
        return ["l", *[encode(v, keep, depth + 1) for v in value]]
    if kind is tuple:
        return ["t", *[encode(v, keep, depth + 1) for v in value]]
    if kind is dict:
        return ["d", *_pairs(value, keep, depth)]
    encoder = _ENCODERS.get(kind)
    if encoder is not None:
        return encoder(value, keep, depth + 1)
    return _encode_rest(value, kind, keep, depth)


def _pairs(value: dict[Any, Any], keep: Keep | None, depth: int) -> list[Any]:
    flat = []
    for k, v in value.items():
        flat.append(encode(k, keep, depth + 1))
        flat.append(encode(v, keep, depth + 1))
    return flat


def _encode_rest(value: Any, kind: type, keep: Keep | None, depth: int) -> Any:
    """Named tuples as the tuples they equal, iterators as their items, builtin types by name, the rest by reference."""
    if isinstance(value, type):
        name = next((n for n, t in _TYPES.items() if t is value), None)
        return ["y", name] if name else _opaque(value, keep)
    if (name := _STRANGERS.get(kind.__name__)) and kind is getattr(sys.modules.get(name), kind.__name__, None):
        return [kind.__name__, str(value)]
    if issubclass(kind, tuple) and kind.__eq__ is tuple.__eq__:
        return ["t", *[encode(v, keep, depth + 1) for v in tuple.__iter__(value)]]
    if isinstance(value, Iterator):
        return ["i", *_items(value, keep, depth)]
    if kind in _VIEWS:
        return ["l" if kind is type({}.values()) else "s", *_items(iter(value), keep, depth)]
    return _opaque(value, keep)


# Modules that few programs load: named here so that the sandbox need not hold them in every child.
_STRANGERS = {"Decimal": "decimal", "Fraction": "fractions"}
_VIEWS = (type({}.keys()), type({}.values()), type({}.items()))


def _items(value: Iterator[Any], keep: Keep | None, depth: int) -> list[Any]:
    found = []
    for item in value:
        found.append(encode(item, keep, depth + 1))
        if len(found) >= MAX_ITEMS:
            break
    return found


def _opaque(value: Any, keep: Keep | None) -> Any:
    if keep is None:
        raise WireError(f"a value of type {type(value).__name__} can't travel into the sandbox")
    return ["R", keep(value), type.__dict__["__name__"].__get__(type(value))[:80]]


def _sequence(tag: str) -> Callable[[Any, Keep | None, int], Any]:
    return lambda value, keep, depth: [tag, *[encode(v, keep, depth) for v in value]]


_ENCODERS: dict[type, Callable[[Any, Keep | None, int], Any]] = {
    set: _sequence("s"),
    frozenset: _sequence("f"),
    collections.deque: _sequence("Q"),
    bytes: lambda v, k, d: ["b", v.hex()],
    bytearray: lambda v, k, d: ["B", v.hex()],
    complex: lambda v, k, d: ["c", v.real, v.imag],
    range: lambda v, k, d: ["r", encode(v.start), encode(v.stop), encode(v.step)],
    Ref: lambda v, k, d: ["R", v.number, v.type_name],
    collections.Counter: lambda v, k, d: ["C", *_pairs(v, k, d)],
    collections.OrderedDict: lambda v, k, d: ["O", *_pairs(v, k, d)],
    collections.defaultdict: lambda v, k, d: ["d", *_pairs(v, k, d)],
    datetime.date: lambda v, k, d: ["ymd", v.year, v.month, v.day],
    datetime.datetime: lambda v, k, d: (
        ["now", v.isoformat()] if v.tzinfo is None or type(v.tzinfo) is datetime.timezone else _opaque(v, k)
    ),
    datetime.timedelta: lambda v, k, d: ["dur", v.days, v.seconds, v.microseconds],
    type(...): lambda v, k, d: ["e"],
}


def decode(value: Any, refs: Callable[[int, str], Any] = Ref) -> Any:
    """The value of a JSON form. `refs` says what a reference stands for on this side."""
    if type(value) is not list:
        if type(value) is dict:
            raise WireError("a bare JSON object is no value")
        return value
    if not value or type(value[0]) is not str:
        raise WireError("an array without a tag")
    tag = value[0]
    if tag == "l":
        return [decode(v, refs) for v in value[1:]]
    if tag == "t":
        return tuple([decode(v, refs) for v in value[1:]])
    decoder = _DECODERS.get(tag)
    if decoder is None:
        raise WireError(f"unknown tag {tag[:20]!r}")
    try:
        return decoder(value[1:], refs)
    except (TypeError, ValueError, IndexError, OverflowError, ArithmeticError) as error:
        raise WireError(f"a broken {tag!r}: {type(error).__name__}") from None


def _dict(parts: list[Any], refs: Any, make: Any = dict) -> Any:
    if len(parts) % 2:
        raise WireError("a dict with a key and no value")
    result = make()
    for start in _within_budget(0, len(parts), 2):
        result[decode(parts[start], refs)] = decode(parts[start + 1], refs)
    return result


def _set(parts: list[Any], refs: Any) -> set[Any]:
    result: set[Any] = set()
    for at in _within_budget(0, len(parts), 1):
        result.add(decode(parts[at], refs))
    return result


def _within_budget(start: int, stop: int, step: int) -> Iterator[int]:
    """Indices, until hashing takes suspiciously long."""
    if stop - start <= 512:
        yield from range(start, stop, step)
        return
    end = time.process_time() + _HASH_BUDGET_S
    for at in range(start, stop, step):
        if at & 0xFE == 0 and time.process_time() > end:
            raise WireError("hashing takes too long: crafted collisions?")
        yield at


def _int(text: Any) -> int:
    if type(text) is not str or len(text) > 1 << 20:
        raise WireError("an integer of more than a million hexadecimal digits")
    return int(text, 16)


_DECODERS: dict[str, Callable[[list[Any], Any], Any]] = {
    "d": _dict,
    "s": _set,
    "f": lambda p, r: frozenset(_set(p, r)),
    "i": lambda p, r: iter([decode(v, r) for v in p]),
    "I": lambda p, r: _int(p[0]),
    "b": lambda p, r: bytes.fromhex(p[0]),
    "B": lambda p, r: bytearray.fromhex(p[0]),
    "c": lambda p, r: complex(p[0], p[1]),
    "r": lambda p, r: range(decode(p[0]), decode(p[1]), decode(p[2])),
    "R": lambda p, r: r(int(p[0]), str(p[1])[:80] if len(p) > 1 else "object"),
    "y": lambda p, r: _TYPES[p[0]] if p[0] in _TYPES else _no_type(p[0]),
    "Q": lambda p, r: collections.deque(decode(v, r) for v in p),
    "C": lambda p, r: _dict(p, r, collections.Counter),
    "O": lambda p, r: _dict(p, r, collections.OrderedDict),
    "Decimal": lambda p, r: _stranger("Decimal", p),
    "Fraction": lambda p, r: _stranger("Fraction", p),
    "ymd": lambda p, r: datetime.date(p[0], p[1], p[2]),
    "now": lambda p, r: datetime.datetime.fromisoformat(p[0]),
    "dur": lambda p, r: datetime.timedelta(p[0], p[1], p[2]),
    "e": lambda p, r: ...,
}


def _stranger(name: str, parts: list[Any]) -> Any:
    return getattr(importlib.import_module(_STRANGERS[name]), name)(str(parts[0])[:4000])


def _no_type(name: Any) -> Any:
    raise WireError(f"no builtin type of that name: {str(name)[:20]!r}")


def dumps(message: Any) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def loads(data: bytes) -> Any:
    """JSON, or WireError: too deep, not UTF-8, a number of a million digits."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError, MemoryError):
        raise WireError("no JSON") from None


def exception_named(name: str) -> type[BaseException]:
    """The builtin exception of that name, so that a test's own `except ValueError` works; else a plain Exception type."""
    found = getattr(builtins, name, None)
    if isinstance(found, type) and issubclass(found, Exception):
        return found
    return type("CandidateError", (Exception,), {"__doc__": f"raised by the candidate as {name}"})
