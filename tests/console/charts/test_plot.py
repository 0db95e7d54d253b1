"""A chart as cells: what it says, at any size."""

import math
import random

import numpy as np
import pytest

from console.charts.axes import Domain
from console.charts.inks import FAINT, GAP, LINE, MARK, MET, UNMET, trace_ink
from console.charts.palette import MARKS, ON_DARK, ON_LIGHT, assign, contrast, readable
from console.charts.plot import Picture, draw
from console.charts.series import Series
from console.charts.thresholds import Threshold
from console.charts.trace import Trace, View, next_point, whole_x


def trace(name: str, values: list[float], steps: list[float] | None = None, mark: str = "●") -> Trace:
    series = Series(name)
    series.extend(steps or list(range(len(values))), values, [1.7e9 + at for at in range(len(values))])
    columns = series.columns()
    return Trace(name, mark, columns, columns.steps.view)


def rows(picture: Picture) -> list[str]:
    return [picture.canvas.text(row) for row in range(picture.canvas.height)]


FALLING = [2.0 * 0.99**at for at in range(300)]


def test_title_legend_and_axes_are_there() -> None:
    text = rows(draw([trace("train", FALLING), trace("eval", FALLING, mark="▲")], View(80, 16, "loss")))
    assert text[0].startswith("loss")
    assert "● train 0.09907" in text[0]
    assert "▲ eval" in text[0]
    assert text[-1].split() == ["0", "50", "100", "150", "200", "250", "300"]
    assert any(row.startswith("2.0 ┤") for row in text)


def test_the_x_axis_says_what_it_counts_where_there_is_room() -> None:
    view = View(80, 16, "loss", x=Domain(0, 340))
    assert rows(draw([trace("train", FALLING)], view))[-1].endswith("step")


def test_gaps_are_counted_in_words_and_crossed_under_their_columns() -> None:
    values = [1.0] * 100
    values[50] = math.nan
    values[51] = math.inf
    picture = draw([trace("loss", values)], View(60, 12, "loss"))
    assert "2 NaN" in rows(picture)[0]
    crosses = np.argwhere(picture.canvas.inks == GAP)
    middle = picture.frame.left + picture.frame.columns * 50 // 100
    assert any(row == 10 and abs(column - middle) <= 1 for row, column in crosses.tolist())


@pytest.mark.parametrize(
    ("values", "op", "word", "ink"),
    [
        ([0.5, 0.3], "<", "✗ not met", UNMET),
        ([0.5, 0.1], "<", "✓ met", MET),
        ([0.1, math.nan], "<", "✗ not met", UNMET),
        ([0.1, 0.3], ">=", "✓ met", MET),
    ],
)
def test_a_gate_line_says_whether_it_is_met(values: list[float], op: str, word: str, ink: int) -> None:
    line = Threshold(0.2, "E(correct)", op)
    picture = draw([trace("E(correct)", values)], View(60, 12, "energy", thresholds=(line,)))
    assert any(f"E(correct) {word}" in row for row in rows(picture))
    assert ink in picture.canvas.inks
    assert ({MET, UNMET} - {ink}).pop() not in picture.canvas.inks


def test_a_gate_line_asks_only_its_own_series_and_says_when_it_has_no_data() -> None:
    line = Threshold(0.2, "gate", "<", series="b")
    with_b = draw([trace("a", [1.0]), trace("b", [0.1])], View(60, 12, thresholds=(line,)))
    without = draw([trace("a", [1.0])], View(60, 12, thresholds=(line,)))
    assert any("gate ✓ met" in row for row in rows(with_b))
    assert any("gate · no data" in row for row in rows(without))


def test_a_gate_line_out_of_range_points_to_where_it_is() -> None:
    line = Threshold(50.0, "far", ">")
    picture = draw([trace("a", FALLING)], View(60, 12, thresholds=(line,), fit_thresholds=False))
    assert any("▲ far ✗ not met" in row for row in rows(picture))
    assert picture.y.high < 3


def test_an_unknown_op_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="unknown op '=<'"):
        Threshold(1.0, "x", "=<")


def test_the_crosshair_reads_the_values_at_its_point() -> None:
    picture = draw([trace("a", FALLING), trace("b", [1.0, 2.0])], View(80, 16, "loss", cursor=100.0))
    assert f"a {2.0 * 0.99**100:.4g}" in rows(picture)[0]
    assert "b –" in rows(picture)[0]
    assert any(" step 100 " in row for row in rows(picture))
    assert any("│" in row[20:] for row in rows(picture))


