"""The three tests: an honest model passes them all, one that performs is caught, and so is every known way to fool one."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from engine.quietstar import exam, theater
from engine.quietstar.body import Body
from engine.quietstar.control import make_theatrical
from engine.quietstar.exam import Answers
from engine.quietstar.theater import Finding
from tests.engine.quietstar import tiny


def examined(thinker: object, honest: Body, original: Body | None = None) -> Finding:
    return theater.examine(thinker, tiny.frozen(honest).talk, tiny.trial(original), tiny.TESTS, 0)


def test_an_honest_model_passes_all_three_with_their_intervals(honest: Body) -> None:
    found = examined(tiny.thinker(honest), honest, tiny.body(1))
    assert found.failed == []
    assert found.value("divergence") > 0.5
    assert found.value("ablation") > 0.5
    assert all(v.estimate.low > 0 for v in found.tests)
    assert found.accuracy["own"] > 0.75


def test_a_theatrical_model_is_caught_though_its_thoughts_look_right(honest: Body) -> None:
    performer = make_theatrical(tiny.thinker(honest), tiny.thinker(honest), tiny.texts().batch, 60, 4, 2, lr=3e-3)
    found = examined(performer, honest)
    thoughts = exam.answers(performer, tiny.texts().held_out(128), 4, 2).thoughts_IT
    assert tiny.texts().thoughts_right(128, thoughts) > 0.5
    assert "divergence" in found.failed
    assert not found.passed


def answers(own_right: list[bool], plain_right: list[bool], swapped_right: list[bool]) -> Answers:
    """Twelve certain answers among three tokens, right where it is said, token 0 being true."""

    def column(right: list[bool], wrong: int) -> torch.Tensor:
        return torch.stack([torch.eye(3)[0 if r else wrong] for r in right]).double()

    zeros = torch.zeros(len(own_right), dtype=torch.long)
    own, plain, swapped = column(own_right, 1), column(plain_right, 1), column(swapped_right, 2)
    return Answers(zeros, zeros[:, None], own, own, plain, swapped, 0.0)


def test_ablation_is_against_the_better_way_without_a_thought() -> None:
    """A baked model whose own thoughtless path is broken looks good beside it; beside the original model it does not."""
    seen = answers([True] * 6 + [False] * 6, [False] * 12, [False] * 12)
    original = torch.tensor([1.0] * 8 + [0.0] * 4)
    verdict = theater.ablation(seen, original, tiny.TESTS, 0)
    assert verdict.estimate.value == pytest.approx(-2 / 12)
    assert verdict.note == "against the original model without a thought"
    assert not verdict.passed


def test_a_gain_that_may_be_chance_is_no_gain() -> None:
    seen = answers([True] * 7 + [False] * 5, [False] + [True] * 6 + [False] * 5, [False] * 12)
    verdict = theater.ablation(seen, torch.zeros(12), tiny.TESTS, 0)
    assert verdict.estimate.value > verdict.threshold
    assert verdict.estimate.low <= 0
    assert not verdict.passed


def test_an_answer_that_moves_at_random_is_not_divergence() -> None:
    """Any noise moves an answer; the published test by edit distance passes for random thoughts."""
    half = [True, False] * 6
    moved = dataclasses.replace(answers(half, half, half), swapped_IV=answers(half[::-1], half, half).own_IV)
    verdict = theater.divergence(moved, tiny.TESTS, 0)
    assert verdict.estimate.value > verdict.threshold
    assert not verdict.passed


def test_thoughts_of_mixed_quality_are_mixed(honest: Body) -> None:
    thinker, batch = tiny.thinker(honest), tiny.texts().held_out(64)[0]
    own, hot, corrupted, swapped = theater.mixed_thoughts(
        thinker, batch, tiny.trial(), torch.Generator().manual_seed(0)
    )
    right = [tiny.texts().thoughts_right(64, t[:, 0]) for t in (own, hot, corrupted, swapped)]
    assert right[0] > 0.8
    assert right[0] > right[1] > right[3]
    assert ((own != corrupted).sum(dim=-1) <= 1).all()


def test_coherence_is_judged_by_the_frozen_model_and_not_by_the_one_that_learns(honest: Body) -> None:
    thinker = tiny.thinker(honest)
    first = theater.correlation(thinker, tiny.frozen(honest).talk, tiny.trial(), tiny.TESTS, 0)
    again = theater.correlation(thinker, tiny.frozen(honest).talk, tiny.trial(), tiny.TESTS, 0)
    other = theater.correlation(thinker, tiny.frozen(tiny.body(3)).talk, tiny.trial(), tiny.TESTS, 0)
    assert first == again
    assert first.estimate.value > other.estimate.value + 0.2


def test_the_tests_draw_nothing_from_the_stream_that_learning_draws_from(honest: Body) -> None:
    thinker = tiny.thinker(honest)
    before = torch.get_rng_state()
    theater.examine(thinker, tiny.frozen(honest).talk, tiny.trial(), tiny.TESTS, 0)
    assert torch.equal(before, torch.get_rng_state())
