from __future__ import annotations

from fractions import Fraction

import pytest

from engine.data.gsm8k import Problem
from engine.ouroboros import split
from engine.ouroboros.errors import SplitError


def problem(index: int, template: str | None = None, question: str | None = None) -> Problem:
    return Problem(f"p{index}", question or f"question {index}", (), Fraction(1), template or f"t{index % 50}")


def test_no_template_stands_in_two_splits_and_the_shares_hold() -> None:
    problems = [problem(i) for i in range(500)]
    splits = split.assign(problems, 0.1, 0.2, seed=0)
    split.verify(problems, splits)
    assert [splits.count(name) for name in ("train", "val", "test")] == [350, 50, 100]


def test_another_seed_holds_out_other_templates() -> None:
    problems = [problem(i) for i in range(500)]
    assert split.assign(problems, 0.1, 0.2, seed=0) != split.assign(problems, 0.1, 0.2, seed=1)


def test_a_question_in_two_splits_is_refused_by_name() -> None:
    problems = [problem(0, "a", "How many?"), problem(1, "b", "How  many?"), problem(2, "c")]
    with pytest.raises(SplitError, match=r"question 'How many\?' stands in train and in val"):
        split.verify(problems, ["train", "val", "test"])


def test_a_template_in_two_splits_is_refused_unless_exempt() -> None:
    problems = [problem(0, "a"), problem(1, "a"), problem(2, "c")]
    with pytest.raises(SplitError, match="template 'a'"):
        split.verify(problems, ["train", "test", "val"])
    split.verify(problems, ["train", "test", "val"], templates_too=False)


def test_an_empty_split_is_refused() -> None:
    with pytest.raises(SplitError, match="'test' is empty"):
        split.verify([problem(0), problem(1)], ["train", "val"])