def test_smoothing_shows_both_values_and_the_band_stays_faint() -> None:
    random.seed(0)
    noisy = [random.gauss(1, 0.3) for _ in range(2000)]
    picture = draw([trace("a", noisy)], View(80, 20, "loss", smoothing=0.99))
    assert "(" in rows(picture)[0]
    assert "ema 0.99" in rows(picture)[0]
    assert {trace_ink(0, LINE), trace_ink(0, FAINT)} <= set(picture.canvas.inks.reshape(-1).tolist())


def test_a_few_points_are_never_smoothed() -> None:
    picture = draw([trace("eval", [2.0, 1.0, 0.5])], View(80, 20, "loss", smoothing=0.99))
    assert "0.5" in rows(picture)[0]
    assert "(" not in rows(picture)[0]


def test_without_colour_every_curve_carries_its_mark() -> None:
    traces = [trace(str(n), [n + 1.0] * 200, mark=MARKS[n]) for n in range(3)]
    text = "".join(rows(draw(traces, View(80, 20, "x", plain=True)))[1:])
    assert all(text.count(MARKS[n]) >= 3 for n in range(3))


def test_a_logarithmic_scale_leaves_out_what_it_cannot_show() -> None:
    picture = draw([trace("lr", [0.0, -1.0, 1e-5, 1e-3])], View(60, 12, log=True))
    assert picture.y.low == -5
    assert picture.y.high == -3
    nothing = draw([trace("lr", [0.0, -1.0])], View(60, 12, log=True))
    assert trace_ink(0, LINE) not in nothing.canvas.inks


def test_clipping_leaves_a_spike_out_of_the_range() -> None:
    values = [1.0 + at % 7 / 10 for at in range(2000)]
    values[3] = 500.0
    assert draw([trace("loss", values)], View(80, 20)).y.high >= 500
    clipped = draw([trace("loss", values)], View(80, 20, "loss", clip=True))
    assert clipped.y.high < 3
    assert "clipped" in rows(clipped)[0]


def test_the_series_that_stands_out_is_drawn_over_faint_others_and_named_first() -> None:
    traces = [trace(name, [value] * 200) for name, value in (("a", 1.0), ("b", 1.0), ("c", 2.0))]
    picture = draw(traces, View(90, 20, "loss", highlight=0))
    body = picture.canvas.inks[picture.frame.top :].reshape(-1).tolist()
    assert trace_ink(0, LINE) in body
    assert trace_ink(2, FAINT) in body
    assert not {trace_ink(1, LINE), trace_ink(2, LINE)} & set(body)
    assert [entry.split()[1] for entry in picture.legend] == ["a", "b", "c"]
    assert draw(traces, View(90, 20, "loss", highlight=2)).legend[0].split()[1] == "c"


def test_a_legend_without_room_says_how_much_is_left_out() -> None:
    traces = [trace(f"a rather long name {n}", FALLING) for n in range(20)]
    for width in (40, 60, 90, 140):
        picture = draw(traces, View(width, 12, "loss"))
        text = rows(picture)
        shown = sum(row.count("a rather") for row in text)
        assert f"+{20 - shown} more" in " ".join(text)


def test_a_name_without_room_keeps_its_end_and_its_value() -> None:
    picture = draw([trace("eval/humaneval/pass_at_1/accuracy", FALLING)], View(30, 12, "loss"))
    assert "● …/pass_at_1/accuracy 0.09907" in " ".join(rows(picture))


@pytest.mark.parametrize("width", [1, 2, 7, 19, 24, 40, 80, 250])
@pytest.mark.parametrize("height", [1, 2, 3, 5, 8, 24, 80])
def test_any_size_can_be_drawn(width: int, height: int) -> None:
    traces = [trace("日本語 loss", [1.0, math.nan, 3.0] * 50), trace("b", [math.nan]), trace("c", [])]
    lines = (Threshold(1.0, "a gate", "<"), Threshold(2.0, "b", ">"), Threshold(math.nan, "never", ">"))
    for cursor in (None, 20.0):
        view = View(width, height, "title 🎉", thresholds=lines, cursor=cursor, smoothing=0.9, plain=True)
        picture = draw(traces, view)
        assert picture.canvas.glyphs.shape == (height, width)


def test_drawing_twice_gives_the_same_cells_and_no_changes() -> None:
    first, second = (draw([trace("a", FALLING)], View(80, 20, "loss")) for _ in range(2))
    assert first.canvas.changes(second.canvas) == []


