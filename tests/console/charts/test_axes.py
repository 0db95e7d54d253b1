import math
import random

import pytest

from console.charts.axes import Domain, duration, number, reading, steady_x, steady_y, ticks, time_ticks


def test_the_x_domain_moves_seldom_and_wastes_less_than_a_third() -> None:
    domains = [steady_x(0, float(high)) for high in range(1, 10_001)]
    assert len({domain.high for domain in domains}) < 45
    assert all(high <= domain.high <= high * 1.5 for high, domain in enumerate(domains, 1))


@pytest.mark.parametrize("log", [False, True])
def test_the_y_domain_holds_the_data_and_its_ticks_lie_inside(log: bool) -> None:
    random.seed(2)
    for _ in range(300):
        low = 10 ** random.uniform(-9, 6)
        high = low * (1 + 10 ** random.uniform(-4, 6))
        domain = steady_y(low, high, log)
        bounds = (math.log10(low), math.log10(high)) if log else (low, high)
        slack = domain.span * 1e-6
        assert domain.low - slack <= bounds[0] <= bounds[1] <= domain.high + slack
        assert all(domain.low - slack <= tick.at <= domain.high + slack for tick in ticks(domain, 6))


@pytest.mark.parametrize("value", [0.0, 1.0, -7.0, 1e-9, 1e12])
def test_a_constant_has_a_domain_around_it(value: float) -> None:
    domain = steady_y(value, value, log=False)
    assert domain.low < value < domain.high or domain.low <= value < domain.high


def test_tick_labels_differ_from_each_other() -> None:
    random.seed(3)
    for _ in range(300):
        low = random.uniform(-1e6, 1e6)
        labels = [tick.label for tick in ticks(steady_y(low, low + 10 ** random.uniform(-2, 6), log=False), 6)]
        assert len(set(labels)) == len(labels)


@pytest.mark.parametrize(
    ("value", "step", "label"),
    [
        (0, 0.2, "0"),
        (1, 0.2, "1.0"),
        (20_000, 5000, "20k"),
        (2500, 500, "2.5k"),
        (1e6, 2e5, "1M"),
        (0.25, 0.25, "0.25"),
    ],
)
def test_ticks_are_labelled_as_people_write_them(value: float, step: float, label: str) -> None:
    assert number(value, step) == label


@pytest.mark.parametrize(
    ("value", "words"),
    [(math.nan, "NaN"), (-math.inf, "-inf"), (0.31234567, "0.3123"), (12345, "12345"), (1e-5, "1.000e-5"), (0, "0")],
)
def test_a_reading_says_what_is_no_number_in_words(value: float, words: str) -> None:
    assert reading(value) == words


def test_time_ticks_fall_on_minutes_and_hours() -> None:
    assert [tick.label for tick in time_ticks(Domain(0, 4000), 6)] == ["0s", "15m", "30m", "45m", "1h"]


def test_durations_keep_their_two_largest_units() -> None:
    assert [duration(s) for s in (12, 200, 5400, 187_200)] == ["12s", "3m20s", "1h30", "2d4h"]
