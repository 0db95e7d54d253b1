from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from engine.data import arithmetic, gsm8k
from engine.ouroboros import choices, probes, tokenizers
from engine.ouroboros.choices import OPERAND, OPERATOR, Made
from engine.ouroboros.dataset import StoredChoices
from engine.ouroboros.equations import OPERATORS
from engine.ouroboros.texts import encode

SHARED = Path(__file__).parents[4] / "shared" / "data"


def problems(seed: int, count: int) -> list[gsm8k.Problem]:
    rows = (json.loads(arithmetic.to_json(p)) for p in arithmetic.problems(seed, count, 200))
    return list(gsm8k.parse_rows(rows, "g").problems)


def make(found: list[gsm8k.Problem], seed: int = 0) -> Made:
    return choices.make(found, ["test"] * len(found), "test", 999, 9999, seed)


@pytest.fixture(scope="module")
def made() -> Made:
    return make(problems(1, 1500))


def test_every_question_and_every_step_stands_once_in_each_class(made: Made) -> None:
    c = made.choices
    for side in (c.text, c.op * 10**8 + c.a * 10**4 + c.b):
        by_class = [
            Counter(zip(c.group[c.wrong == w].tolist(), side[c.wrong == w].tolist(), strict=True)) for w in (0, 1)
        ]
        assert by_class[0] == by_class[1]


def test_the_arithmetic_of_every_choice_is_possible(made: Made) -> None:
    assert (made.choices.equations.result > 0).all()
    assert (made.choices.equations.result <= 9999).all()


def test_an_operator_quad_has_the_same_numbers_and_another_operator(made: Made) -> None:
    c = made.choices[made.choices.task == OPERATOR]
    by_group = c.group.reshape(-1, 4)
    assert (by_group == by_group[:, :1]).all()
    assert (c.a.reshape(-1, 4).std(axis=1) == 0).all()
    assert (c.b.reshape(-1, 4).std(axis=1) == 0).all()
    assert (c.op.reshape(-1, 4)[:, 0] != c.op.reshape(-1, 4)[:, 1]).all()


def test_an_operand_quad_exchanges_two_numbers_of_the_question(made: Made) -> None:
    c = made.choices[made.choices.task == OPERAND]
    for row in range(0, len(c), 4):
        left, right = (made.texts[c.text[row + side]].split("\n")[0] for side in (0, 1))
        words = [(x, y) for x, y in zip(left.split(), right.split(), strict=True) if x != y]
        assert len(words) == 2, (left, right)
        assert words[0] == words[1][::-1]
        assert {str(c.b[row]), str(c.b[row + 1])} == {words[0][0].strip(".,"), words[0][1].strip(".,")}


def test_an_exchanged_problem_is_solved_by_its_own_step() -> None:
    """Against plain arithmetic on one story that can be checked by eye."""
    row: dict[str, object] = {
        "question": "Ann has 20 pens. She loses 4. Then she loses 3 more. How many are left?",
        "answer": "<<20-4=16>>16\n<<16-3=13>>13\n#### 13",
    }
    shown = set()
    for seed in range(10):
        found = make([gsm8k.parse_row(row, "x")], seed)
        for t, a, o, b, w in vars_of(found):
            shown.add((found.texts[t], f"{a}{OPERATORS[o]}{b}", w))
    exchanged = "Ann has 20 pens. She loses 3. Then she loses 4 more. How many are left?"
    told = str(row["question"])
    # No other exchange leaves whole positive results and the same first number.
    assert shown == {(told, "20-4", False), (exchanged, "20-3", False), (told, "20-3", True), (exchanged, "20-4", True)}


def vars_of(found: Made) -> list[tuple[int, int, int, int, bool]]:
    c = found.choices
    return [
        (int(t), int(a), int(o), int(b), bool(w)) for t, a, o, b, w in zip(c.text, c.a, c.op, c.b, c.wrong, strict=True)
    ]


def test_every_step_is_taken_once_for_each_task_and_sees_only_what_came_before() -> None:
    row: dict[str, object] = {"question": "q", "answer": "<<20-4=16>>16\n<<1.5*2=3>>3\n<<16-3=13>>13\n#### 13"}
    found = choices.every_step([gsm8k.parse_row(row, "x")], ["train"], "train", 999, 9999)
    assert found.texts == ["q", "q\n20-4=16\n1.5*2=3"]
    assert found.choices.task.tolist() == [OPERATOR, OPERAND] * 2
    assert found.choices.text.tolist() == [0, 0, 1, 1]
    assert not found.choices.wrong.any()


def test_no_blocking_probe_tells_choices_apart_and_the_order_of_mention_is_reported() -> None:
    train, held_out = make(problems(1, 1500)), make(problems(2, 700))
    bpe = tokenizers.train_bpe(train.texts, 500)
    stored = [StoredChoices(m.choices, encode(m.texts, bpe, 300)) for m in (train, held_out)]
    found = {f.name: f for f in probes.run_choices(stored[0], stored[1], rows=1200, seed=0)}
    assert len(found) == 8
    assert all(0.45 <= f.accuracy <= 0.55 for f in found.values() if f.blocking), found
    # Stories that are told in order can be read in order: this is said beside every result on them.
    assert found["operand: order of mention, boosted"].accuracy > 0.8
    assert not found["operand: order of mention, boosted"].blocking


@pytest.mark.skipif(not SHARED.is_dir(), reason="no real GSM8K beside the repository (../shared/data)")
def test_the_real_test_split_gives_operand_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRACTAL_DATA", str(SHARED))
    real = gsm8k.load("test")
    assert real is not None
    found = make(list(real.problems))
    assert len(found.choices) > 1000
    assert set(np.unique(found.choices.task)) == {OPERAND}
