"""What is compared and what differs: sides, their names and colours, tables, exports. Over made-up runs, no screen."""

from __future__ import annotations

import csv
import io
import json
import re
import statistics
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from console.charts.palette import MARKS
from console.charts.series import Series
from console.comparing.curves import metrics_of_sides, overlay
from console.comparing.export import charts_svg, file_name, points_csv, runs_csv, to_json, write
from console.comparing.sides import Member, colours_of, mean_of, seedless, sides_of
from console.comparing.tables import config_differences, final_rows, final_words
from console.store import RunRow

NAN = float("nan")


def member(run_id: str, config: dict[str, Any], curve: Sequence[float] = (), **finals: Any) -> Member:
    """A run whose curve has a point a second from its start on."""
    seed = config.get("seed")
    variant = "cpu+" + ",".join(f"{k}={v}" for k, v in sorted(config.items()))
    family = str(sorted((k, v) for k, v in config.items() if k != "seed"))
    names = ("p", "phase7-x", "train", "cpu", variant, None, 5.0, "ann", seed, "tree", "code", "c", family)
    row = RunRow(run_id, "local", *names, "succeeded", "", 100.0, 160.0, True)  # type: ignore[arg-type]
    series = Series("loss")
    series.extend(range(len(curve)), list(curve), [100.0 + i for i in range(len(curve))])
    return Member(row, config, dict(finals), {"loss": series} if curve else {})


SWEEP = [
    member("a0", {"lr": 1, "seed": 0}, [4, 2], acc=0.8),
    member("a1", {"lr": 1, "seed": 1}, [2, 0], acc=0.9),
    member("b0", {"lr": 2, "seed": 0}, [3, 3], acc=0.5),
]


def test_runs_that_differ_in_their_seed_only_are_one_side() -> None:
    assert [(s.name, [m.row.run_id for m in s.members]) for s in sides_of(SWEEP, True)] == [
        ("lr=1 ×2", ["a0", "a1"]),
        ("lr=2 seed 0", ["b0"]),
    ]
    assert [s.name for s in sides_of(SWEEP, False)] == ["lr=1 seed 0", "lr=1 seed 1", "lr=2 seed 0"]


def test_the_same_seed_twice_is_no_family() -> None:
    twice = [member("a", {"lr": 1, "seed": 0}), member("b", {"lr": 1, "seed": 0})]
    assert [s.name for s in sides_of(twice, True)] == ["a", "b"], "the end of the id tells them apart"


def test_a_side_keeps_its_colour_when_others_join() -> None:
    every = [member(f"run{i}", {"lr": i}) for i in range(8)]
    for count in range(1, 8):
        fewer = colours_of(sides_of(every[:count], True))
        more = colours_of(sides_of(every[: count + 1], True))
        assert fewer == {key: colour for key, colour in more.items() if key in fewer}
    assert sorted(colours_of(sides_of(every, True)).values()) == list(range(len(MARKS))), "eight sides, eight colours"


@pytest.mark.parametrize(
    ("variant", "bare"),
    [("cpu", "cpu"), ("cpu+seed=3", "cpu"), ("cpu+lr=1,seed=3", "cpu+lr=1"), ("cpu+a.seed=1,b=2", "cpu+b=2")],
)
def test_a_variant_is_named_without_its_seed(variant: str, bare: str) -> None:
    assert seedless(variant) == bare


def test_the_mean_has_students_interval() -> None:
    values = [0.80, 0.90, 0.85, 0.95]
    found = mean_of(values)
    assert found is not None
    assert found.mean == pytest.approx(statistics.mean(values))
    assert found.half == pytest.approx(3.182 * statistics.stdev(values) / 2)
    assert mean_of([1.0]).half is None  # type: ignore[union-attr]
    assert mean_of([]) is None


def test_only_keys_that_differ_are_listed() -> None:
    runs = [member("a", {"lr": 1, "width": 8, "ema": True}), member("b", {"lr": 2, "width": 8})]
    rows = {row.key: row.values for row in config_differences(sides_of(runs, True))}
    assert rows == {"lr": ("1", "2"), "ema": ("True", "")}


