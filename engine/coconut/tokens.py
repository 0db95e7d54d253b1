"""Text to numbers and back, with the three markers that thoughts need.

Guarantees: the markers get the three ids after the tokenizer's last, in the order start, end, latent, and show up in decoded
text; a question and its steps tokenized piece by piece give what the whole text gives (`refuse_ragged_pieces` checks a sample).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from engine.data.prosqa import PERSONS, SPECIES, Sample

MARKERS = ("<|start-latent|>", "<|end-latent|>", "<|latent|>")


class TokenError(Exception):
    """A tokenizer that can't carry thoughts. The message says which and what to do."""


_OTHERS = "Every is a . Is or ? ### <<"


class Plain(Protocol):
    """A tokenizer without markers."""

    size: int
    eos: int
    like: int | None
    """The token whose embedding the markers start from."""

    def encode(self, text: str) -> list[int]: ...
    def decode(self, ids: list[int]) -> str: ...


class Words:
    """ProsQA's own words, one id each: what a small model needs."""

    _PIECE = re.compile(r"###|\n|<<|[A-Za-z]+|[.?]")

    def __init__(self) -> None:
        self.words = [*PERSONS, *SPECIES, *_OTHERS.split(), "\n", "<eos>"]
        self.ids = {word: at for at, word in enumerate(self.words)}
        self.size = len(self.words)
        self.eos = self.ids["<eos>"]
        self.like: int | None = self.ids["<<"]

    def encode(self, text: str) -> list[int]:
        try:
            return [self.ids[piece] for piece in self._PIECE.findall(text)]
        except KeyError as error:
            raise TokenError(f"{error.args[0]!r} is not a word of ProsQA; use tokenizer: gpt2 for other text") from None

    def decode(self, ids: list[int]) -> str:
        text = " ".join(self.words[i] for i in ids if i != self.eos)
        return text.replace(" .", ".").replace(" ?", "?").replace(" \n", "\n").replace("\n ", "\n")


class Bpe:
    """GPT-2's tokenizer from its two files, without a download."""

    # GPT-2's published pattern: contractions, words, numbers, signs, spaces.
    _PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""

    def __init__(self, folder: Path) -> None:
        import tiktoken
        from tiktoken.load import data_gym_to_mergeable_bpe_ranks

        ranks = data_gym_to_mergeable_bpe_ranks(str(folder / "gpt2_vocab.bpe"), str(folder / "gpt2_encoder.json"))
        self._encoding = tiktoken.Encoding("gpt2", pat_str=self._PATTERN, mergeable_ranks=ranks, special_tokens={})
        self.size = 50257
        self.eos = 50256
        self.like: int | None = self._encoding.encode_single_token("<<")

    def encode(self, text: str) -> list[int]:
        return self._encoding.encode_ordinary(text)

    def decode(self, ids: list[int]) -> str:
        return self._encoding.decode([i for i in ids if i != self.eos])


class Hub:
    """The tokenizer of a pretrained model, from a folder or the hub."""

    def __init__(self, name: str) -> None:
        from transformers import AutoTokenizer

        self._tokenizer = AutoTokenizer.from_pretrained(name)
        self.size = len(self._tokenizer)
        if self._tokenizer.eos_token_id is None:
            raise TokenError(f"the tokenizer of {name} has no end token; a chain would never end")
        self.eos = self._tokenizer.eos_token_id
        like = self._tokenizer.encode("<<", add_special_tokens=False)
        self.like: int | None = like[0] if len(like) == 1 else None

    def encode(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False)

    def decode(self, ids: list[int]) -> str:
        return self._tokenizer.decode(ids, skip_special_tokens=True)


@dataclass(frozen=True)
class Tokens:
    """A tokenizer with the three markers after its last id."""

    plain: Plain

    @property
    def start(self) -> int:
        return self.plain.size

    @property
    def end(self) -> int:
        return self.plain.size + 1

    @property
    def latent(self) -> int:
        return self.plain.size + 2

    @property
    def size(self) -> int:
        return self.plain.size + 3

    @property
    def eos(self) -> int:
        return self.plain.eos

    def encode(self, text: str) -> list[int]:
        return self.plain.encode(text)

    def decode(self, ids: list[int]) -> str:
        """Text with the markers in it and without the end token."""
        text, run = "", list[int]()
        for i in ids:
            if i >= self.plain.size:
                text += self.plain.decode(run) + MARKERS[i - self.plain.size]
                run = []
            else:
                run.append(i)
        return text + self.plain.decode(run)


def refuse_full_table(rows: int, tokens: Tokens, name: str) -> None:
    """A model whose embedding can't be given rows for the markers can't think."""
    if rows < tokens.size:
        raise TokenError(
            f"{name} has {rows} embedding rows and the tokenizer with its three markers needs {tokens.size}"
        )


@dataclass(frozen=True)
class Encoded:
    """A sample as ids: the question, each step, the answer with the end token."""

    question: tuple[int, ...]
    steps: tuple[tuple[int, ...], ...]
    answer: tuple[int, ...]


def encode_sample(tokens: Tokens, sample: Sample) -> Encoded:
    return Encoded(
        question=tuple(tokens.encode(sample.question + "\n")),
        steps=tuple(tuple(tokens.encode(step + "\n")) for step in sample.steps),
        answer=(*tokens.encode("### " + sample.answer), tokens.eos),
    )


def refuse_ragged_pieces(tokens: Tokens, sample: Sample) -> None:
    """Pieces that tokenize otherwise than the whole would train on text that no evaluation shows."""
    encoded = encode_sample(tokens, sample)
    pieces = [*encoded.question, *(i for step in encoded.steps for i in step), *encoded.answer[:-1]]
    whole = "\n".join([sample.question, *sample.steps, "### " + sample.answer])
    if tokens.encode(whole) != pieces:
        raise TokenError("the tokenizer joins a step with the next line: tokenizing by pieces and as a whole differ")
