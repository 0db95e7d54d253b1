import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from console.charts.series import Series
from console.charts.svg import chart_svg
from console.charts.thresholds import Threshold

SVG = "{http://www.w3.org/2000/svg}"


def series(values: list[float], name: str = "loss") -> Series:
    one = Series(name)
    one.extend(range(len(values)), values)
    return one


def words(svg: str) -> str:
    return " ".join("".join(part.itertext()) for part in ElementTree.fromstring(svg).iter(f"{SVG}text"))


def curves(svg: str) -> list[str]:
    (plot,) = (part for part in ElementTree.fromstring(svg).iter(f"{SVG}g") if part.get("clip-path"))
    return [part.get("d", "") for part in plot.iter(f"{SVG}path")]


def test_it_is_well_formed_whatever_the_names() -> None:
    svg = chart_svg({'<&"日本>': series([1.0, 2.0])}, title="a < b & c", thresholds=[Threshold(1.5, "x < 1.5")])
    assert "a < b & c" in words(svg)
    assert '<&"日本> 2' in words(svg)


def test_it_says_in_words_what_it_shows() -> None:
    svg = chart_svg(
        {"E(correct)": series([0.5, math.nan, 0.1])}, title="energy", thresholds=[Threshold(0.2, "E(correct) < 0.2")]
    )
    description = ElementTree.fromstring(svg).findtext(f"{SVG}desc")
    assert description == "E(correct) 0.1, 1 NaN; E(correct) < 0.2 ✓ met"


def test_a_gap_lifts_the_pen_and_is_crossed_on_the_axis() -> None:
    svg = chart_svg({"a": series([1.0, 1.0, math.nan, 1.0, 1.0])}, title="t")
    assert curves(svg)[0].count("M") == 2
    assert svg.count("l6 6m0-6l-6 6") == 1


def test_a_million_points_take_no_more_room_than_the_pixels_and_keep_their_spike() -> None:
    values = np.sin(np.arange(1_000_000) / 1e5)
    values[123_456] = 9.0
    svg = chart_svg({"a": series(values.tolist())}, title="t")
    assert len(svg) < 60_000
    highest = min(float(y) for y in re.findall(r"[ML][\d.]+ (-?[\d.]+)", curves(svg)[0]))
    lowest = max(float(y) for y in re.findall(r"[ML][\d.]+ (-?[\d.]+)", curves(svg)[0]))
    assert lowest - highest > 150


def test_smoothing_draws_the_raw_curve_faint_behind() -> None:
    svg = chart_svg({"a": series([float(at % 2) for at in range(500)])}, title="t", smoothing=0.9)
    assert len(curves(svg)) == 2
    assert 'stroke-opacity="0.25"' in svg


def test_curves_differ_without_colour() -> None:
    svg = chart_svg({name: series([1.0, 2.0], name) for name in "abc"}, title="t")
    assert len(set(re.findall(r'stroke-dasharray="([^"]*)"', svg))) >= 2


@pytest.mark.parametrize("values", [[], [math.nan], [0.0, -1.0], [1.0]])
@pytest.mark.parametrize("log", [False, True])
def test_little_or_nothing_to_draw_is_no_error(values: list[float], log: bool) -> None:
    ElementTree.fromstring(chart_svg({"a": series(values)}, title="t", log=log, thresholds=[Threshold(math.nan, "x")]))
