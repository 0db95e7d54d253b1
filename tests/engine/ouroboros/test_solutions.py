from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.ouroboros import best_of_n, correct, locate
from engine.ouroboros.best_of_n import Candidate, choose, read_solution
from engine.ouroboros.correct import Policy
from engine.ouroboros.judge import Judge
from engine.ouroboros.metrics import Estimate
from engine.ouroboros.pairs import Items
from engine.ouroboros.solutions import KINDS, Limits, Solution, Step, carry, corrupt, corrupted, held_out, parse

LIMITS = Limits(999, 9999)
ROW: dict[str, object] = {
    "question": "Ann has 20 pens, buys 4 boxes of 6, and gives away 8. How many pens?",
    "steps": [["", "4*6", "24"], ["", "20+24", "44"], ["", "44-8", "36"]],
    "final": "36",
}


class Calculator:
    """A scorer that knows arithmetic exactly: what correction reaches with it is the procedure's, not the model's."""

    def energies(self, items: Items, at_once: int = 0) -> np.ndarray:
        return (items.equations.result != items.claimed).astype(float)

    def readings(self, items: Items, beam: int) -> list[list[int]]:
        return [[int(r), int(r) + 1] for r in items.equations.result]


JUDGE = Judge(Calculator())  # type: ignore[arg-type]
POLICY = Policy(threshold=0.5, drop=0.2, beam=2)


@pytest.fixture
def solution() -> Solution:
    found = parse(ROW, 0, LIMITS)
    assert found is not None
    return found


def test_a_step_knows_which_earlier_result_it_builds_on(solution: Solution) -> None:
    assert [(s.a_from, s.b_from) for s in solution.steps] == [(None, None), (None, 0), (1, None)]


def test_what_cannot_be_judged_is_no_solution() -> None:
    assert parse(ROW | {"steps": [["", "4*6+2", "26"]], "final": "26"}, 0, LIMITS) is None
    assert parse(ROW | {"final": "35"}, 0, LIMITS) is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_corruption_has_one_error_of_its_kind_at_its_place(solution: Solution, kind: str) -> None:
    seen = set()
    for seed in range(30):
        wrong = corrupt(solution, kind, np.random.default_rng(seed), LIMITS)
        if wrong is None:
            continue
        at = wrong.first_error
        assert at is not None
        seen.add(at)
        assert wrong.steps[:at] == solution.steps[:at]
        untrue = [i for i, s in enumerate(wrong.steps) if s.true != s.claimed]
        assert untrue == ([at] if KINDS[kind] == "T1" else [])
        assert wrong.final != solution.final or (kind == "slip" and at < 2)
    assert seen


def test_a_carried_slip_is_carried(solution: Solution) -> None:
    slipped = (Step(2, 4, 6, 25), *solution.steps[1:])
    carried = carry(slipped, 1, LIMITS)
    assert carried is not None
    assert [str(s) for s in carried] == ["4*6=25", "20+25=45", "45-8=37"]


@pytest.mark.parametrize("kind", ["answer", "slip", "carried slip"])
def test_correction_mends_arithmetic_and_what_was_built_on_it(solution: Solution, kind: str) -> None:
    given = [w for s in range(20) if (w := corrupt(solution, kind, np.random.default_rng(s), LIMITS))]
    for found in correct.correct(JUDGE, given, POLICY, LIMITS):
        assert found.solution.final == 36
        assert [str(s) for s in found.solution.steps] == ["4*6=24", "20+24=44", "44-8=36"]
        assert found.changed


def test_correction_leaves_a_correct_solution_alone(solution: Solution) -> None:
    (found,) = correct.correct(JUDGE, [solution], POLICY, LIMITS)
    assert found.solution == solution
    assert not found.changed
    assert found.judged == 3


def test_correction_abstains_where_no_proposal_is_better(solution: Solution) -> None:
    class Doubter(Calculator):
        def energies(self, items: Items, at_once: int = 0) -> np.ndarray:
            return np.full(len(items), 0.9)

    (found,) = correct.correct(Judge(Doubter()), [solution], POLICY, LIMITS)  # type: ignore[arg-type]
    assert found.solution == solution
    assert not found.changed


def test_location_is_exact_for_a_judge_that_is(solution: Solution) -> None:
    given = [w for s in range(20) if (w := corrupt(solution, "carried slip", np.random.default_rng(s), LIMITS))]
    clean, wrong = (locate.judge_all(JUDGE, s, 0.5) for s in ([solution], given))
    found = locate.metrics(clean, wrong, 0.5, 100, 0)
    assert found["first_error"].value == 1.0
    assert found["f1"].value == 1.0


def test_f1_is_zero_for_a_judge_that_never_objects() -> None:
    assert locate.f1(np.ones(10), np.zeros(10), 100, 0).value == 0.0


def test_held_out_reads_one_split_and_only_what_can_be_judged(tmp_path: Path) -> None:
    import json

    rows = [ROW | {"split": "test"}, ROW | {"split": "train"}, ROW | {"split": "test", "final": "1"}]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    assert [s.problem for s in held_out(tmp_path / "p.jsonl", "test", None, LIMITS)] == [0]


def test_every_kind_of_corruption_is_made(solution: Solution) -> None:
    assert set(corrupted([solution] * 30, 0, LIMITS)) == set(KINDS)


def test_ways_of_choosing_on_one_pool() -> None:
    pool = [
        Candidate("5", 0.9, False),
        Candidate("5", 0.8, False),
        Candidate("7", 0.1, True),
        Candidate("9", 0.2, False),
    ]
    assert choose(pool) == {"random": 0.25, "majority": 0.0, "energy": 1.0, "vote": 1.0, "checked": 0.5, "oracle": 1.0}


def test_gains_are_paired_within_problems() -> None:
    pools = [
        [Candidate("1", 0.1, True), Candidate("2", 0.9, False)],
        [Candidate("1", 0.9, True), Candidate("2", 0.1, False)],
    ]
    found = best_of_n.summarize(pools * 20, 200)
    assert found["energy"] == found["random"] or found["energy"].value == 0.5
    assert isinstance(found["energy_over_random"], Estimate)
    assert found["energy_over_random"].value == 0.0


def test_equations_are_read_from_free_text_and_from_annotations() -> None:
    text = "First 4 x 6 = 24 pens, then 20 + 24 = <<20+24=44>>44. 1.5 * 2 = 3.0. In the end 44 - 8 = 36.\n#### 36"
    found = read_solution(text, "q", LIMITS)
    assert found is not None
    assert [str(s) for s in found.steps] == ["4*6=24", "20+24=44", "44-8=36"]
    assert found.final == 36
    assert read_solution("no idea", "q", LIMITS) is None


def test_generations_are_judged_on_one_pool_each() -> None:
    good, bad = "4*6=24, 20+24=44, 44-8=36 #### 36", "4*6=25, 20+25=45, 45-8=37 #### 37"
    rows: list[dict[str, object]] = [
        {"id": i, "question": "q", "solution": s, "answer": "36"}
        for i in range(5)
        for s in (good, bad, bad, "none at all")
    ]
    found = best_of_n.on_generations(JUDGE, rows, LIMITS, 100)
    assert found["random"].value == 0.25
    assert found["majority"].value == 0.0
    assert found["energy"].value == 1.0
