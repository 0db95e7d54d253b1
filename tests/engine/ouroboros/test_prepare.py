from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from engine.ouroboros import dataset, prepare
from engine.ouroboros.dataset import open_dataset
from engine.ouroboros.equations import Equations, from_expression
from engine.ouroboros.errors import DatasetError, Refused
from tests.engine.ouroboros.tiny import tiny


def test_the_same_config_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    for folder in (first, second):
        folder.mkdir()
        prepare.prepare(tiny(), folder)
    for name in (*dataset.FILES, "meta.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_no_training_item_uses_an_equation_of_a_held_out_item_unless_a_training_problem_has_it(prepared: Path) -> None:
    data = open_dataset(prepared)
    train = data.items("train")
    rows = [json.loads(line) for line in (prepared / "problems.jsonl").read_text().splitlines()]
    steps = [from_expression(s[1]) for row in rows if row["split"] == "train" for s in row["steps"]]
    own = Equations(*np.array(steps).T).key
    for split in ("val", "test"):
        shared = np.intersect1d(train.equations.key, data.items(split).equations.key)
        assert np.isin(shared, own).all()


def test_every_item_lies_in_the_split_of_its_problem(prepared: Path) -> None:
    rows = [json.loads(line) for line in (prepared / "problems.jsonl").read_text().splitlines()]
    data = open_dataset(prepared)
    for split in ("train", "val", "test"):
        problems = np.unique(data.items(split).problem)
        assert {rows[p]["split"] for p in problems if p >= 0} == {split}
    assert (data.items("test").problem >= 0).all()


def test_classes_are_half_and_half_and_counted_by_kind(prepared: Path) -> None:
    meta = open_dataset(prepared).meta
    for counts in meta["items"].values():
        assert 2 * counts["wrong"] == counts["all"]
        assert sum(counts["by kind"].values()) == counts["all"]
        assert all(counts["by kind"].values())


def test_an_interrupted_preparation_is_refused(prepared: Path) -> None:
    (prepared / "meta.json").unlink()
    with pytest.raises(DatasetError, match="interrupted; run the step `prepare` again"):
        open_dataset(prepared)


def test_a_file_of_another_preparation_is_refused(prepared: Path) -> None:
    (prepared / "val.npz").write_bytes((prepared / "test.npz").read_bytes())
    with pytest.raises(DatasetError, match=r"val\.npz is not the file that meta\.json describes"):
        open_dataset(prepared)


def test_an_empty_class_is_refused(prepared: Path) -> None:
    items = open_dataset(prepared).items("val")
    with pytest.raises(DatasetError, match="class 'wrong' is empty"):
        dataset.check_classes(items[~items.wrong], "val.npz", ("own",))


def test_a_declared_kind_that_is_absent_is_refused(prepared: Path) -> None:
    items = open_dataset(prepared).items("val")
    with pytest.raises(DatasetError, match="no item of the declared kind 'five'"):
        dataset.check_classes(items, "val.npz", ("one", "two", "three", "four", "five"))


def test_real_problems_without_their_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="set FRACTAL_DATA"):
        prepare.prepare(tiny(data={"source": "gsm8k"}), tmp_path)
