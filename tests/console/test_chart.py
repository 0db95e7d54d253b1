"""The chart and the grid on screen, driven by their keys and the mouse."""

import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from console.charts.palette import assign
from console.charts.series import Series
from console.widgets import chart as chart_module
from console.widgets import grid as grid_module
from console.widgets.chart import Chart, Threshold
from console.widgets.grid import ChartGrid


def falling(count: int, name: str = "loss") -> Series:
    series = Series(name)
    series.extend(range(count), [2.0 * 0.999**at for at in range(count)], [1.7e9 + at / 2 for at in range(count)])
    return series


class ChartApp(App[None]):
    def __init__(self, *charts: Chart, columns: int = 2, rows: int = 2) -> None:
        super().__init__()
        self.grid = ChartGrid(charts, columns=columns, rows=rows)
        self.moved: list[Chart.CursorMoved] = []

    def compose(self) -> ComposeResult:
        yield self.grid

    def on_mount(self) -> None:
        self.grid.charts[0].focus()

    def on_chart_cursor_moved(self, message: Chart.CursorMoved) -> None:
        self.moved.append(message)


def make_chart(count: int = 1000, title: str = "loss") -> Chart:
    chart = Chart(title)
    chart.set_series({"loss": falling(count)})
    return chart


def text(chart: Chart) -> list[str]:
    return [chart.render_line(y).text for y in range(chart.size.height)]


async def test_the_first_point_brings_the_picture_and_not_before() -> None:
    chart, series = Chart("loss"), Series("loss")
    app = ChartApp(chart)
    async with app.run_test(size=(60, 16)) as pilot:
        chart.set_series({"loss": series})
        await pilot.pause()
        assert any("no points yet" in row for row in text(chart))
        series.append(0, 1.5, 0.0)
        chart.pump()
        await pilot.pause()
        assert "1.5" in text(chart)[0]


