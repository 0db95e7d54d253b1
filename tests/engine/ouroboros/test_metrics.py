from __future__ import annotations

import numpy as np
import pytest

from engine.ouroboros import metrics
from engine.ouroboros.metrics import Scored


def scored(count: int = 400, seed: int = 0, signal: float = 0.3) -> Scored:
    rng = np.random.default_rng(seed)
    wrong = np.tile([False, False, True, True], count // 4)
    energy = np.clip(rng.random(count) * 0.7 + signal * wrong, 0, 1).round(2)  # rounded: ties must count half
    return Scored(energy, wrong, np.repeat(np.arange(count // 4), 4), np.repeat(np.arange(count // 8), 8))


def test_auroc_agrees_with_comparing_every_pair() -> None:
    s = scored()
    gap = s.energy[s.wrong][:, None] - s.energy[~s.wrong][None]
    assert metrics.auroc(s.energy, s.wrong) == pytest.approx(((gap > 0) + 0.5 * (gap == 0)).mean(), abs=1e-12)


def test_pair_rank_compares_inside_a_group_only() -> None:
    s = Scored(
        np.array([0.1, 0.2, 0.9, 0.8]),
        np.array([False, True, False, True]),
        np.array([0, 0, 1, 1]),
        np.array([0, 0, 1, 1]),
    )
    assert metrics.measure(s, 0.5, 100, 0)["pair_rank"].value == 0.5


def test_accuracy_is_of_single_items_not_of_pairs() -> None:
    """Energies that all lie on one side rank perfectly and still call every correct item wrong."""
    wrong = np.array([False, True] * 50)
    s = Scored(np.where(wrong, 0.9, 0.8), wrong, np.repeat(np.arange(50), 2), np.repeat(np.arange(50), 2))
    found = metrics.measure(s, 0.5, 100, 0)
    assert found["pair_rank"].value == 1.0
    assert found["accuracy"].value == 0.5


def test_separation_is_the_difference_of_the_means() -> None:
    found = metrics.measure(scored(), 0.5, 200, 0)
    gap = found["energy_wrong"].value - found["energy_correct"].value
    assert found["separation"].value == pytest.approx(gap)


def test_every_interval_holds_its_value() -> None:
    for name, m in metrics.measure(scored(), 0.5, 500, 0).items():
        if name != "ece":  # resampling noise only ever adds to an absolute gap, so its interval lies a little above
            assert m.low <= m.value <= m.high, name


def test_problems_are_resampled_whole() -> None:
    """Eight copies of the same items tell no more than one: the interval must not shrink with them."""
    one = scored(64, seed=2)
    copies = Scored(*(np.tile(v, 8) for v in (one.energy, one.wrong)), np.arange(512) // 4, np.tile(one.problem, 8))
    alone = metrics.measure(one, 0.5, 2000, 0)["accuracy"]
    together = metrics.measure(copies, 0.5, 2000, 0)["accuracy"]
    assert together.high - together.low == pytest.approx(alone.high - alone.low, rel=0.15)


def test_calibrated_energies_have_no_calibration_error() -> None:
    energy = np.repeat([0.2, 0.8], 1000)
    wrong = np.concatenate([np.arange(1000) < 200, np.arange(1000) < 800])
    assert metrics.ece(energy, wrong) == pytest.approx(0, abs=1e-12)
    assert metrics.ece(1 - energy, wrong) == pytest.approx(0.6, abs=1e-12)


def test_nothing_to_measure_gives_no_metric() -> None:
    empty = np.zeros(0)
    assert metrics.measure(Scored(empty, empty.astype(bool), empty.astype(int), empty.astype(int)), 0.5, 100, 0) == {}