def test_final_values_are_held_against_the_baseline() -> None:
    sides = sides_of(SWEEP, True)
    row = final_rows(sides, sides[1].key)[0]
    assert (row.name, row.from_baseline) == ("acc", (pytest.approx(0.35), None))
    assert final_words(row, 0) == "0.85 ±0.6353 (+0.35)"
    assert final_words(row, 1) == "0.5"
    assert final_words(final_rows(sides)[0], 0) == "0.85 ±0.6353", "without a baseline no distance"


def test_words_nan_and_what_is_missing_are_told_as_such() -> None:
    runs = [member("a", {"lr": 1}, verdict="good", loss="nan"), member("b", {"lr": 2}, n=3)]
    rows = {r.name: [final_words(r, i) for i in (0, 1)] for r in final_rows(sides_of(runs, True))}
    assert rows == {"verdict": ["good", ""], "loss": ["nan", ""], "n": ["–", "3"]}


def test_a_familys_curve_is_the_mean_with_its_interval_over_steps_and_over_time() -> None:
    sides = sides_of(SWEEP, True)
    assert metrics_of_sides(sides) == ["loss"]
    over = overlay("loss", sides)
    band = over.series["lr=1 ×2"].columns()
    assert band.raw.values.view.tolist() == [3.0, 1.0]
    assert band.times.view.tolist() == [0.0, 1.0]
    assert list(over.bands) == ["lr=1 ×2"]
    alone = over.series["lr=2 seed 0"]
    assert alone.time_origin == 100.0
    assert {s.colour_name for s in over.series.values()} == {s.key for s in sides}


def test_the_csv_of_runs_is_read_back_as_it_was() -> None:
    rows = list(csv.DictReader(io.StringIO(runs_csv(sides_of(SWEEP, True)))))
    assert [(r["run"], r["side"], r["seed"], r["cfg.lr"], r["acc"]) for r in rows] == [
        ("a0", "lr=1 ×2", "0", "1", "0.8"),
        ("a1", "lr=1 ×2", "1", "1", "0.9"),
        ("b0", "lr=2 seed 0", "0", "2", "0.5"),
    ]


def test_the_csv_of_points_has_every_point_with_its_time() -> None:
    text = "".join(points_csv(sides_of([member("a,b", {"lr": 1}, [0.5, NAN])], True)))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(r["run"], r["metric"], r["step"], r["seconds"], r["value"]) for r in rows] == [
        ("a,b", "loss", "0", "0.000", "0.5"),
        ("a,b", "loss", "1", "1.000", "nan"),
    ]


def test_the_json_is_json_also_with_nan() -> None:
    runs = [member("a", {"lr": 1}, acc=NAN), member("b", {"lr": 2}, acc=0.5)]
    sides = sides_of(runs, True)
    value = json.loads(json.dumps(to_json(sides, sides[1].key), allow_nan=False))
    assert value["baseline"] == "lr=2"
    assert value["finals"][0]["sides"]["lr=1"] == {"mean": None, "half": None, "n": 1, "from_baseline": None}


def test_svgs_are_well_formed_and_keep_the_colours_of_the_screen() -> None:
    sides = sides_of(SWEEP, True)
    for x_name in ("step", "time"):
        svg = charts_svg(sides, x_name)["loss"]
        ElementTree.fromstring(svg)
        assert 'fill-opacity="0.15"' in svg
        assert f">{x_name}</text>" in svg
    only = charts_svg(sides[1:])["loss"]
    ink = re.search(r'stroke="(#\w+)" stroke-width="2"', only)
    assert ink is not None
    assert ink[1] in svg


def test_a_folder_of_everything(tmp_path: Path) -> None:
    files = write(tmp_path / "out", sides_of(SWEEP, True), None)
    assert [f.name for f in files] == ["comparison.json", "runs.csv", "loss.svg", "points.csv"]
    assert all(f.stat().st_size for f in files)
    assert file_name("eval/acc @5") == "eval-acc-5.svg"
