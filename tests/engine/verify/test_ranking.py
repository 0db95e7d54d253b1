"""Best of N against slow obvious counting."""

import itertools

import numpy as np
import pytest

from engine.verify.ranking import Problem, agreement, best_of_k, compare, critic_and_agreement, pass_at_k, top
from engine.verify.report import markdown


def problem(passed, logit, length=None, outputs=(), task="t"):
    n = len(passed)
    size = np.array(length if length is not None else [1.0] * n, dtype=float)
    return Problem(task, np.array(passed, dtype=bool), np.array(logit, dtype=float), size, None, tuple(outputs))


def test_a_tie_is_shared():
    assert top(np.array([1.0, 1.0, 0.0]), np.array([True, False, True])) == 0.5


def test_pass_at_k_is_the_share_of_subsets_with_a_pass():
    passed = [True, False, False, True, False]
    for k in range(1, 6):
        subsets = list(itertools.combinations(passed, k))
        assert pass_at_k(5, 2, k) == pytest.approx(sum(any(s) for s in subsets) / len(subsets))


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 6])
def test_the_curve_over_n_is_the_mean_over_all_subsets(k):
    score = np.array([3.0, 1.0, 2.0, 2.0, 0.0, 3.0])
    passed = np.array([False, True, True, False, False, True])
    subsets = [list(s) for s in itertools.combinations(range(6), k)]
    slow = np.mean([top(score[s], passed[s]) for s in subsets])
    assert best_of_k(score, passed, k) == pytest.approx(slow)


def test_agreement_counts_equal_outputs_and_errors_agree_with_nobody():
    found = agreement(problem([1, 1, 0, 0], [0] * 4, outputs=[("a",), ("a",), ("b",), ("!ValueError",)]))
    assert found.tolist() == [2.0, 2.0, 1.0, 0.0]


def test_critic_and_agreement_prefers_a_trusted_cluster_to_a_large_one():
    outputs = [("a",), ("a",), ("b",), ("b",)]
    score = critic_and_agreement(problem([1, 1, 0, 0], [-3, -3, 3, 3], outputs=outputs))
    assert score[0] > score[2]


def test_a_perfect_critic_reaches_the_oracle_and_its_gain_excludes_zero():
    rng = np.random.default_rng(0)
    problems = [problem(p := rng.random(8) < 0.5, -1.0 * p, task=str(n)) for n in range(60)]
    found = compare(problems, 1000, 0)
    assert found.choices["critic"].value == found.choices["oracle"].value
    assert found.gain.low > 0
    assert found.share_of_gap == pytest.approx(1.0)


def test_a_critic_that_knows_nothing_gains_nothing():
    problems = [problem([1, 0, 0, 1], [0, 0, 0, 0], task=str(n)) for n in range(10)]
    found = compare(problems, 500, 0)
    assert found.gain.value == 0
    assert found.choices["critic"].value == found.choices["random"].value == 0.5


def test_the_interval_is_paired_over_problems():
    """Hard and easy problems differ by far more than the critic's gain; a paired interval doesn't see that."""
    problems = [problem([n % 2] * 9 + [1], [0] * 9 + [-1], task=str(n)) for n in range(40)]
    found = compare(problems, 2000, 0)
    assert found.gain.value == pytest.approx(0.45)
    assert found.gain.high - found.gain.low < found.choices["random"].high - found.choices["random"].low + 1e-9


def test_no_pass_at_all_gives_no_share_and_no_error():
    problems = [problem([0, 0], [1, 2], task=str(n)) for n in range(3)]
    found = compare(problems, 200, 0)
    assert np.isnan(found.share_of_gap)
    assert "critic" in markdown(found, {"pool": "none"})
