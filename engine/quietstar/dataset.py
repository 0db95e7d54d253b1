"""Labelled reasoning as tensors, for supervised fine-tuning: its labels, its loss, its accuracy.

    data = ReasoningDataset("phase3_reasoning_training_data.json", tokenizer, max_length=512)
    data[0]                       # input_ids, attention_mask, labels (padded to max_length), strategy
    batch = collate([data[i] for i in rows])

Guarantees: a label stands at its own token, -100 at question, prompt and padding; `shifted_loss` and `shifted_accuracy` compare
what a position predicts with the *next* label, and count real labels only.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from engine.quietstar import examples as files
from engine.quietstar.examples import Example
from engine.quietstar.language import Language, TextLanguage

NO_LABEL = -100


class ReasoningDataset(Dataset[dict[str, Any]]):
    """`tokenizer`: one of transformers, or a `Language`. `prompted`: the strategy's prompt stands in front."""

    def __init__(
        self,
        examples: Sequence[Example] | str | PathLike[str],
        tokenizer: Any,
        max_length: int = 512,
        prompted: bool = False,
    ) -> None:
        is_path = isinstance(examples, (str, PathLike))
        self.examples = files.read(Path(examples)) if is_path else list(examples)
        self.language: Language = tokenizer if hasattr(tokenizer, "question") else TextLanguage(tokenizer)
        self.max_length, self.prompted = max_length, prompted

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, at: int) -> dict[str, Any]:
        example, language = self.examples[at], self.language
        before = language.prompt(example.strategy) if self.prompted else []
        before = [*before, *language.question(example)]
        ids = [*before, *language.response(example)][: self.max_length]
        fill = self.max_length - len(ids)
        labels = [NO_LABEL] * min(len(before), len(ids)) + ids[len(before) :]
        return {
            "input_ids": torch.tensor(ids + [language.pad] * fill),
            "attention_mask": torch.tensor([1] * len(ids) + [0] * fill),
            "labels": torch.tensor(labels + [NO_LABEL] * fill),
            "strategy": example.strategy,
        }


def collate(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One batch, cut to its longest row."""
    longest = max(int(item["attention_mask"].sum()) for item in items)
    batch: dict[str, Any] = {
        name: torch.stack([item[name][:longest] for item in items])
        for name in ("input_ids", "attention_mask", "labels")
    }
    batch["strategy"] = [item["strategy"] for item in items]
    return batch


def shifted_loss(logits_BTV: Tensor, labels_BT: Tensor) -> Tensor:
    """Cross-entropy of every real label under what was predicted one place before."""
    return F.cross_entropy(logits_BTV[:, :-1].flatten(0, 1), labels_BT[:, 1:].flatten(), ignore_index=NO_LABEL)


def shifted_accuracy(logits_BTV: Tensor, labels_BT: Tensor) -> float:
    """Share of real labels that were the likeliest one place before."""
    said, true = logits_BTV[:, :-1].argmax(-1), labels_BT[:, 1:]
    real = true != NO_LABEL
    return float((said == true)[real].float().mean())
