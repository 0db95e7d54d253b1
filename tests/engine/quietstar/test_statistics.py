"""Means, paired intervals and correlation within problems."""

from __future__ import annotations

import numpy as np
import pytest

from engine.quietstar import statistics


def test_a_paired_difference_is_certain_where_its_parts_vary_widely() -> None:
    rng = np.random.default_rng(0)
    hard = rng.normal(size=400) * 10
    paired = statistics.mean(hard + 0.5 + rng.normal(size=400) * 0.1 - hard, 1000, 0)
    assert paired.low > 0.45
    assert paired.high < 0.55
    assert statistics.mean(hard + 0.5, 1000, 0).low < 0


def test_an_interval_holds_the_mean_in_about_19_of_20_cases() -> None:
    held = 0
    for seed in range(200):
        values = np.random.default_rng(seed).exponential(size=200)
        estimate = statistics.mean(values, 300, seed)
        held += estimate.low <= 1 <= estimate.high
    assert 178 <= held <= 198


def test_correlation_within_problems_is_blind_to_how_hard_a_problem_is() -> None:
    rng = np.random.default_rng(1)
    difficulty = rng.normal(size=(300, 1)) * 10
    x, noise = rng.normal(size=(2, 300, 4))
    assert np.corrcoef((x + difficulty).ravel(), (noise + difficulty).ravel())[0, 1] > 0.9
    assert abs(statistics.within(x + difficulty, noise + difficulty, 200, 0).value) < 0.1
    assert statistics.within(x + difficulty, x - difficulty, 200, 0).value == pytest.approx(1)


def test_what_does_not_vary_within_problems_correlates_with_nothing() -> None:
    flat = np.repeat(np.arange(10.0)[:, None], 4, axis=1)
    assert statistics.within(flat, np.random.default_rng(0).normal(size=(10, 4)), 100, 0).value == 0


def test_ranks_lie_between_0_and_1_and_equals_share() -> None:
    assert statistics.ranks(np.array([[3.0, 1.0, 2.0], [5.0, 5.0, 1.0]])).tolist() == [[1, 0, 0.5], [0.75, 0.75, 0]]
