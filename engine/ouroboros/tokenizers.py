"""Text to tokens, with the character span of each: byte-level BPE trained on the spot, or tiktoken's GPT-2, offline.

Guarantees: `bpe` splits every number into single digits, is trained on training texts only and is the same for the same
texts; `gpt2` touches no network: it takes $FRACTAL_DATA's gpt2_vocab.bpe and gpt2_encoder.json, else tiktoken's cache.
Does not guarantee that `gpt2` shows digits: its tokens may hold several.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from engine.data.gsm8k import data_folder
from engine.ouroboros.errors import Refused


@dataclass(frozen=True)
class Encoded:
    ids: list[int]
    spans: list[tuple[int, int]]
    """Where each token stands in the text, in characters."""


class Tokenizer(Protocol):
    size: int
    fingerprint: str

    def encode(self, text: str) -> Encoded: ...


class DigitBpe:
    """Byte-level BPE in which every digit is a token of its own."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.size = inner.get_vocab_size()
        self.fingerprint = hashlib.sha256(inner.to_str().encode()).hexdigest()[:16]

    def encode(self, text: str) -> Encoded:
        found = self._inner.encode(text)
        return Encoded(found.ids, found.offsets)

    def decode(self, ids: list[int]) -> str:
        from tokenizers import decoders

        text: str = decoders.ByteLevel().decode([self._inner.id_to_token(i) for i in ids])
        return text

    def save(self, path: Path) -> None:
        self._inner.save(str(path))


def train_bpe(texts: Iterable[str], size: int) -> DigitBpe:
    from tokenizers import Tokenizer as Inner
    from tokenizers import models, pre_tokenizers, trainers

    inner = Inner(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    # Bytes that no training text holds are in the alphabet too, so no text is ever out of vocabulary.
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    inner.train_from_iterator(texts, trainer)
    return DigitBpe(inner)


def load_bpe(path: Path) -> DigitBpe:
    from tokenizers import Tokenizer as Inner

    if not path.exists():
        raise Refused(f"{path} is not there; run the step `prepare` again (python -m engine.ouroboros.prepare)")
    return DigitBpe(Inner.from_file(str(path)))


class Gpt2:
    """tiktoken's GPT-2 vocabulary of 50,257."""

    def __init__(self) -> None:
        self._inner = _gpt2()
        self.size = self._inner.n_vocab
        self.fingerprint = "tiktoken-gpt2"

    def encode(self, text: str) -> Encoded:
        ids = self._inner.encode_ordinary(text)
        _, starts = self._inner.decode_with_offsets(ids)
        return Encoded(ids, list(zip(starts, [*starts[1:], len(text)], strict=True)))


def _gpt2() -> Any:
    import tiktoken
    from tiktoken.load import data_gym_to_mergeable_bpe_ranks

    folder = data_folder()
    if folder and (folder / "gpt2_vocab.bpe").exists() and (folder / "gpt2_encoder.json").exists():
        ranks = data_gym_to_mergeable_bpe_ranks(str(folder / "gpt2_vocab.bpe"), str(folder / "gpt2_encoder.json"))
        pattern = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
        return tiktoken.Encoding(
            "gpt2", pat_str=pattern, mergeable_ranks=ranks, special_tokens={"<|endoftext|>": 50256}
        )
    if os.environ.get("TIKTOKEN_CACHE_DIR") or os.environ.get("DATA_GYM_CACHE_DIR"):
        return tiktoken.get_encoding("gpt2")
    raise Refused(
        "GPT-2's vocabulary is not here: put gpt2_vocab.bpe and gpt2_encoder.json into $FRACTAL_DATA, "
        "or set TIKTOKEN_CACHE_DIR to a filled cache, or use data.tokenizer=bpe"
    )
