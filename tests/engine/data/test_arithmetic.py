from __future__ import annotations

import json
from itertools import islice

import pytest

from engine.data import arithmetic, gsm8k


@pytest.fixture(scope="module")
def made() -> list[arithmetic.Problem]:
    return list(arithmetic.problems(seed=3, count=1500, template_count=120))


def read(problem: arithmetic.Problem) -> gsm8k.Problem:
    return gsm8k.parse_row(json.loads(arithmetic.to_json(problem)), "x")


def test_the_same_seed_gives_the_same_problems(made: list[arithmetic.Problem]) -> None:
    again = list(islice(arithmetic.problems(seed=3, count=1500, template_count=120), 200))
    assert again == made[:200]


def test_another_seed_gives_other_problems(made: list[arithmetic.Problem]) -> None:
    other = {p.question for p in arithmetic.problems(seed=4, count=200, template_count=120)}
    assert len(other & {p.question for p in made}) < 5


def test_no_question_comes_twice(made: list[arithmetic.Problem]) -> None:
    assert len({p.question for p in made}) == len(made) == 1500


def test_every_annotation_is_true_and_inside_the_limits(made: list[arithmetic.Problem]) -> None:
    for problem in made:
        parsed = read(problem)
        assert all(step.true for step in parsed.steps)
        assert parsed.ends_in_last_step
        for step in parsed.steps:
            numbers = [int(n) for n in gsm8k.tokens(step.expression)[::2]]
            assert max(numbers) <= 999
            assert 0 < step.claimed <= 9999


def test_operators_lengths_and_templates_vary(made: list[arithmetic.Problem]) -> None:
    parsed = [read(p) for p in made]
    assert {len(p.steps) for p in parsed} >= {1, 2, 3, 4, 5}
    used = "".join(gsm8k.operators(s.expression) for p in parsed for s in p.steps)
    assert all(used.count(op) > 0.1 * len(used) for op in "+-*/")
    assert len({p.template for p in made}) > 100


def test_a_twin_has_the_same_numbers_and_parts_at_its_step(made: list[arithmetic.Problem]) -> None:
    by_id = {p.id: p for p in made}
    twins = [(by_id[p.twin_of], p) for p in made if p.twin_of in by_id]
    assert len(twins) > 200
    for problem, twin in twins:
        own, other = read(problem), read(twin)
        assert problem.template == twin.template
        assert twin.twin_step is not None
        at = twin.twin_step
        assert [s.expression for s in own.steps[:at]] == [s.expression for s in other.steps[:at]]
        left, right = (gsm8k.tokens(p.steps[at].expression) for p in (own, other))
        assert {left[1], right[1]} in ({"+", "-"}, {"*", "/"})
        assert (left[0], left[2]) == (right[0], right[2])


def test_the_command_prints_rows_in_gsm8ks_format(capsys: pytest.CaptureFixture[str]) -> None:
    assert arithmetic.main(["3", "--seed", "1"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == 3
    assert all("<<" in r["answer"] and "\n#### " in r["answer"] and r["generator"] for r in rows)
