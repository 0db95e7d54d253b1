from __future__ import annotations

import numpy as np

from engine.ouroboros import boosting


def test_it_learns_an_interaction_that_no_single_feature_shows() -> None:
    rng = np.random.default_rng(0)
    x = rng.random((2000, 3))
    y = ((x[:, 0] > 0.5) ^ (x[:, 1] > 0.5)).astype(float)
    model = boosting.fit(x[:1000], y[:1000], seed=0)
    assert ((model.logits(x[1000:]) > 0) == y[1000:]).mean() > 0.9


def test_it_learns_an_interaction_also_where_every_feature_alone_is_balanced_exactly() -> None:
    """Counterbalanced items are of this kind: a reader that split only on gain would be blind by construction."""
    x = np.array([(a, b, c) for a in (0, 1) for b in (0, 1) for c in range(10)] * 40, dtype=float)
    y = (x[:, 0] != x[:, 1]).astype(float)
    model = boosting.fit(x, y, seed=0)
    assert ((model.logits(x) > 0) == y).mean() > 0.95


def test_it_finds_nothing_in_noise() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((4000, 5)), (rng.random(4000) > 0.5).astype(float)
    model = boosting.fit(x[:2000], y[:2000], seed=0)
    assert 0.45 < ((model.logits(x[2000:]) > 0) == y[2000:]).mean() < 0.55
