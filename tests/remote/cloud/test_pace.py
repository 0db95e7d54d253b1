from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from remote.cloud.pace import Pace
from tests.remote.conftest import Clock


def test_two_consoles_together_stay_at_one_request_a_second(tmp_path: Path, clock: Clock) -> None:
    moments: list[float] = []
    consoles = [Pace(tmp_path / "pace", clock.now, clock.sleep) for _ in range(2)]
    for turn in range(10):
        consoles[turn % 2].wait()
        moments.append(clock.at)
    gaps = [b - a for a, b in pairwise(moments)]
    assert min(gaps) >= 1.0


def test_callers_that_book_at_the_same_instant_get_different_moments(tmp_path: Path) -> None:
    delays = [Pace(tmp_path / "pace", lambda: 1000.0, lambda s: None).wait() for _ in range(4)]
    assert delays == [0.0, 1.0, 2.0, 3.0]


def test_launches_keep_twelve_seconds_between_them(tmp_path: Path, clock: Clock) -> None:
    pace = Pace(tmp_path / "pace", clock.now, clock.sleep)
    pace.wait(launch=True)
    first = clock.at
    pace.wait(launch=True)
    assert clock.at - first >= 12.0


def test_a_waiting_launch_does_not_keep_others_from_terminating_for_twelve_seconds_more(tmp_path: Path) -> None:
    pace = Pace(tmp_path / "pace", lambda: 1000.0, lambda s: None)
    pace.wait(launch=True)
    assert pace.wait() == 1.0


def test_a_damaged_file_starts_afresh(tmp_path: Path) -> None:
    (tmp_path / "pace").write_bytes(b'{"request": 17')
    assert Pace(tmp_path / "pace", lambda: 1000.0, lambda s: None).wait() == 0.0


def test_a_booking_from_a_clock_far_ahead_is_ignored(tmp_path: Path) -> None:
    Pace(tmp_path / "pace", lambda: 9e9, lambda s: None).wait()
    assert Pace(tmp_path / "pace", lambda: 1000.0, lambda s: None).wait() == 0.0


def test_too_many_requests_holds_off_everybody(tmp_path: Path) -> None:
    Pace(tmp_path / "pace", lambda: 1000.0, lambda s: None).hold_off(30)
    assert Pace(tmp_path / "pace", lambda: 1000.0, lambda s: None).wait() == 30.0