def test_a_new_point_changes_few_cells() -> None:
    before = draw([trace("a", FALLING[:200])], View(100, 30, "loss", x=Domain(0, 300)))
    after = draw([trace("a", FALLING[:201])], View(100, 30, "loss", x=Domain(0, 300)))
    changed = sum(span.stop - span.start for span in after.canvas.changes(before.canvas))
    assert 0 < changed < 60


def test_the_whole_x_starts_at_zero_where_that_is_near() -> None:
    assert whole_x([trace("a", FALLING)]).low == 0
    assert whole_x([trace("a", [1.0, 2.0], steps=[5000, 5100])]).low == 5000
    assert whole_x([trace("a", [])]) == Domain(0, 1)


def test_the_crosshair_visits_sparse_points_one_by_one_and_dense_ones_by_the_cell() -> None:
    sparse, dense = trace("eval", [1.0, 2.0, 3.0], steps=[0, 100, 200]), trace("train", [0.0] * 1000)
    assert [next_point([sparse], x, 1, 5) for x in (0, 100, 200)] == [100, 200, 200]
    assert next_point([sparse], 150, -1, 5) == 100
    assert next_point([dense], 500, 1, 5) == 505
    assert next_point([dense], 500, -1, 50) == 450


def test_a_name_keeps_its_colour_whatever_comes_beside_it() -> None:
    names = [f"run-{n}" for n in range(8)]
    alone = assign(["run-3"], {})
    assert assign(names, alone)["run-3"] == alone["run-3"]
    assert len(set(assign(names, {}).values())) == 8
    assert assign(["x"], {}) == assign(["x"], {})


SEES = {
    "everything": np.eye(3),
    "no red": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "no green": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
    ),
}
"""Machado, Oliveira and Fernandes 2009, severity 1, on linear light."""


def linear(colour: str) -> np.ndarray:
    part = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)


def lab(light: np.ndarray) -> np.ndarray:
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ np.clip(light, 0, 1) / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("eyes", SEES)
@pytest.mark.parametrize("palette", [ON_DARK, ON_LIGHT])
def test_colours_stay_apart_for_eyes_that_miss_one(eyes: str, palette: tuple[str, ...]) -> None:
    seen = [lab(SEES[eyes] @ linear(colour)) for colour in palette]
    closest = min(float(np.linalg.norm(a - b)) for at, a in enumerate(seen) for b in seen[:at])
    assert closest > 15


@pytest.mark.parametrize(("palette", "ground"), [(ON_DARK, "#1e1e1e"), (ON_LIGHT, "#d8d8d8")])
def test_colours_stand_out_from_their_ground(palette: tuple[str, ...], ground: str) -> None:
    weights = np.array([0.2126, 0.7152, 0.0722])
    base = float(weights @ linear(ground)) + 0.05
    for colour in palette:
        light = float(weights @ linear(colour)) + 0.05
        assert max(light, base) / min(light, base) > 3
        assert contrast(colour, ground) == pytest.approx(max(light, base) / min(light, base))
        assert readable(colour, ground) == colour


@pytest.mark.parametrize("ground", ["#3b4252", "#504945", "#44475a", "#fdf6e3", "#808080", "#000000", "#ffffff"])
def test_colours_are_moved_until_they_stand_out_from_the_ground_of_any_theme(ground: str) -> None:
    for colour in (*ON_DARK, *ON_LIGHT):
        assert contrast(readable(colour, ground), ground) >= 3


def test_marks_are_one_cell_wide_and_different() -> None:
    from rich.cells import cell_len

    assert len(set(MARKS)) == len(MARKS) == len(ON_DARK) == len(ON_LIGHT)
    assert all(cell_len(mark) == 1 for mark in MARKS)


def test_the_mark_on_the_crosshair_lies_on_the_curve() -> None:
    picture = draw([trace("a", FALLING)], View(80, 20, "loss", cursor=150.0))
    inks = picture.canvas.inks[picture.frame.top : picture.frame.top + picture.frame.rows]
    (row, column), *others = np.argwhere(inks == trace_ink(0, MARK)).tolist()
    assert not others
    value = picture.y.high - row / (picture.frame.rows - 1) * picture.y.span
    assert value == pytest.approx(FALLING[150], abs=picture.y.span / picture.frame.rows)
    assert picture.x_at(column) == pytest.approx(150, abs=picture.x.span / picture.frame.columns)
