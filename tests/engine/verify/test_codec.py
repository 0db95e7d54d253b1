"""Values survive the wire exactly, or don't travel at all."""

import collections
import datetime
import decimal
import fractions

import pytest

from engine.verify.sandbox import codec
from engine.verify.sandbox.fingerprint import fingerprint

_POINT = collections.namedtuple("_POINT", "x y")


def there_and_back(value):
    return codec.decode(codec.loads(codec.dumps(codec.encode(value))))


@pytest.mark.parametrize(
    "value",
    [
        None, True, 0, -1, 1 << 62, -(1 << 200), 0.1, 1e308, -0.0, "", "ä\ud800\0", b"\0\xff", bytearray(b"x"), 2 + 3j,
        [], [1, [2, (3, {4})]], (), {}, {(1, 2): [3], "k": None}, {1, "a"}, frozenset({1}), range(1, 9, 2), int, ...,
        collections.Counter("abca"), collections.OrderedDict(b=1, a=2), collections.deque([1, 2]),
        decimal.Decimal("1.10"), fractions.Fraction(1, 3), datetime.date(2026, 11, 20), datetime.timedelta(1, 2, 3),
        datetime.datetime(2026, 11, 20, 1, 2, 3, 4),
    ],
    ids=repr,
)  # fmt: skip
def test_a_plain_value_comes_back_as_it_was(value):
    back = there_and_back(value)
    assert back == value
    assert type(back) is type(value)


def test_a_nan_comes_back_as_a_nan():
    back = there_and_back(float("nan"))
    assert back != back


def test_a_named_tuple_comes_back_as_the_tuple_it_equals():
    assert there_and_back(_POINT(1, 2)) == (1, 2)


def test_an_iterator_comes_back_as_an_iterator_of_its_items():
    back = there_and_back(iter([1, 2]))
    assert not isinstance(back, list)
    assert list(back) == [1, 2]


def test_a_subclass_that_redefines_equality_is_opaque():
    class Same(int):
        def __eq__(self, other):
            return True

        __hash__ = int.__hash__

    kept = []
    wire = codec.encode([Same(3)], lambda v: kept.append(v) or 0)
    assert codec.decode(wire)[0] != 3


def test_what_can_not_travel_says_so():
    with pytest.raises(codec.WireError, match="function"):
        codec.encode(lambda: 0)


@pytest.mark.parametrize(
    "wire",
    [{"a": 1}, [], [1], ["nope"], ["d", 1], ["I", "zz"], ["I", 5], ["b", "x"], ["r", 1, 2, 0], ["y", "eval"],
     ["s", ["l"]], ["d", ["l"], 1], ["Decimal", "x"], ["ymd", 0, 0, 0], ["now", "x"], ["c", "a", 1], ["R", "x"]],
    ids=repr,
)  # fmt: skip
def test_broken_wire_is_refused(wire):
    with pytest.raises(codec.WireError):
        codec.decode(wire)


def test_json_as_deep_as_a_well_is_refused():
    with pytest.raises((codec.WireError, RecursionError)):
        codec.decode(codec.loads(b'["l",' * 100000 + b"1" + b"]" * 100000))


def test_crafted_collisions_are_refused_before_they_take_minutes():
    wire = ["s", *[["I", hex(i * (2**61 - 1))] for i in range(2, 60000)]]
    with pytest.raises(codec.WireError, match="collisions"):
        codec.decode(wire)


def test_a_fingerprint_does_not_depend_on_the_order_of_a_dict():
    assert fingerprint({"a": {1, 2}, "b": 0}) == fingerprint({"b": 0, "a": {2, 1}})
    assert fingerprint([1]) != fingerprint((1,))
