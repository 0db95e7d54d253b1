"""The graph beside the steps: every edge is there, nothing else is, whatever the shape."""

from __future__ import annotations

import itertools
import random

import pytest

from console.paint.stepgraph import drawn, edges
from engine.config.load import check
from engine.config.phase import Phase
from engine.config.phase_file import spelled_out


def picture(needs: dict[str, list[str]]) -> list[str]:
    return [piece.rstrip() for piece, _ in drawn(needs).values()]


def test_a_chain_is_one_line() -> None:
    assert picture({"a": [], "b": ["a"], "c": ["b"]}) == ["●", "●", "●"]


def test_a_second_follower_hangs_on_a_lane_beside() -> None:
    assert picture({"a": [], "b": ["a"], "c": ["b"], "d": ["a"]}) == ["●─╮", "● │", "● │", "  ●"]


def test_two_lines_come_together() -> None:
    assert picture({"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}) == ["●─╮", "● │", "│ ●", "●─╯"]


def test_three_followers_share_one_lane() -> None:
    assert picture({"a": [], "b": ["a"], "c": ["a"], "d": ["a"]}) == ["●─╮", "● │", "●─┤", "  ●"]


def test_steps_without_needs_stand_alone() -> None:
    assert picture({"a": [], "b": []}) == ["●", "●"]


def test_nothing_is_drawn_for_no_steps() -> None:
    assert drawn({}) == {}


def test_the_line_under_a_step_goes_on_where_lanes_do() -> None:
    pieces = drawn({"a": [], "b": ["a"], "c": ["a"]})
    assert [under for _, under in pieces.values()] == ["│ │", "  │", "   "]


@pytest.mark.parametrize("seed", range(40))
def test_lines_never_break_between_rows(seed: int) -> None:
    dice = random.Random(seed)
    names = [f"s{at}" for at in range(dice.randrange(1, 10))]
    needs = {n: dice.sample(names[:at], dice.randrange(0, min(at, 3) + 1)) for at, n in enumerate(names)}
    rows = [piece for piece, _ in drawn(needs).values()]
    assert len({len(row) for row in rows}) == 1
    down, up = set("●│╮╭├┤┬┼"), set("●│╯╰├┤┴┼")
    for above, below in itertools.pairwise(rows):
        for over, under in zip(above, below, strict=True):
            assert not (over in "│╮╭├┤┬┼" and under not in up), rows
            assert not (under in "│╯╰├┤┴┼" and over not in down), rows
    for row in rows:
        assert row.count("●") == 1


PHASE = {
    "phase": "p1",
    "title": "t",
    "goal": "g",
    "steps": [
        {"step": "prepare", "run": "x", "outputs": ["train.npz", "test.npz"]},
        {"step": "train", "run": "x", "inputs": ["train.npz"], "outputs": ["best.pt"]},
        {"step": "look", "run": "x", "needs": ["train"], "optional": True},
        {"step": "evaluate", "run": "x", "inputs": ["test.npz", "best.pt"]},
    ],
}


def test_files_make_edges_and_what_follows_from_others_is_left_out() -> None:
    phase = check(Phase, spelled_out(PHASE), "p1.yaml")
    assert edges(phase, list(phase.steps)) == {
        "prepare": [],
        "train": ["prepare"],
        "look": ["train"],
        "evaluate": ["train"],
    }
