import math

import numpy as np
import pytest
from textual.app import App, ComposeResult

from console.charts.inks import FAINT, trace_ink
from console.charts.seeds import seed_band, t_quantile
from console.charts.series import Series
from console.widgets.chart import Chart


def run(values: list[float], steps: list[float] | None = None) -> Series:
    series = Series("loss")
    series.extend(steps or list(range(len(values))), values)
    return series


def values(series: Series) -> list[float]:
    return [round(float(value), 4) for value in series.columns().raw.values.view]


def test_the_mean_and_its_interval_are_those_of_the_textbook() -> None:
    band = seed_band("loss", [run([1.0, 4.0]), run([2.0, 4.0]), run([3.0, 4.0])])
    assert values(band.mean) == [2, 4]
    half = 4.303 * 1 / math.sqrt(3)
    assert values(band.low) == pytest.approx([2 - half, 4], abs=1e-3)
    assert values(band.high) == pytest.approx([2 + half, 4], abs=1e-3)


def test_a_step_that_only_one_run_reached_has_no_interval_and_is_left_out() -> None:
    band = seed_band("loss", [run([1.0, 2.0, 3.0, 4.0]), run([1.0, 2.0])])
    assert band.mean.columns().steps.view.tolist() == [0, 1]


def test_runs_that_log_at_other_steps_are_read_between_their_points() -> None:
    band = seed_band("loss", [run([0.0, 1.0, 2.0, 3.0, 4.0]), run([0.0, 4.0], steps=[0, 4])])
    assert values(band.mean) == [0, 1, 2, 3, 4]


def test_a_diverged_seed_is_a_gap_and_not_averaged_away() -> None:
    band = seed_band("loss", [run([1.0, math.nan, 1.0]), run([1.0, 1.0, 1.0])])
    assert band.mean.nan_count == 1


def test_one_run_alone_has_no_band() -> None:
    band = seed_band("loss", [run([1.0, 2.0]), Series("empty")])
    assert (band.mean.count, band.runs) == (0, 1)


@pytest.mark.parametrize(("freedom", "wanted"), [(1, 12.706), (10, 2.228), (11, 2.201), (20, 2.086), (100, 1.984)])
def test_quantiles_are_those_of_the_tables(freedom: int, wanted: float) -> None:
    assert t_quantile(freedom) == pytest.approx(wanted, abs=2e-3)


class BandApp(App[None]):
    def compose(self) -> ComposeResult:
        yield Chart("accuracy")


async def test_a_band_is_drawn_around_its_mean_and_fits_the_picture() -> None:
    rng = np.random.default_rng(0)
    seeds = [run((np.linspace(0, 1, 40) + rng.normal() * 0.1).tolist()) for _ in range(4)]
    band = seed_band("accuracy", seeds)
    app = BandApp()
    async with app.run_test(size=(80, 20)) as pilot:
        chart = app.query_one(Chart)
        chart.set_series({"accuracy": band.mean}, bands={"accuracy": (band.low, band.high)})
        await pilot.pause()
        assert chart.picture is not None
        assert trace_ink(0, FAINT) in chart.picture.canvas.inks
        assert chart.picture.y.high >= max(values(band.high))
        assert chart.picture.y.low <= min(values(band.low))
        columns = (chart.picture.canvas.inks >= 16).any(axis=0)[chart.picture.frame.left + 1 :]
        assert columns[: int(len(columns) * 0.9)].all()
