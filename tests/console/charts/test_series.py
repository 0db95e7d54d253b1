import math
import random
import subprocess
import sys

import numpy as np
import pytest

from console.charts.columns import Columns, Curve
from console.charts.series import Series


def filled(values: list[float]) -> Series:
    series = Series("loss")
    series.extend(range(len(values)), values, range(len(values)))
    return series


def test_appending_does_not_import_numpy() -> None:
    program = (
        "import sys; from console.charts.series import Series; s = Series('x'); s.append(0, 1.0); s.extend([1], [2.0], [3.0]);"
        "assert s.count == 2; assert 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_point_by_point_and_column_by_column_give_the_same_series() -> None:
    values = [1.0, math.nan, 2.5, math.inf, -1.0]
    one, many = Series("a"), filled(values)
    for at, value in enumerate(values):
        one.append(at, value, at)
    assert one.columns().raw.values.view.tobytes() == many.columns().raw.values.view.tobytes()
    assert (one.count, one.nan_count, one.last) == (many.count, many.nan_count, many.last) == (5, 2, -1.0)


def test_none_is_a_nan_and_counts_as_one() -> None:
    series = Series("loss")
    series.append(0, None)
    series.extend([1, 2], [None, 1.0])
    assert series.nan_count == 2
    assert series.last == 1.0


def test_numpy_columns_are_taken_as_they_are() -> None:
    series = Series("loss")
    series.extend(np.arange(5), np.linspace(0, 1, 5), np.arange(5) + 1.7e9)
    assert series.columns().raw.values.view.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert series.last_time == 1.7e9 + 4


def test_a_resumed_run_rewinds_its_curve_and_says_how_far() -> None:
    series = filled([5, 4, 3, math.nan, 1])
    series.append(2, 2.5)
    series.extend([3, 4], [2.0, 1.5])
    assert series.columns().steps.view.tolist() == [0, 1, 2, 3, 4]
    assert series.columns().raw.values.view.tolist() == [5, 4, 2.5, 2, 1.5]
    assert (series.rewinds, series.superseded, series.nan_count, series.count) == (1, 3, 0, 5)


def test_a_column_that_falls_in_the_middle_is_the_same_as_its_points() -> None:
    column, points = Series("a"), Series("b")
    steps, values = [0, 1, 2, 1, 2, 3], [0, 1, 2, 3, 4, 5]
    column.extend(steps, values)
    for step, value in zip(steps, values, strict=True):
        points.append(step, value)
    assert column.columns().steps.view.tolist() == points.columns().steps.view.tolist() == [0, 1, 2, 3]
    assert column.columns().raw.values.view.tolist() == [0, 3, 4, 5]


def test_a_clock_that_goes_back_stands_still() -> None:
    series = Series("loss")
    for step, time in enumerate((100.0, 90.0, 110.0)):
        series.append(step, 1.0, time)
    assert series.columns().times.view.tolist() == [100, 100, 110]


def test_columns_of_different_lengths_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="series loss: 2 steps, 1 values"):
        Series("loss").extend([1, 2], [1.0])


def test_version_grows_with_every_change_and_with_nothing_else() -> None:
    series = filled([1.0])
    before = series.version
    series.columns()
    assert series.version == before
    series.append(1, 2.0)
    assert series.version > before


@pytest.mark.parametrize("seed", range(4))
def test_extrema_of_any_range_are_those_of_its_finite_values(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 3000))
    values = rng.normal(size=count).astype("f4")
    values[rng.random(count) < 0.1] = np.nan
    values[rng.random(count) < 0.02] = np.inf
    curve = Curve()
    at = 0
    while at < count:
        part = int(rng.integers(1, 200))
        curve.extend(values[at : at + part])
        at += part
    start = rng.integers(0, count + 1, 100)
    stop = np.minimum(count, start + rng.integers(0, count + 1, 100))
    found = curve.extrema(start, stop)
    for first, last, low, high in zip(start, stop, found.low, found.high, strict=True):
        finite = [float(value) for value in values[first:last] if math.isfinite(value)]
        assert low == min(finite, default=math.inf)
        assert high == max(finite, default=-math.inf)
        assert curve.range(int(first), int(last)) == (low, high)


def test_extrema_are_right_after_a_rewind() -> None:
    curve = Curve()
    curve.extend(np.arange(1000, dtype="f4"))
    curve.truncate(500)
    curve.extend(-np.arange(600, dtype="f4"))
    found = curve.extrema(np.array([0, 400]), np.array([1100, 520]))
    assert found.low.tolist() == [-599, -19]
    assert found.high.tolist() == [499, 499]


@pytest.mark.parametrize("weight", [0.6, 0.99])
def test_smoothing_in_pieces_is_the_plain_recurrence(weight: float) -> None:
    random.seed(1)
    values = [random.gauss(0, 1) if random.random() > 0.05 else math.nan for _ in range(700)]
    columns = Columns()
    for first in range(0, 700, 130):
        part = np.array(values[first : first + 130], "f4")
        columns.extend(np.arange(first, first + len(part)), part, np.zeros(len(part)))
        smooth = columns.smooth(weight)
    mean, seen = 0.0, 0
    for value, smoothed in zip(values, smooth.values.view, strict=True):
        if math.isnan(value):
            assert math.isnan(smoothed)
            continue
        mean, seen = weight * mean + (1 - weight) * float(np.float32(value)), seen + 1
        assert smoothed == pytest.approx(mean / (1 - weight**seen), abs=1e-5)
