from __future__ import annotations

import numpy as np
import pytest

from engine.ouroboros import equations as eq
from engine.ouroboros.equations import Equations


def some(count: int = 3000, seed: int = 0) -> Equations:
    rng = np.random.default_rng(seed)
    like = Equations(np.arange(4), np.array([2, 2, 2, 2]), np.array([1, 1, 1, 1]))
    return eq.renumber(like, count, rng, 999, 9999)


def slow_result(op: int, a: int, b: int) -> int:
    if op == eq.DIV:
        return a // b if b and a % b == 0 else -1
    return [a + b, a - b, a * b][op]


def test_results_agree_with_plain_python() -> None:
    made = some()
    expected = [slow_result(*row) for row in zip(made.op.tolist(), made.a.tolist(), made.b.tolist(), strict=True)]
    assert made.result.tolist() == expected


def test_fresh_equations_are_valid_and_of_every_operator() -> None:
    made = some()
    assert eq.valid(made, 999, 9999).all()
    assert set(np.unique(made.op)) == {0, 1, 2, 3}


def test_more_products_can_be_asked_for() -> None:
    like = Equations(np.array([0]), np.array([2]), np.array([1]))
    made = eq.renumber(like, 4000, np.random.default_rng(0), 999, 9999, products=0.6)
    assert 0.5 < (made.op >= eq.MUL).mean() < 0.7
    assert set(np.unique(made.op)) == {eq.ADD, eq.MUL, eq.DIV}


def test_neighbours_are_valid_and_differ_in_result_but_not_in_operator() -> None:
    made = some()
    other = eq.neighbours(made, np.random.default_rng(1), 999, 9999)
    found = other.result != made.result
    assert found.mean() > 0.98
    assert eq.valid(other, 999, 9999).all()
    assert (other.op == made.op).all()


def test_a_neighbour_moves_one_digit_of_one_number() -> None:
    made = some()
    other = eq.neighbours(made, np.random.default_rng(1), 999, 9999)
    plain = made.op != eq.DIV
    moved_a = (eq.digits(made.a, 4) != eq.digits(other.a, 4)).sum(axis=1)
    moved_b = (eq.digits(made.b, 4) != eq.digits(other.b, 4)).sum(axis=1)
    assert ((moved_a + moved_b)[plain] <= 1).all()
    moved_result = (eq.digits(made.result, 4) != eq.digits(other.result, 4)).sum(axis=1)
    assert ((moved_result + moved_b)[~plain] <= 1).all()


def test_an_equation_and_its_mirror_are_the_same_knowledge() -> None:
    e = Equations(np.array([2, 2, 0, 0, 1, 1]), np.array([3, 2, 7, 5, 9, 4]), np.array([2, 3, 5, 7, 4, 9]))
    assert e.key[0] == e.key[1]
    assert e.key[2] == e.key[3]
    assert e.key[4] != e.key[5]


def test_digits_come_ones_first() -> None:
    assert eq.digits(np.array([407, 5]), 4).tolist() == [[7, 0, 4, 0], [5, 0, 0, 0]]


@pytest.mark.parametrize(
    ("expression", "expected"), [("12*4", (2, 12, 4)), ("1,200 / 3", (3, 1200, 3)), ("2+3+4", None), (".5*4", None)]
)
def test_only_binary_whole_number_expressions_become_equations(expression: str, expected: object) -> None:
    assert eq.from_expression(expression) == expected
