"""Meters as people read them, on any width, from whatever a machine tells."""

from __future__ import annotations

from typing import Any

from console.meters.history import MeterHistory
from console.meters.lines import bars, meter_lines, meter_words
from engine.protocol.meters import parse_gpus
from tests.protocol.test_meters import LESS, TWO

HOST = {"kind": "meters", "time": 100.0, "cpu": 0.53, "cores": 8, "memory_used": 7 * 10**9, "memory_total": 64 * 10**9}


def fed(*events: dict[str, Any]) -> MeterHistory:
    history = MeterHistory()
    for event in events:
        history.feed(event)
    return history


def test_a_gpu_tells_load_memory_power_and_temperature() -> None:
    words = dict(meter_words(HOST | {"gpus": parse_gpus(TWO)}))
    assert words["gpu0"] == "97 %  32.0 of 43 GB  312/400 W  61 °C"
    assert words["gpu1"].startswith("0 %  0.0 of 43 GB")


def test_a_card_that_tells_little_shows_little() -> None:
    assert dict(meter_words({"gpus": parse_gpus(LESS)})) == {"gpu0": "0.5 of 9 GB  44 °C"}


def test_a_machine_without_gpu_shows_processor_and_memory_and_the_runs_share() -> None:
    words = dict(meter_words(HOST | {"run_cpu": 1.02, "run_memory": 812_000_000}))
    assert words == {"cpu": "53 % of 8  run 1.02 cores", "memory": "7.0 of 64 GB  run 812 MB"}


def test_samples_become_bars_where_there_is_room_and_none_where_not() -> None:
    history = fed(*({**HOST, "cpu": share} for share in (0.0, 0.5, 1.0)))
    assert " ▄█" in meter_lines(history, 60, 101.0, live=True).plain
    assert "█" not in meter_lines(history, 24, 101.0, live=True).plain


def test_old_samples_of_a_live_run_say_how_old_they_are() -> None:
    assert "told 2 min ago" in meter_lines(fed(HOST), 60, 221.0, live=True).plain
    assert "told" not in meter_lines(fed(HOST), 60, 221.0, live=False).plain


def test_before_the_first_sample_the_pane_says_so() -> None:
    assert meter_lines(fed(), 60, 0.0, live=True).plain == "no samples yet"


def test_bars_are_as_wide_as_asked_and_never_overflow() -> None:
    assert bars([-1, 2, 0.5], 5) == "   █▄"
    assert [len(bars([0.3] * n, 7)) for n in (0, 1, 3, 50)] == [7] * 4
    assert bars([0.5], 4) == "██··"