def test_a_chart_without_points_does_not_import_numpy() -> None:
    program = (
        "import sys, asyncio\n"
        "from textual.app import App\n"
        "from console.charts.series import Series\n"
        "from console.widgets.grid import ChartGrid\n"
        "from console.widgets.chart import Chart, Threshold\n"
        "class A(App):\n"
        "    def compose(self):\n"
        "        chart = Chart('loss')\n"
        "        chart.set_series({'a': Series('a')})\n"
        "        chart.set_thresholds([Threshold(1, 'x')])\n"
        "        yield ChartGrid([chart])\n"
        "async def main():\n"
        "    app = A()\n"
        "    async with app.run_test(size=(60, 20)) as pilot:\n"
        "        await pilot.pause()\n"
        "asyncio.run(main())\n"
        "assert 'numpy' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


async def test_pumping_draws_nothing_when_nothing_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    chart = make_chart()
    app = ChartApp(chart)
    async with app.run_test(size=(60, 16)) as pilot:
        await pilot.pause()
        monkeypatch.setattr(chart, "_redraw", lambda: pytest.fail("drew without a change"))
        chart.pump()


async def test_a_new_point_refreshes_only_the_cells_that_changed() -> None:
    chart = make_chart(160)
    app = ChartApp(chart)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.pause()
        shown = text(chart)
        chart._series["loss"].append(160, 1.7, 1.7e9 + 100)
        chart.pump()
        regions = set(chart._repaint_regions)
        assert regions
        assert sum(region.area for region in regions) < 250
        untouched = set(range(chart.size.height)) - {region.y for region in regions}
        assert all(text(chart)[y] == shown[y] for y in untouched)
        await pilot.pause()


async def test_what_is_on_screen_after_many_small_updates_is_what_a_fresh_chart_shows() -> None:
    chart, series = Chart("loss"), Series("loss")
    app = ChartApp(chart)
    async with app.run_test(size=(80, 20)) as pilot:
        chart.set_series({"loss": series})
        for at in range(400):
            series.append(at, math.nan if at % 37 == 36 else math.sin(at / 20) + at / 100, 0.0)
            if at % 9 == 0:
                chart.pump()
                if at % 90 == 0:
                    await pilot.pause()
        chart.pump()
        await pilot.pause()
        lived = text(chart)
        chart._drawn = None
        chart._draw_quietly()
        assert text(chart) == lived


async def test_the_crosshair_moves_by_keys_and_tells_where_it_is() -> None:
    chart = make_chart()
    app = ChartApp(chart)
    async with app.run_test(size=(80, 20)) as pilot:
        await pilot.press("left")
        assert chart.cursor == 999
        await pilot.press("home")
        assert chart.cursor == 0
        await pilot.press("right")
        cell = chart.cursor
        assert cell is not None
        assert 0 < cell < 20
        await pilot.press("shift+right", "left")
        assert chart.cursor == pytest.approx(10 * cell, abs=5)
        message = app.moved[-1]
        assert (message.x, message.step, message.unix_time) == (chart.cursor, chart.cursor, 1.7e9 + chart.cursor / 2)
        assert any(f"step {int(chart.cursor)} " in row for row in text(chart))


async def test_escape_takes_the_crosshair_away_and_is_then_free_for_others() -> None:
    chart = make_chart()
    app = ChartApp(chart)
    async with app.run_test(size=(80, 20)) as pilot:
        assert chart.check_action("cursor_off", ()) is False
        await pilot.press("left", "escape")
        assert chart.cursor is None
        assert chart.check_action("cursor_off", ()) is False


async def test_zoom_in_then_out_then_everything() -> None:
    chart = make_chart()
    app = ChartApp(chart)
    async with app.run_test(size=(80, 20)) as pilot:
        await pilot.press("plus", "plus")
        assert chart.zoom is not None
        assert chart.zoom.span == pytest.approx(250)
        assert chart.zoom.low <= 999 <= chart.zoom.high
        await pilot.press("minus")
        assert chart.zoom.span == pytest.approx(500)
        await pilot.press("minus")
        assert chart.zoom is None
        await pilot.press("plus", "0")
        assert chart.zoom is None


async def test_zoom_keeps_the_crosshair_where_it_is() -> None:
    chart = make_chart()
    app = ChartApp(chart)
    async with app.run_test(size=(80, 20)) as pilot:
        await pilot.press("home", *["shift+right"] * 3)
        assert chart.picture is not None
        assert chart.cursor is not None
        place = (chart.cursor - chart.picture.x.low) / chart.picture.x.span
        await pilot.press("plus")
        assert (chart.cursor - chart.picture.x.low) / chart.picture.x.span == pytest.approx(place)


async def test_panning_stays_within_the_data() -> None:
    chart = make_chart()
    app = ChartApp(chart)
    async with app.run_test(size=(80, 20)) as pilot:
        await pilot.press("plus", "plus", "h")
        assert chart.zoom is not None
        assert chart.zoom.high < 999
        chart.action_pan(-10)
        assert chart.zoom.low == 0
        chart.action_pan(10)
        assert chart.zoom.high == pytest.approx(1000)


async def test_a_zoomed_window_at_the_end_follows_the_run_in_quarters() -> None:
    chart = make_chart()
    app = ChartApp(chart)
    async with app.run_test(size=(80, 20)) as pilot:
        await pilot.press("plus", "plus")
        before = chart.zoom
        assert before is not None
        chart._series["loss"].append(before.high + 1, 0.2, 1.7e9 + 900)
        chart.pump()
        assert chart.zoom is not None
        assert chart.zoom.low - before.low == pytest.approx(before.span / 4)
        await pilot.press("h", "h")
        away = chart.zoom
        chart._series["loss"].append(5000, 0.2, 1.7e9 + 950)
        chart.pump()
        assert chart.zoom == away


async def test_the_crosshair_pans_a_zoomed_window_along() -> None:
    chart = make_chart()
    app = ChartApp(chart)
    async with app.run_test(size=(80, 20)) as pilot:
        await pilot.press("end", "plus", "plus", "plus", *["shift+left"] * 9)
        assert chart.zoom is not None
        assert chart.cursor is not None
        assert chart.zoom.low <= chart.cursor <= chart.zoom.high < 999


async def test_x_goes_from_step_to_time_to_epoch() -> None:
    chart = Chart("loss", steps_per_epoch=250)
    chart.set_series({"loss": falling(1000)})
    app = ChartApp(chart)
    async with app.run_test(size=(80, 20)) as pilot:
        await pilot.press("x")
        assert text(chart)[-1].split()[0] == "0s"
        await pilot.press("x", "end")
        assert chart.cursor == pytest.approx(999 / 250)
        await pilot.press("x")
        assert chart.x_name == "step"


async def test_runs_that_began_at_different_times_share_the_time_axis_of_their_own_start() -> None:
    chart = Chart("loss", x_name="time")
    late = Series("b", time_origin=1.8e9)
    late.extend([0, 1], [1.0, 2.0], [1.8e9, 1.8e9 + 60])
    early = Series("a", time_origin=1.7e9)
    early.extend([0, 1], [1.0, 2.0], [1.7e9, 1.7e9 + 60])
    chart.set_series({"a": early, "b": late})
    app = ChartApp(chart)
    async with app.run_test(size=(80, 20)) as pilot:
        await pilot.pause()
        assert chart.picture is not None
        assert (chart.picture.x.low, chart.picture.x.high) == (0, 60)


async def test_scale_smoothing_and_gate_lines_have_keys() -> None:
    chart = make_chart()
    chart.set_thresholds([Threshold(50.0, "far", ">")])
    app = ChartApp(chart)
    async with app.run_test(size=(100, 20)) as pilot:
        await pilot.pause()
        assert chart.picture is not None
        assert chart.picture.y.high >= 50
        await pilot.press("t")
        assert chart.picture.y.high < 3
        await pilot.press("L", "e")
        assert chart.picture.y.log
        assert "log ema 0.6" in text(chart)[0]


async def test_one_series_after_the_other_stands_out_in_every_chart_that_has_it() -> None:
    charts = [Chart(str(n)) for n in range(2)]
    charts[0].set_series({"a": falling(100), "b": falling(100)})
    charts[1].set_series({"b": falling(100)})
    app = ChartApp(*charts)
    async with app.run_test(size=(120, 20)) as pilot:
        seen = []
        for _ in range(3):
            await pilot.press("right_square_bracket")
            await pilot.pause()
            seen.append((charts[0].highlight, charts[1].highlight))
        assert seen == [("a", None), ("b", "b"), (None, None)]


async def test_a_gate_line_turns_from_unmet_to_met_when_it_is_crossed() -> None:
    chart, series = Chart("energy"), Series("E(correct)")
    series.append(0, 0.5, 0.0)
    chart.set_series({"E(correct)": series})
    chart.set_thresholds([Threshold(0.2, "E(correct) < 0.2", "<")])
    app = ChartApp(chart)
    async with app.run_test(size=(80, 20)) as pilot:
        await pilot.pause()
        assert any("E(correct) < 0.2 ✗ not met" in row for row in text(chart))
        series.append(1, 0.1, 1.0)
        chart.pump()
        await pilot.pause()
        assert any("E(correct) < 0.2 ✓ met" in row for row in text(chart))


async def test_the_mouse_points_and_leaving_takes_the_crosshair_away() -> None:
    chart = make_chart()
    other = make_chart()
    app = ChartApp(chart, other)
    async with app.run_test(size=(120, 20)) as pilot:
        await pilot.hover(chart, offset=(30, 5))
        assert chart.cursor is not None
        assert other.cursor == chart.cursor
        await pilot.hover(chart, offset=(31, 5))
        await pilot.hover(None, offset=(59, 1))
        await pilot.pause()
        assert chart.cursor is None or other._cursor_by_mouse


async def test_crosshair_and_x_axis_are_one_across_the_grid() -> None:
    charts = [make_chart(title=str(n)) for n in range(4)]
    app = ChartApp(*charts)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("left", "shift+left", "plus")
        await pilot.pause()
        assert len({chart.cursor for chart in charts}) == 1
        assert {chart.zoom for chart in charts} == {charts[0].zoom}
        assert charts[0].zoom is not None
        await pilot.press("x")
        await pilot.pause()
        assert {chart.x_name for chart in charts} == {"time"}


async def test_only_the_chart_that_moved_tells_where() -> None:
    app = ChartApp(make_chart(), make_chart())
    async with app.run_test(size=(120, 20)) as pilot:
        await pilot.press("left")
        await pilot.pause()
        assert len(app.moved) == 1


def shown(app: ChartApp) -> list[str]:
    return [chart.title for chart in app.grid.charts if chart.display]


async def test_the_grid_shows_pages_of_the_size_that_was_asked_for() -> None:
    app = ChartApp(*[make_chart(title=str(n)) for n in range(6)])
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        assert shown(app) == ["0", "1", "2", "3"]
        await pilot.press("pagedown")
        assert shown(app) == ["4", "5"]
        await pilot.press("pagedown", "c")
        assert shown(app) == ["0", "1", "2", "3", "4", "5"]


async def test_a_small_window_shows_fewer_charts_rather_than_unreadable_ones() -> None:
    app = ChartApp(*[make_chart(title=str(n)) for n in range(16)], columns=4, rows=4)
    async with app.run_test(size=(250, 80)) as pilot:
        await pilot.pause()
        assert len(shown(app)) == 16
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert len(shown(app)) == 12
        await pilot.resize_terminal(30, 8)
        await pilot.pause()
        assert len(shown(app)) == 1


async def test_one_chart_fills_the_grid_and_gives_it_back() -> None:
    app = ChartApp(*[make_chart(title=str(n)) for n in range(4)])
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("ctrl+right", "ctrl+down", "m")
        assert shown(app) == ["3"]
        assert app.focused is app.grid.charts[3]
        await pilot.press("pagedown")
        assert shown(app) == ["0"]
        await pilot.press("m")
        assert len(shown(app)) == 4


async def test_charts_come_and_go_and_those_that_stay_keep_their_state() -> None:
    first, second, third = (make_chart(title=str(n)) for n in range(3))
    app = ChartApp(first, second)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("plus")
        zoom = first.zoom
        await app.grid.set_charts([third, first])
        await pilot.pause()
        assert [chart.title for chart in app.grid.charts] == ["2", "0"]
        assert first.zoom == zoom


async def test_colours_follow_the_theme_and_stay_with_their_series() -> None:
    chart = Chart("loss")
    chart.set_series({"a": falling(100, "a"), "b": falling(100, "b")})
    app = ChartApp(chart)
    async with app.run_test(size=(80, 20)) as pilot:
        before = dict(chart._colours)
        dark = chart._style(16).color
        app.theme = "textual-light"
        await pilot.pause()
        assert chart._style(16).color != dark
        chart.set_series({"c": falling(100, "c"), "b": falling(100, "b"), "a": falling(100, "a")})
        assert {name: chart._colours[name] for name in before} == before


async def test_runs_that_log_one_metric_differ_in_colour_and_a_run_keeps_its_own_over_charts() -> None:
    overlay, single = Chart("loss"), Chart("accuracy")
    overlay.set_series({f"run-{n}": falling(10) for n in range(4)})
    assert len(set(overlay._colours.values())) == 4
    mine = Series("accuracy", colour_name="run-2")
    single.set_series({"accuracy": mine})
    assert single._colours["run-2"] == assign(["run-2"], {})["run-2"]


async def test_every_theme_draws_the_same_cells() -> None:
    chart = make_chart()
    app = ChartApp(chart)
    async with app.run_test(size=(80, 20)) as pilot:
        await pilot.pause()
        shown = text(chart)
        for theme in app.available_themes:
            app.theme = theme
            await pilot.pause()
            assert text(chart) == shown, theme


async def test_without_colour_curves_carry_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    chart = Chart("loss")
    chart.set_series({"a": falling(100, "a"), "b": falling(100, "b")})
    app = ChartApp(chart)
    async with app.run_test(size=(80, 20)) as pilot:
        await pilot.pause()
        assert chart.picture is not None
        marks = [entry.split()[0] for entry in chart.picture.legend]
        body = "".join(text(chart)[1:])
        assert all(mark in body for mark in marks)


@pytest.mark.parametrize("size", [(1, 1), (5, 2), (30, 4), (80, 24), (250, 80)])
async def test_every_size_and_every_key_survive(size: tuple[int, int]) -> None:
    charts = [make_chart(title=str(n)) for n in range(2)] + [Chart("empty")]
    app = ChartApp(*charts)
    async with app.run_test(size=size) as pilot:
        await press_all(pilot, chart_module.KEYS + grid_module.KEYS)


async def press_all(pilot: Pilot[None], keys: tuple[tuple[str, str, str], ...]) -> None:
    """Every action of a table, through its own dispatch."""
    for key, _, _ in keys:
        pilot.app.simulate_key(key.split(",")[0])
    await pilot.pause()


@pytest.mark.parametrize(("keys", "widget"), [(chart_module.KEYS, Chart), (grid_module.KEYS, ChartGrid)])
def test_every_key_of_the_tables_has_an_action_and_words(keys: Any, widget: type[object]) -> None:
    for key, action, words in keys:
        method: Callable[..., None] | None = getattr(widget, f"action_{action.split('(')[0]}", None)
        assert method is not None, (key, action)
        assert words


async def test_a_chart_that_was_taken_away_may_be_painted_once_more() -> None:
    """It loses its styles before the screen is laid out anew, and a timer may paint in between."""
    chart = Chart(title="gone")
    async with ChartApp(chart).run_test(size=(60, 20)) as pilot:
        await pilot.pause()
        chart._component_styles.clear()
        chart._rich_style_cache.clear()
        chart.notify_style_update()
        assert "no points yet" in "".join(chart.render_line(y).text for y in range(chart.size.height))
