"""A run that is over, gone through again: time comes from its events, and the clock from the test."""

from __future__ import annotations

import json
from datetime import UTC
from pathlib import Path

import pytest

from console.reading.replay import NoSuchMoment, ReplayClock, asked_moment, recorded, replay_of
from console.verbs.replaying import play
from console.workspace import Workspace
from engine.protocol.events import encode
from engine.protocol.layout import Root
from tests.console.conftest import Console
from tests.console.made_run import START, ended, made_run


class Time:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


def test_the_moment_moves_as_fast_as_asked_stands_when_held_and_ends_at_the_end() -> None:
    time = Time()
    clock = ReplayClock(100.0, 200.0, 10.0, time)
    time.at = 2.0
    assert clock.moment == 120.0
    clock.pause(True)
    time.at = 50.0
    assert clock.moment == 120.0
    clock.pause(False)
    clock.turn(1)
    assert clock.speed == 30.0
    time.at = 51.0
    assert clock.moment == 150.0
    assert clock.wait_for(180.0) == 1.0
    clock.turn(-100)
    assert clock.speed == 0.25
    time.at = 9999.0
    assert (clock.moment, clock.over) == (200.0, True)


def test_events_of_every_file_stand_in_the_order_of_their_time(root: Root) -> None:
    paths = made_run(root)
    with open(paths.supervisor_events, "ab") as file:
        file.write(encode({"kind": "ended", "time": START + 20}) + encode({"kind": "untimed"}))
    kinds = [event["kind"] for event in recorded(paths)]
    assert kinds[:2] == ["started", "environment"]
    assert kinds.index("untimed") == kinds.index("ended") + 1
    times = [event["time"] for event in recorded(paths)]
    assert times == sorted(times)


def test_a_replay_shows_what_had_been_written_by_then_and_no_more(root: Root) -> None:
    paths = made_run(root)
    ended(paths)
    time = Time()
    view = replay_of(paths, 2.0, time)
    assert view.pump()
    assert (view.status.state, len(view.series)) == ("running", 0)
    time.at = 5.0  # ten seconds of the run
    assert view.news()
    view.pump()
    assert view.series["train/loss"].count == 20
    assert view.progress.done == 20
    assert view.progress.rate == pytest.approx(2.0)
    assert view.status.state == "running"
    time.at = 100.0
    view.pump()
    assert view.series["train/loss"].count == 40
    assert view.status.state == "succeeded"
    assert not view.news()


def test_each_line_waits_for_its_time_and_no_longer(
    root: Root, tiny_space: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = made_run(root)
    ended(paths)
    time = Time()
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        time.at += seconds

    phase = tiny_space.phase("phase1-tiny")
    play(replay_of(paths, 4.0, time), [c for g in phase.gates for c in g.compiled("cpu")], False, sleep)
    assert sum(waited) == pytest.approx(5.0)
    said = capsys.readouterr().out
    assert "0.5 s  step 1  train/loss 1  val/loss 2" in said
    assert "10.0 s  ✓ passed  fact made/level >= 1: made/level is 5, needs >= 1" in said


@pytest.fixture
def tiny_space(root: Root, tmp_path: Path) -> Workspace:
    from console.project import Project
    from tests.console.tiny import make_project

    return Workspace(Project(make_project(tmp_path / "tiny")), root)


def test_the_verb_replays_for_people_and_programs(console: Console, project: Path) -> None:
    console("run", "phase1-tiny", "make")
    page = console("replay", "last", "--speed", "0").out
    assert "loss 0.4" in page
    assert "✓ succeeded" in page
    events = [json.loads(line) for line in console("replay", "last", "--speed", "0", "--json").out.splitlines()]
    assert [e["since"] for e in events] == sorted(e["since"] for e in events)
    assert {"started", "metric", "ended"} <= {e["kind"] for e in events}


def test_a_speed_below_nothing_is_refused(console: Console, project: Path) -> None:
    console("run", "phase1-tiny", "make")
    assert "times as fast" in console("replay", "last", "--speed", "-1").line


@pytest.mark.parametrize(
    ("words", "since"),
    [("step 20", 10.0), ("7", 3.5), ("+5s", 5.0), ("+0:08", 8.0), ("-4s", 16.0), ("2025-11-20 00:53:30", 10.0)],
)
def test_a_moment_is_a_step_a_time_or_a_span_from_either_end(words: str, since: float, root: Root) -> None:
    view = replay_of(made_run(root))
    assert asked_moment(words, view, UTC) - START == since


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("step 99", "its last step is 40"),
        ("soon", "is no moment"),
        ("2020-01-01 10:00", "is not within the run"),
        ("+9h", "not within"),
    ],
)
def test_what_is_no_moment_of_the_run_is_refused_with_what_there_is(words: str, problem: str, root: Root) -> None:
    with pytest.raises(NoSuchMoment, match=problem):
        asked_moment(words, replay_of(made_run(root)), UTC)


def test_a_replay_jumps_forward_and_back_and_goes_on_from_there(root: Root) -> None:
    paths = made_run(root)
    ended(paths)
    time = Time()
    view = replay_of(paths, 2.0, time).at(START + 10)
    view.pump()
    assert view.series["train/loss"].count == 20
    view = view.at(START + 5)
    view.pump()
    assert view.series["train/loss"].count == 10
    time.at += 1.0
    view.pump()
    assert view.series["train/loss"].count == 14


def test_the_verb_begins_at_a_moment(console: Console, project: Path) -> None:
    console("run", "phase1-tiny", "make")
    assert "no step 7" in console("replay", "last", "--speed", "0", "--at", "7").line
    whole = console("replay", "last", "--speed", "0", "--json").out.splitlines()
    rest = console("replay", "last", "--speed", "0", "--json", "--at=-0s").out.splitlines()
    assert 0 < len(rest) < len(whole)
    assert rest == whole[-len(rest) :]
