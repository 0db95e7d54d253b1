"""How examples become tokens and outputs become answers: words of the state-tracking task, or text through a tokenizer.

language.question(example) -> ids        what both teacher and student read
language.prompt(strategy) -> ids         what only the teacher reads, before the question
language.response(example) -> ids        labelled reasoning, answer, end
language.text(ids), language.answer(text), language.has(text, "<think>")
"""

from __future__ import annotations

import re
from typing import Any, Protocol

from engine.quietstar import task
from engine.quietstar.errors import ExamplesError, PromptError
from engine.quietstar.examples import Example
from engine.quietstar.strategies import prompt_of
from engine.quietstar.tokens import THINKING, add_to_tokenizer


class Language(Protocol):
    size: int
    pad: int
    eos: int
    thinking: list[int]
    """The eight thinking tokens."""
    fresh: list[int]
    """Those of them that the champion has never seen."""

    def question(self, example: Example) -> list[int]: ...
    def prompt(self, strategy: str) -> list[int]: ...
    def response(self, example: Example) -> list[int]: ...
    def text(self, ids: list[int]) -> str: ...
    def answer(self, text: str) -> str: ...


class TaskLanguage:
    """The task's own words, one id each."""

    size, pad, eos = len(task.WORDS), task.PAD_ID, task.EOS_ID
    thinking, fresh = [task.ID[word] for word in THINKING], list[int]()

    def question(self, example: Example) -> list[int]:
        return self._ids(example.question)

    def prompt(self, strategy: str) -> list[int]:
        return list(task.PROMPT_IDS)

    def response(self, example: Example) -> list[int]:
        return [*self._ids(example.reasoning), *self._ids(example.answer), self.eos]

    def text(self, ids: list[int]) -> str:
        return task.text([i for i in ids if i not in (self.pad, self.eos)])

    def answer(self, text: str) -> str:
        """The first word after the thinking."""
        words = text.rpartition(task.END)[2].split()
        return words[0] if words else ""

    def _ids(self, text: str) -> list[int]:
        try:
            return [task.ID[word] for word in text.split()]
        except KeyError as error:
            raise ExamplesError(
                f"{error.args[0]!r} is no word of the state-tracking task: these examples are for another champion"
            ) from None


class TextLanguage:
    """Text through a tokenizer of transformers, which gets the thinking tokens."""

    _ANSWER = re.compile(r"Answer:\s*(.+)")

    def __init__(self, tokenizer: Any) -> None:
        if tokenizer.eos_token_id is None:
            raise PromptError("the tokenizer has no end token, so a response would never end: set its eos_token")
        self.tokenizer = tokenizer
        added = add_to_tokenizer(tokenizer)
        self.thinking, self.fresh = added.ids, added.fresh
        self.size = len(tokenizer)
        self.eos = int(tokenizer.eos_token_id)
        self.pad = int(tokenizer.pad_token_id) if tokenizer.pad_token_id is not None else self.eos

    def question(self, example: Example) -> list[int]:
        return self._ids(f"Question: {example.question}\n")

    def prompt(self, strategy: str) -> list[int]:
        return self._ids(prompt_of(strategy))

    def response(self, example: Example) -> list[int]:
        return [*self._ids(f"{example.reasoning}\nAnswer: {example.answer}"), self.eos]

    def text(self, ids: list[int]) -> str:
        said: str = self.tokenizer.decode([i for i in ids if i not in (self.pad, self.eos)], skip_special_tokens=False)
        return said

    def answer(self, text: str) -> str:
        """What stands after the last 'Answer:', to the end of its line, without a full stop."""
        found = self._ANSWER.findall(text.rpartition("</think>")[2])
        return found[-1].strip().rstrip(".") if found else ""

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return ids
