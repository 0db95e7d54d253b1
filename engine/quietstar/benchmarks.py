"""GSM8K and ARC, answered after a thought; absent, with the reason, where data or language is missing. Never 0.0 for nothing.

Answers are direct (a thought, then a few tokens), as Quiet-STaR was measured. Data is looked for in $FRACTAL_DATA:
`gsm8k_test.jsonl` and `arc_test.jsonl` (the official ARC lines: question.stem, question.choices, answerKey).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from engine.config.quietstar_rl import Rl
from engine.data.gsm8k import data_folder
from engine.quietstar.thinker import Thinker

_ANSWER_TOKENS = 12  # a number, with room for a currency and a space
_FILES = {"gsm8k": "gsm8k_test.jsonl", "arc": "arc_test.jsonl"}


class Tongue(Protocol):
    """How a model reads and writes text."""

    def encode(self, text: str) -> list[int]: ...
    def decode(self, ids: list[int]) -> str: ...


@dataclass(frozen=True)
class Answerer:
    """A thinker that can be asked in words."""

    thinker: Thinker
    tongue: Tongue
    thought_tokens: int

    @torch.no_grad()
    def answer(self, text: str, tokens: int = _ANSWER_TOKENS) -> str:
        """Greedy: one thought after the text, then some tokens, each mixed."""
        ids = self.tongue.encode(text)
        device = self.thinker.reader.table.weight.device
        at = torch.tensor([[len(ids) - 1]], device=device)
        thought = self.thinker.think(torch.tensor([ids], device=device), at, self.thought_tokens, temperature=0.0)
        said: list[int] = []
        for count in range(tokens):
            # the last token is looked at by nobody: it only makes room for the prediction's place
            whole = torch.tensor([[*ids, *said, ids[0]]], device=device)
            said.append(int(self.thinker.talk(whole, at, thought, count + 1).logits_BNAV[0, 0, -1].argmax()))
        return self.tongue.decode(said)


def measure(thinker: Thinker, cfg: Rl, tongue: Tongue | None = None) -> dict[str, float]:
    """Accuracy of every benchmark that can be had."""
    missing = absences(cfg, tongue)
    folder = data_folder()
    if folder is None or tongue is None:
        return {}
    ask = Answerer(thinker, tongue, cfg.thought_tokens).answer
    return {
        name: accuracy(ask, _rows(folder / file, cfg.benchmark_problems), name)
        for name, file in _FILES.items()
        if name not in missing
    }


def absences(cfg: Rl, tongue: Tongue | None = None) -> dict[str, str]:
    """Why a benchmark was not measured, by name."""
    folder = data_folder()
    found = {}
    for name, file in _FILES.items():
        if tongue is None:
            found[name] = "the model's vocabulary is the task's, it reads no English"
        elif not cfg.benchmark_problems:
            found[name] = "rl.benchmark_problems is 0"
        elif folder is None or not (folder / file).exists():
            found[name] = f"{file} is not in $FRACTAL_DATA"
    return found


def accuracy(ask: Callable[[str], str], rows: list[dict[str, Any]], name: str) -> float:
    """The share of rows that are answered right."""
    judge = {"gsm8k": _gsm8k_right, "arc": _arc_right}[name]
    return sum(judge(ask, row) for row in rows) / len(rows)


def _gsm8k_right(ask: Callable[[str], str], row: dict[str, Any]) -> bool:
    true = _first_number(str(row["answer"]).rpartition("####")[2])
    return true is not None and _first_number(ask(f"Question: {row['question']}\nAnswer:")) == true


def _arc_right(ask: Callable[[str], str], row: dict[str, Any]) -> bool:
    choices = "\n".join(f"{c['label']}. {c['text']}" for c in row["question"]["choices"])
    said = ask(f"Question: {row['question']['stem']}\n{choices}\nAnswer:").strip()
    return said[:1] == row["answerKey"]


def _first_number(text: str) -> float | None:
    found = re.search(r"-?\d[\d,]*(?:\.\d+)?", text)
    return float(found.group().replace(",", "")) if found else None


def _rows(path: Path, count: int) -> list[dict[str, Any]]:
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line, _ in zip(lines, range(count), strict=False)]
