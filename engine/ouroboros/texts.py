"""Contexts: the question and the equations before a step, as tokens with what is known about the numbers in them.

Letters: M texts, K tokens in all texts together, B items, S the longest text of a batch.

Stored flat, one text behind the other, so that no padding is ever kept. Each token knows the number that it is part of
(-1 outside of numbers) and the place value of its last digit: a number in the text and a column of an equation that mean
the same place then share an embedding.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.ouroboros.equations import Ints
from engine.ouroboros.tokenizers import Tokenizer

_NUMBER = re.compile(r"\d[\d,]*")
NO_PLACE = -1
_LARGEST = 2**31 - 1


@dataclass(frozen=True)
class Texts:
    """M texts; text m is the tokens from starts[m] to starts[m + 1]."""

    starts: Ints
    ids: Ints
    values: Ints
    places: Ints

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> Ints:
        return np.diff(self.starts)


@dataclass(frozen=True)
class Padded:
    """Some texts side by side. Past a text's length its row holds zeros (and no number)."""

    ids_BS: Ints
    values_BS: Ints
    places_BS: Ints
    length_B: Ints


def encode(texts: Sequence[str], tokenizer: Tokenizer, most: int) -> Texts:
    """The texts as tokens; of one longer than `most` the end is kept, since the step continues it."""
    rows = [_encode_one(text, tokenizer, most) for text in texts]
    flat = np.concatenate(rows) if rows else np.zeros((0, 3), dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum([len(r) for r in rows])]).astype(np.int64)
    return Texts(starts, flat[:, 0], flat[:, 1], flat[:, 2])


def _encode_one(text: str, tokenizer: Tokenizer, most: int) -> NDArray[np.int64]:
    encoded = tokenizer.encode(text)
    rows = np.full((len(encoded.ids), 3), -1, dtype=np.int64)
    rows[:, 0] = encoded.ids
    ends = np.array([end for _, end in encoded.spans], dtype=np.int64)
    for match in _NUMBER.finditer(text):
        digits = match[0].rstrip(",").replace(",", "")
        first, last = np.searchsorted(ends, [match.start(), match.start() + len(match[0].rstrip(","))], side="right")
        value = min(int(digits), _LARGEST)
        for at in range(first, min(last + 1, len(ends))):
            # A token may begin with the space before the number; it belongs to the number if it ends inside.
            if match.start() < ends[at] <= match.start() + len(match[0]):
                digits_after = sum(c.isdigit() for c in text[ends[at] : match.end()])
                rows[at, 1:] = value, digits_after
    return rows[-most:]


def pad(texts: Texts, which: Ints) -> Padded:
    lengths = texts.lengths[which]
    longest = int(lengths.max()) if len(which) else 0
    offset = np.arange(longest)
    inside = offset[None] < lengths[:, None]
    at = np.where(inside, texts.starts[which][:, None] + offset, 0)
    return Padded(
        ids_BS=np.where(inside, texts.ids[at], 0),
        values_BS=np.where(inside, texts.values[at], -1),
        places_BS=np.where(inside, texts.places[at], NO_PLACE),
        length_B=lengths,
    )


def budgeted(lengths: Ints, budget: int) -> list[Ints]:
    """Rows in micro-batches of texts of like length: each micro-batch, padded, holds at most `budget` tokens."""
    order = np.argsort(lengths, kind="stable")[::-1]
    found, start = [], 0
    while start < len(order):
        longest = max(1, int(lengths[order[start]]))
        end = start + max(1, budget // longest)
        found.append(order[start:end])
        start = end
    return found
