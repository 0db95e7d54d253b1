"""The fast raster against the slow, obvious version of the same sentence."""

import math
import random

import numpy as np
import pytest

from console.charts.axes import Domain
from console.charts.columns import Curve, Grow
from console.charts.raster import braille, curve_dots, gap_columns, window


def slow_dots(xs: list[float], values: list[float], x: Domain, y: Domain, columns: int, rows: int) -> np.ndarray:
    """Point by point: a column holds its lowest to its highest, thin lines join neighbours that no gap parts."""
    dots = np.zeros((rows, columns), bool)

    def row_of(value: float) -> float:
        value = math.log10(value) if y.log and value > 0 else -300.0 if y.log else value
        return min(max((y.high - value) / y.span * (rows - 1), -1e6), 1e6)

    def column_of(at: float) -> int:
        if at == x.high:
            return columns - 1
        return max(-1_000_000, min(1_000_000, math.floor((at - x.low) / x.span * columns)))

    def fill(column: int, first: int, last: int) -> None:
        for row in range(min(first, last), max(first, last) + 1):
            if 0 <= row < rows and 0 <= column < columns:
                dots[row, column] = True

    inside: dict[int, list[float]] = {}
    for at, value in zip(xs, values, strict=True):
        if math.isfinite(value) and x.low <= at <= x.high:
            inside.setdefault(column_of(at), []).append(row_of(value))
    for column, found in inside.items():
        fill(column, math.floor(min(found) + 0.5), math.floor(max(found) + 0.5))
    for index in range(len(xs) - 1):
        first, last = column_of(xs[index]), column_of(xs[index + 1])
        if first == last or not (math.isfinite(values[index]) and math.isfinite(values[index + 1])):
            continue
        if xs[index + 1] < x.low or xs[index] > x.high:
            continue
        from_row, to_row = row_of(values[index]), row_of(values[index + 1])
        slope = (to_row - from_row) / (last - first)
        for column in range(max(first, 0), min(last, columns - 1) + 1):
            left = math.floor(from_row + slope * (max(column - 0.5, first) - first) + 0.5)
            right = math.floor(from_row + slope * (min(column + 0.5, last) - first) + 0.5)
            if column < last and right != left:
                right -= 1 if right > left else -1
            fill(column, left, right)
    return dots


def fast_dots(xs: list[float], values: list[float], x: Domain, y: Domain, columns: int, rows: int) -> np.ndarray:
    curve = Curve()
    curve.extend(np.array(values, "f4"))
    return curve_dots(curve, window(np.array(xs, "f8"), x, columns), y, rows)


CASES = [
    pytest.param(30, 0.0, Domain(0, 1), Domain(-3, 3), id="fewer points than columns"),
    pytest.param(3000, 0.0, Domain(0, 1), Domain(-3, 3), id="many points in a column"),
    pytest.param(400, 0.2, Domain(0, 1), Domain(-3, 3), id="gaps"),
    pytest.param(400, 0.05, Domain(0.31, 0.47), Domain(-3, 3), id="zoomed between points"),
    pytest.param(300, 0.05, Domain(-0.5, 2.0), Domain(-0.4, 0.7), id="values off the picture"),
    pytest.param(300, 0.05, Domain(0, 1), Domain(-2, 1, log=True), id="logarithmic with values below zero"),
    pytest.param(1, 0.0, Domain(0, 1), Domain(-3, 3), id="one point"),
]


@pytest.mark.parametrize(("count", "gaps", "x", "y"), CASES)
@pytest.mark.parametrize("seed", range(3))
def test_fast_raster_draws_what_the_slow_one_draws(seed: int, count: int, gaps: float, x: Domain, y: Domain) -> None:
    rng = np.random.default_rng(seed)
    xs = np.sort(rng.random(count)).tolist()
    values = np.cumsum(rng.normal(size=count) * 0.3).astype("f4")
    values[rng.random(count) < gaps] = np.nan
    fast = fast_dots(xs, values.tolist(), x, y, 74, 40)
    assert (fast == slow_dots(xs, values.tolist(), x, y, 74, 40)).all()


def test_old_columns_stay_put_while_the_series_grows_within_its_domain() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=2000).tolist()
    xs = [float(at) for at in range(2000)]
    x, y = Domain(0, 2500), Domain(-4, 4)
    before = fast_dots(xs[:1500], values[:1500], x, y, 100, 40)
    after = fast_dots(xs, values, x, y, 100, 40)
    assert (before[:, :59] == after[:, :59]).all()


def test_a_gap_within_the_data_leaves_an_empty_column() -> None:
    dots = fast_dots([0, 1, 2, 3, 4], [1, 1, math.nan, 1, 1], Domain(0, 5), Domain(0, 2), 10, 8)
    assert dots.any(axis=0).tolist() == [True, True, True, False, False, False, True, True, True, False]


def test_columns_with_gaps_are_marked() -> None:
    curve = Curve()
    curve.extend(np.array([1, math.nan, 1, 1, math.inf], "f4"))
    view = window(np.arange(5.0), Domain(0, 5), 10)
    assert gap_columns(curve, view, 5).tolist() == [False, True, False, False, True]


def test_braille_cells_hold_their_eight_dots() -> None:
    dots = np.zeros((4, 4), bool)
    dots[0, 0] = dots[3, 1] = dots[3, 2] = True
    assert [chr(0x2800 + code) for code in braille(dots)[0].tolist()] == ["⢁", "⡀"]


@pytest.mark.parametrize("seed", range(20))
def test_a_curve_that_grows_is_drawn_as_one_that_was_there_at_once(seed: int) -> None:
    dice = random.Random(seed)
    grown, x, values = Curve(), Grow("f8"), []
    for _ in range(80):
        new = [math.nan if dice.random() < 0.05 else dice.random() for _ in range(dice.choice((1, 1, 1, 7)))]
        values += new
        x.extend(range(x.count, x.count + len(new)))
        grown.extend(np.array(new, "f4"))
        if dice.random() < 0.03:
            keep = dice.randrange(len(values))
            grown.truncate(keep)
            x.truncate(keep)
            del values[keep:]
        fresh = Curve()
        fresh.extend(np.array(values, "f4"))
        y = Domain(0.0, dice.choice((1.0, 1.0, 1.0, 2.0)))
        view = window(x.view, Domain(0.0, dice.choice((600.0, 600.0, 40.0))), 2 * dice.choice((30, 30, 8)))
        assert (curve_dots(grown, view, y, 24) == curve_dots(fresh, view, y, 24)).all()
