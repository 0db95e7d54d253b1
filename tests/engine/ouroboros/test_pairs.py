from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from engine.ouroboros import pairs, probes
from engine.ouroboros.equations import Equations, renumber
from engine.ouroboros.pairs import Items


def true_equations(count: int, seed: int) -> Equations:
    operators = np.array([0] * 7 + [1] * 6 + [2] * 4 + [3] * 4)  # as often as the generator's problems have them
    like = Equations(operators, np.full(len(operators), 2), np.full(len(operators), 1))
    return renumber(like, count, np.random.default_rng(seed), 999, 9999)


def quads(count: int, seed: int) -> Items:
    rng = np.random.default_rng(seed + 100)
    return pairs.counterbalanced(true_equations(count, seed), np.arange(count), rng, 999, 9999)


def test_an_item_is_wrong_exactly_when_its_claim_is() -> None:
    items = quads(1000, 0)
    assert ((items.equations.result != items.claimed) == items.wrong).all()


def test_every_premise_and_every_result_stands_as_often_in_each_class() -> None:
    items = quads(1000, 0)
    premises = list(zip(items.op.tolist(), items.a.tolist(), items.b.tolist(), strict=True))
    for values in (premises, items.claimed.tolist()):
        right = Counter(v for v, wrong in zip(values, items.wrong, strict=True) if not wrong)
        wrong = Counter(v for v, wrong in zip(values, items.wrong, strict=True) if wrong)
        assert right == wrong


def test_the_members_of_a_quad_are_neighbours_in_the_file_and_correct_ones_come_first() -> None:
    items = quads(500, 0)
    assert (items.group.reshape(-1, 4) == items.group.reshape(-1, 4)[:, :1]).all()
    assert (items.wrong.reshape(-1, 4) == [False, False, True, True]).all()


@pytest.fixture(scope="module")
def honest() -> dict[str, float]:
    return {f.name: f.accuracy for f in probes.run(quads(2500, 1), quads(1000, 2), rows=8000, seed=0)}


def test_no_probe_tells_counterbalanced_items_apart(honest: dict[str, float]) -> None:
    assert all(0.45 <= accuracy <= 0.55 for accuracy in honest.values()), honest


def test_one_sided_readers_are_blind_by_construction(honest: dict[str, float]) -> None:
    assert honest["result alone, logistic"] == 0.5
    assert honest["result alone, boosted"] == 0.5
    assert honest["premise alone, logistic"] == 0.5


def test_the_probes_catch_the_published_corruption() -> None:
    train = pairs.naive(true_equations(4000, 1), np.arange(4000), np.random.default_rng(3))
    held_out = pairs.naive(true_equations(2000, 2), np.arange(2000), np.random.default_rng(4))
    found = probes.run(train, held_out, rows=8000, seed=0)
    assert max(f.accuracy for f in found) > 0.55
