"""Benchmarks are answered after a thought, and absent where they can't be had: never 0.0 for nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.config.quietstar_rl import Rl
from engine.quietstar import benchmarks
from engine.quietstar.benchmarks import Answerer
from tests.engine.quietstar import tiny

CFG = Rl(positions="answer", thought_tokens=2, benchmark_problems=2)


class Letters:
    """A tongue of the task's 34 tokens: enough to ask a body that was never taught."""

    def encode(self, text: str) -> list[int]:
        return [ord(c) % 34 for c in text][-20:]

    def decode(self, ids: list[int]) -> str:
        return "".join(chr(48 + i % 10) for i in ids)


def test_a_model_without_language_has_no_benchmarks() -> None:
    thinker = tiny.thinker(tiny.body(width=32))
    assert benchmarks.measure(thinker, CFG) == {}
    assert "reads no English" in benchmarks.absences(CFG)["gsm8k"]


def test_missing_data_is_absent_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRACTAL_DATA", str(tmp_path))
    thinker = tiny.thinker(tiny.body(width=32))
    assert benchmarks.measure(thinker, CFG, Letters()) == {}
    assert benchmarks.absences(CFG, Letters())["arc"] == "arc_test.jsonl is not in $FRACTAL_DATA"


def test_what_is_there_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRACTAL_DATA", str(tmp_path))
    row = {"question": "1 + 1?", "answer": "two\n#### 2"}
    (tmp_path / "gsm8k_test.jsonl").write_text((json.dumps(row) + "\n") * 3)
    thinker = tiny.thinker(tiny.body(width=32))
    assert set(benchmarks.measure(thinker, CFG, Letters())) == {"gsm8k"}


def test_answers_are_judged_by_their_first_number_and_letter() -> None:
    gsm8k: list[dict[str, Any]] = [{"question": "?", "answer": "so\n#### 1,200"}]
    assert benchmarks.accuracy(lambda text: " $1200.", gsm8k, "gsm8k") == 1
    assert benchmarks.accuracy(lambda text: "12 or 1200", gsm8k, "gsm8k") == 0
    arc = [{"question": {"stem": "?", "choices": [{"label": "B", "text": "b"}]}, "answerKey": "B"}]
    assert benchmarks.accuracy(lambda text: " B", arc, "arc") == 1
    assert benchmarks.accuracy(lambda text: "A", arc, "arc") == 0


def test_an_answer_is_what_the_mixture_says_token_by_token() -> None:
    thinker = tiny.thinker(tiny.body(width=32))
    ids = Letters().encode("Question")
    said = Answerer(thinker, Letters(), 2).answer("Question", tokens=3)
    at = torch.tensor([[len(ids) - 1]])
    thought = thinker.think(torch.tensor([ids]), at, 2, temperature=0.0)
    found: list[int] = []
    for _ in range(3):  # the talk of a longer text, read at its own last prediction
        whole = torch.tensor([[*ids, *found, 0]])
        found.append(int(thinker.talk(whole, at, thought, len(found) + 1).logits_BNAV[0, 0, -1].argmax()))
    assert said == Letters().decode(found)
