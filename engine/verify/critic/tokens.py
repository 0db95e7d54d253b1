"""Programs and prompts as tokens, for a critic that learns from a few hundred problems.

A program's own names don't matter, so they become V0, V1, … in the order in which they appear, with a mark on the first: a
name that is read before anything gave it a value stands out. Keywords, builtins and attributes keep their words. The vocabulary
comes from training problems alone.
"""

from __future__ import annotations

import ast
import builtins
import collections
import hashlib
import io
import keyword
import re
import tokenize
import warnings
from collections.abc import Iterable
from dataclasses import dataclass

PAD, UNK, CLS, SEP = 0, 1, 2, 3
_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
_WORD = re.compile(r"[a-z]+|\d+")
_ROUGH = re.compile(r"\w+|[^\w\s]")
_KNOWN = frozenset(dir(builtins)) | frozenset(keyword.kwlist) | {"self"}
_PROMPT_SHARE = 0.4  # of the length, at most: the program must not be the part that is cut


def prompt_words(text: str) -> list[str]:
    return [f"w:{word}" for word in _WORD.findall(text.lower())]


def code_tokens(code: str) -> list[str]:
    """The tokens of a program; of a broken one as far as they go, then roughly."""
    named: dict[str, str] = {}
    found: list[str] = []
    previous = ""
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            word = _token(token, previous, named)
            previous = token.string
            if word:
                found.append(word)
    except (tokenize.TokenError, SyntaxError, ValueError):
        found.append("[BROKEN]")
        if not found[:-1]:
            found += _ROUGH.findall(code)
    return found


def _token(token: tokenize.TokenInfo, previous: str, named: dict[str, str]) -> str:
    kind, text = token.type, token.string
    if kind in (tokenize.COMMENT, tokenize.NL, tokenize.ENDMARKER):
        return ""
    if kind == tokenize.NAME:
        return _name(text, previous, named)
    if kind == tokenize.NUMBER:
        return text if len(text) <= 3 else "[NUM]"
    if kind == tokenize.STRING:
        return f"s:{text[1:-1]}" if len(text) <= 4 else "[STR]"
    if kind in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT):
        return {tokenize.NEWLINE: "[NL]", tokenize.INDENT: "[IN]", tokenize.DEDENT: "[OUT]"}[kind]
    return text


def _name(text: str, previous: str, named: dict[str, str]) -> str:
    if previous == ".":
        return f".{text}"
    if text in _KNOWN and text not in named:
        return text
    if text in named:
        return named[text]
    name = f"V{len(named)}"
    named[text] = name
    return f"{name}+"


def normal_form(code: str) -> str:
    """Equal for programs that differ in names, comments and layout only. Of text that doesn't parse: the text."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError):
        return hashlib.sha256(code.strip().encode("utf-8", "surrogatepass")).hexdigest()
    named: dict[str, str] = {}
    for node in ast.walk(tree):
        for field in ("id", "arg", "name"):
            text = getattr(node, field, None)
            if isinstance(text, str) and text not in _KNOWN:
                setattr(node, field, named.setdefault(text, f"v{len(named)}"))
    return hashlib.sha256(ast.dump(tree).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Vocabulary:
    """Words by number."""

    words: tuple[str, ...]

    @property
    def number(self) -> dict[str, int]:
        return {word: at for at, word in enumerate(self.words)}

    @property
    def hash(self) -> str:
        return hashlib.sha256("\n".join(self.words).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def make_vocabulary(texts: Iterable[str], codes: Iterable[str], at_least: int = 2) -> Vocabulary:
    """Every word that training has often enough."""
    counts: collections.Counter[str] = collections.Counter()
    for text in texts:
        counts.update(prompt_words(text))
    for code in codes:
        counts.update(code_tokens(code))
    kept = sorted(word for word, n in counts.items() if n >= at_least)
    return Vocabulary((*_SPECIAL, *kept))


def encode(text: str, code: str, number: dict[str, int], max_length: int) -> list[int]:
    """`[CLS] prompt [SEP] code`, cut at the end of each part."""
    prompt = [number.get(word, UNK) for word in prompt_words(text)][: int(max_length * _PROMPT_SHARE)]
    program = [number.get(word, UNK) for word in code_tokens(code)]
    return [CLS, *prompt, SEP, *program][:max_length]
