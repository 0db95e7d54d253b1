from __future__ import annotations

import math

import pytest

from remote.cloud.caps import BadCap, billed_minutes, caps_for, usd_for


def test_without_a_word_a_machine_lives_four_hours_and_the_dollars_they_cost() -> None:
    caps = caps_for(129)
    assert (caps.max_hours, caps.max_usd) == (4.0, pytest.approx(5.16))


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
def test_a_cap_that_is_no_limit_is_refused(value: float) -> None:
    with pytest.raises(BadCap, match="--max-hours"):
        caps_for(129, max_hours=value)
    with pytest.raises(BadCap, match="--max-usd"):
        caps_for(129, max_usd=value)


def test_more_than_a_month_is_a_typing_error() -> None:
    with pytest.raises(BadCap, match="more than a month"):
        caps_for(129, max_hours=4000)


def test_dollars_that_pay_for_no_minute_are_refused() -> None:
    with pytest.raises(BadCap, match="does not pay for one minute"):
        caps_for(129, max_usd=0.01)


def test_an_unknown_end_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadCap, match="save-then-terminate, terminate, hold"):
        caps_for(129, on_cap="sleep")


@pytest.mark.parametrize(("seconds", "minutes"), [(0, 0), (0.5, 1), (60, 1), (60.5, 2), (3600, 60), (-5, 0)])
def test_every_minute_that_was_begun_is_billed(seconds: float, minutes: int) -> None:
    assert billed_minutes(seconds) == minutes


def test_an_hour_costs_the_price_of_an_hour() -> None:
    assert usd_for(3600, 129) == pytest.approx(1.29)
