"""The references of the real data sets pass. Needs the data; a tenth of it here, all of it in tests/bench/sandbox."""

import os
from pathlib import Path

import pytest

from engine.verify.problems import apps, humaneval, mbpp
from engine.verify.problems.problem import BadData, called_in, plain
from engine.verify.sandbox.pool import Pool

_DATA = Path(os.environ.get("FRACTAL_DATA") or Path(__file__).resolve().parents[3].parent / "shared" / "data")
needs_data = pytest.mark.skipif(not (_DATA / "mbpp.jsonl").exists(), reason=f"no MBPP in {_DATA} (set FRACTAL_DATA)")


@needs_data
def test_the_official_splits_have_their_sizes():
    full, sanitized = mbpp.load("full", _DATA), mbpp.load("sanitized", _DATA)
    assert [sum(p.split == s for p in full) for s in ("train", "validation", "test", "prompt")] == [374, 90, 500, 10]
    assert [sum(p.split == s for p in sanitized) for s in ("train", "validation", "test", "prompt")] == [
        120,
        43,
        257,
        7,
    ]


@needs_data
def test_references_pass_and_their_negation_fails():
    problems = [*mbpp.load("full", _DATA)[::12], *mbpp.load("sanitized", _DATA)[::12], *humaneval.load(_DATA)[::6]]
    problems = [p for p in problems if p.tests.cpu_s <= 2 and not p.set_aside]
    right = [p.sample(p.task_id, p.reference) for p in problems]
    wrong = [p.sample(f"wrong {p.task_id}", f"def {p.entry_point}(*a, **k): return object()") for p in problems]
    with Pool(2) as pool:
        passed = {v.key for v in pool.judge([*right, *wrong]) if v.ok}
    assert passed == {p.task_id for p in problems}


@needs_data
def test_apps_solutions_pass():
    problems = apps.load(_DATA / "apps_sample", "train")
    with Pool(2) as pool:
        passed = {v.key for v in pool.judge(p.sample(p.task_id, p.reference) for p in problems) if v.ok}
    assert passed == {p.task_id for p in problems}


def test_a_cut_file_names_its_line(tmp_path):
    row = '{"task_id": 1, "text": "t", "code": "c", "test_list": ["assert f(1)"]}'
    (tmp_path / "mbpp.jsonl").write_text(f"{row}\n{row[:30]}")
    with pytest.raises(BadData, match=r"mbpp\.jsonl:2: .*fetch it again"):
        mbpp.load("full", tmp_path)


def test_a_row_without_tests_is_named(tmp_path):
    (tmp_path / "mbpp.jsonl").write_text('{"task_id": 7, "text": "t", "code": "c", "test_list": []}\n')
    with pytest.raises(BadData, match="task 7"):
        mbpp.load("full", tmp_path)


def test_carriage_returns_leave_the_text():
    assert plain("def f():\r\n\treturn 1  \r\n") == "def f():\n\treturn 1\n"


def test_the_asked_for_name_is_found_behind_wrappers():
    assert called_in(("assert set(similar((1,), (2,))) == set()",)) == "similar"
    assert called_in(("assert math.isclose(area(1), 3)",)) == "area"
