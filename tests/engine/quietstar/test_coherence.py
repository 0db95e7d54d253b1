"""Coherence of thoughts, judged by a frozen model."""

from __future__ import annotations

import pytest
import torch

from engine.quietstar import exam
from engine.quietstar.body import Body
from engine.quietstar.coherence import coherence
from tests.engine.quietstar import tiny


def test_the_own_thought_is_more_coherent_than_another_texts_in_every_part(honest: Body) -> None:
    batch = tiny.texts().held_out(64)[0]
    thoughts = tiny.thinker(honest).think(batch.ids_BL, batch.at_BJ, 4, temperature=0.0)
    baked = tiny.frozen(honest).talk
    own, other = (coherence(baked, batch.ids_BL, batch.at_BJ, t, 2).means() for t in (thoughts, exam.swapped(thoughts)))
    assert all(own[name] > other[name] + 0.1 for name in ("semantic", "syntactic", "predictive", "composite"))


def test_the_composite_is_40_30_30_and_all_lies_between_0_and_1() -> None:
    batch = tiny.texts().held_out(32)[0]
    made = tiny.body(width=32)
    thoughts = torch.randint(34, (32, 1, 4), generator=torch.Generator().manual_seed(0))
    found = coherence(tiny.frozen(made).talk, batch.ids_BL, batch.at_BJ, thoughts, 2)
    means = found.means()
    expected = 0.4 * means["semantic"] + 0.3 * means["syntactic"] + 0.3 * means["predictive"]
    assert means["composite"] == pytest.approx(expected, rel=1e-5)
    for part in (found.semantic, found.syntactic, found.predictive):
        assert 0 <= float(part.min()) <= float(part.max()) <= 1


def test_what_is_known_already_need_not_be_read_again() -> None:
    batch = tiny.texts().held_out(8)[0]
    baked = tiny.frozen(tiny.body(width=32)).talk
    given = (batch.ids_BL, batch.at_BJ, torch.zeros(8, 1, 4, dtype=torch.long), 2)
    assert coherence(baked, *given).means() == coherence(baked, *given, here=baked(*given)).means()
