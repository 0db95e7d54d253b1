"""The state-tracking task: what is true in it, and what a wrong thought is."""

from __future__ import annotations

import numpy as np

from engine.quietstar import task
from engine.quietstar.task import Problems, World

WORLD = World(5)


def some(count: int = 400, split: task.Split = "train") -> Problems:
    return WORLD.problems(np.random.default_rng(1), count, split)


def test_the_answer_is_the_last_of_four_permutations_in_order() -> None:
    for row in range(20):
        problem = some()[[row]]
        state = int(problem.start_B[0])
        for function in problem.functions_BA[0]:
            state = int(WORLD.right_FV[function][state])
        assert task.text(WORLD.answer_ids(problem)[0]) == f"{state} <eos>"


def test_no_two_permutations_commute() -> None:
    tables = WORLD.right_FV
    assert not any((tables[a][tables[b]] == tables[b][tables[a]]).all() for a in range(6) for b in range(a))


def test_no_problem_of_a_split_stands_in_another() -> None:
    codes = [set(some(5000, split).code_B.tolist()) for split in ("train", "val", "test")]
    assert not codes[0] & codes[1]
    assert not codes[0] & codes[2]
    assert not codes[1] & codes[2]


def test_a_right_thought_is_told_from_a_wrong_one() -> None:
    problems = some()
    assert WORLD.thought_is_right(problems, WORLD.thought_ids(problems)[:, 1:-1]).all()
    assert not WORLD.thought_is_right(problems, WORLD.thought_ids(problems, False)[:, 1:-1]).any()


def test_a_thought_that_is_too_short_is_never_right() -> None:
    problems = some(3)
    assert not WORLD.thought_is_right(problems, WORLD.thought_ids(problems)[:, 2:-1]).any()


def test_a_world_follows_from_its_seed() -> None:
    again = World(5)
    assert (again.right_FV == WORLD.right_FV).all()
    assert (again.problems(np.random.default_rng(1), 400, "val").code_B == some(400, "val").code_B).all()
    assert (World(6).right_FV != WORLD.right_FV).any()


def test_a_question_reads_as_it_is_documented() -> None:
    problem = Problems(np.array([0]), np.array([3]), np.array([[1, 0, 0, 5]]))
    assert task.text(problem.question_ids()[0]) == "chain_of_thought 3 b a a f ="
    assert task.text(WORLD.thought_ids(problem)[0]).startswith("<think> <step> ")
    assert problem.question_ids().shape[1] == task.QUESTION_LENGTH
