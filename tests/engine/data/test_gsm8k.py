from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from engine.data import gsm8k

SHARED = Path(__file__).parents[4] / "shared" / "data"


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("2*3", 6),
        ("16-3-4", 9),
        ("2+3*4", 14),
        ("(2+3)*4", 20),
        ("1,200/4", 300),
        (".5*10", 5),
        ("50%*30", 15),
        ("-3+5", 2),
        ("+30+4", 34),
        ("1/3*3", 1),
    ],
)
def test_expressions_have_their_exact_value(expression: str, value: int) -> None:
    assert gsm8k.evaluate(expression) == Fraction(value)


@pytest.mark.parametrize("expression", ["", "2+", "2*(3", "2 3", "x+1", "1/0", "__import__('os')", "2**3"])
def test_what_is_no_arithmetic_is_refused_and_quoted(expression: str) -> None:
    with pytest.raises(gsm8k.BadAnnotation, match=r"'|divides by zero"):
        gsm8k.evaluate(expression)


def test_unusable_rows_are_counted_with_their_reason() -> None:
    rows: list[dict[str, object]] = [
        {"question": "q", "answer": "<<1+1=2>>2\n#### 2"},
        {"question": "q", "answer": "<<1+1=3>>3\n#### 3"},
        {"question": "q", "answer": "<<1+x=2>>2\n#### 2"},
        {"question": "q", "answer": "two\n#### 2"},
        {"question": "q", "answer": "<<1+1=2>>2"},
        {"question": "q"},
    ]
    parsed = gsm8k.parse_rows(rows, "t")
    assert [p.id for p in parsed.problems] == ["t-0"]
    assert sum(parsed.refused.values()) == 5
    assert parsed.refused["an annotation is not exactly true"] == 1
    assert parsed.refused["no annotation"] == 1


def test_a_torn_file_names_its_line(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text('{"a": 1}\n{"a"')
    with pytest.raises(gsm8k.BadAnnotation, match=r"x\.jsonl:2 is no JSON"):
        gsm8k.read_jsonl(file)


@pytest.mark.skipif(not SHARED.is_dir(), reason="no real GSM8K beside the repository (../shared/data)")
def test_nearly_all_of_the_real_problems_are_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRACTAL_DATA", str(SHARED))
    train, test = gsm8k.load("train"), gsm8k.load("test")
    assert train is not None
    assert test is not None
    assert (len(train.problems), len(test.problems)) == (7376, 1301)
    assert sum(train.refused.values()) == 7473 - 7376
    assert sum(test.refused.values()) == 1319 - 1301


def test_without_the_folder_there_is_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FRACTAL_DATA", str(tmp_path / "missing"))
    assert gsm8k.load("train") is None
