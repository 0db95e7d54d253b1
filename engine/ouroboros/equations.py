"""Binary whole-number equations as columns of digits, and the neighbours that differ in one digit.

Letters: N equations, W columns. A column is a place value, ones first, and holds one digit of each operand; so a model
sees 36 + 7 as the columns (6, 7) and (3, 0), and predicts the result column by column.

Everything here is vectorised and pure; random numbers come from the generator that is handed in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.data import gsm8k

Ints = NDArray[np.int64]
OPERATORS = "+-*/"
ADD, SUB, MUL, DIV = range(4)
_BY_NAME = {name: index for index, name in enumerate(OPERATORS)}


@dataclass(frozen=True)
class Equations:
    """`a op b = result`, N of them; `result` is the true one."""

    op: Ints
    a: Ints
    b: Ints

    def __len__(self) -> int:
        return len(self.op)

    def __getitem__(self, index: NDArray[np.bool_] | Ints | slice) -> Equations:
        return Equations(self.op[index], self.a[index], self.b[index])

    @property
    def result(self) -> Ints:
        return compute(self.op, self.a, self.b)

    @property
    def key(self) -> Ints:
        """One number an equation; 3*2 and 2*3 (and 3+2 and 2+3) are the same knowledge and share it."""
        swap = ((self.op == ADD) | (self.op == MUL)) & (self.a > self.b)
        low, high = np.where(swap, self.b, self.a), np.where(swap, self.a, self.b)
        return self.op * 10**16 + low * 10**8 + high


def concatenate(parts: list[Equations]) -> Equations:
    return Equations(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("op", "a", "b")))


def compute(op: Ints, a: Ints, b: Ints) -> Ints:
    """The result; for a division that does not come out whole, or an impossible one, a number below zero."""
    quotient = np.where((b != 0) & (a % np.maximum(b, 1) == 0), a // np.maximum(b, 1), -1)
    return np.select([op == ADD, op == SUB, op == MUL], [a + b, a - b, a * b], quotient)


def valid(equations: Equations, max_operand: int, max_result: int) -> NDArray[np.bool_]:
    """Positive whole operands and result inside the limits; no times one or by one.

    Those two only copy a number, so that "the result stands in the premise" alone would tell their quads apart.
    """
    e = equations
    result = e.result
    inside = (e.a > 0) & (e.b > 0) & (result > 0) & (np.maximum(e.a, e.b) <= max_operand) & (result <= max_result)
    copies = ((e.op >= MUL) & (e.b == 1)) | ((e.op == MUL) & (e.a == 1))
    return inside & ~copies


def from_expression(expression: str) -> tuple[int, int, int] | None:
    """(op, a, b) where the expression is two whole numbers and one operator, else None."""
    tokens = gsm8k.tokens(expression)
    if len(tokens) != 3 or tokens[1] not in _BY_NAME or not (tokens[0].isdigit() and tokens[2].isdigit()):
        return None
    return _BY_NAME[tokens[1]], int(tokens[0]), int(tokens[2])


def digits(numbers: Ints, width: int) -> NDArray[np.int64]:
    """(N,) whole numbers as (N, W) digits, ones first."""
    return (numbers[:, None] // 10 ** np.arange(width)) % 10


def width_for(max_operand: int, max_result: int) -> int:
    return max(len(str(max_operand)), len(str(max_result)))


def neighbours(equations: Equations, rng: np.random.Generator, max_operand: int, max_result: int) -> Equations:
    """For each equation another true one with the same operator and one digit moved by a little.

    Of a division the *result's* digit is moved (and the dividend follows), because few dividends come out whole. One
    whose numbers are as long as the equation's own is preferred, so that lengths tell nothing. Where no attempt gives
    another valid equation with another result, the row holds its own equation: the caller drops it.
    """
    found = Equations(equations.op.copy(), equations.a.copy(), equations.b.copy())
    open_rows = np.arange(len(equations))
    for attempt in range(_ATTEMPTS):
        base = equations[open_rows]
        moved = _move_one_digit(base, rng)
        good = valid(moved, max_operand, max_result) & (moved.result != base.result) & _copies_alike(base, moved)
        if attempt < _ATTEMPTS - _ATTEMPTS_OF_ANY_LENGTH:
            good &= _equally_long(base, moved)
        rows = open_rows[good]
        found.op[rows], found.a[rows], found.b[rows] = moved.op[good], moved.a[good], moved.b[good]
        open_rows = open_rows[~good]
        if not len(open_rows):
            break
    return found


# Each round mends most of what is left; after these, what stays has hardly a neighbour at all.
_ATTEMPTS, _ATTEMPTS_OF_ANY_LENGTH = 24, 10


def _equally_long(own: Equations, other: Equations) -> NDArray[np.bool_]:
    pairs = ((own.a, other.a), (own.b, other.b), (own.result, other.result))
    return np.logical_and.reduce([length(x) == length(np.maximum(y, 1)) for x, y in pairs])


def length(numbers: Ints) -> Ints:
    """How many digits each positive number has."""
    return np.floor(np.log10(numbers)).astype(np.int64) + 1


def _copies_alike(own: Equations, other: Equations) -> NDArray[np.bool_]:
    """Whether swapping the results leaves as many claims that equal an operand as there were.

    A sum never equals one of its parts, so a swapped result that does would be told as wrong by that alone.
    """
    r, swapped = own.result, other.result
    first = (r == own.a).astype(int) + (swapped == other.a) == (swapped == own.a).astype(int) + (r == other.a)
    second = (r == own.b).astype(int) + (swapped == other.b) == (swapped == own.b).astype(int) + (r == other.b)
    return first & second


def _move_one_digit(base: Equations, rng: np.random.Generator) -> Equations:
    first = rng.random(len(base)) < 0.5
    number = np.where(base.op == DIV, np.where(first, base.result, base.b), np.where(first, base.a, base.b))
    place = 10 ** rng.integers(0, length(np.maximum(number, 1)))
    digit = number // place % 10
    new_digit = np.clip(digit + rng.choice([-2, -1, 1, 2], len(base)), 0, 9)
    new = number + (new_digit - digit) * place
    a = np.where(first, new, base.a)
    b = np.where(first, base.b, new)
    quotient, divisor = np.where(first, new, base.result), np.where(first, base.b, new)
    is_div = base.op == DIV
    return Equations(base.op, np.where(is_div, quotient * divisor, a), np.where(is_div, divisor, b))


def renumber(
    like: Equations, count: int, rng: np.random.Generator, max_operand: int, max_result: int, products: float = 0.0
) -> Equations:
    """`count` fresh equations with log-uniform sizes; a share of `products` or quotients, other operators as in `like`."""
    parts, have = [], 0
    while have < count:
        op = like.op[rng.integers(0, len(like), 2 * count)]
        op = np.where(rng.random(2 * count) < products, rng.choice([MUL, DIV], 2 * count), op)
        drawn = _draw(op, rng, max_operand, max_result)
        drawn = drawn[valid(drawn, max_operand, max_result)]
        parts.append(drawn)
        have += len(drawn)
    return concatenate(parts)[slice(0, count)]


def _draw(op: Ints, rng: np.random.Generator, max_operand: int, max_result: int) -> Equations:
    count = len(op)
    a, b = _log_uniform(rng, count, 1, max_operand), _log_uniform(rng, count, 1, max_operand)
    # A product inside the limit: the logarithm of the product, not of each factor, is what is bounded.
    product_limit = np.where(op == DIV, max_operand, max_result)
    factor = _log_uniform(rng, count, 2, max_operand)
    room = np.minimum(max_operand, product_limit // factor)
    other = np.minimum(np.exp(rng.random(count) * np.log(np.maximum(room, 1) + 1)).astype(np.int64), max_operand)
    other = np.where(rng.random(count) < 0.7, np.minimum(other, 99), other)
    swap = rng.random(count) < 0.5
    left, right = np.where(swap, other, factor), np.where(swap, factor, other)
    return Equations(
        op,
        np.select([op == ADD, op == SUB, op == MUL], [a, np.maximum(a, b), left], left * right),
        np.select([op == ADD, op == SUB], [b, np.minimum(a, b)], right),
    )


def _log_uniform(rng: np.random.Generator, count: int, low: int, high: int) -> Ints:
    return np.minimum(high, np.exp(rng.uniform(np.log(low), np.log(high + 1), count)).astype(np.int64))
