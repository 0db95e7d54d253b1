"""Evaluation of 300 questions in batches with caches, against one by one without.

    FRACTAL_DATA=… python -m pytest tests/bench/coconut/test_evaluation.py -s -c tests/bench/pytest.ini

Random weights say no end token, so both sides say as many words as a trained model does: an answer (7 of ProsQA's words, 9 of
GPT-2's tokens) after thoughts, a chain and its answer (32) without. "Without cache" is meant to the letter; what the reference
does, thoughts through a cache and words without, stands beside it.
"""

import os
from pathlib import Path

import pytest

from engine.coconut.generate import generate
from engine.coconut.gpt2 import from_hugging_face
from engine.coconut.layout import prompt_row
from engine.coconut.model import Coconut
from engine.coconut.tokens import Bpe, Tokens
from engine.config.coconut import CoconutConfig, Variant
from tests.bench.coconut import plain
from tests.bench.coconut.setting import HEADS, LAYERS, TOKENS, VOCABULARY, WIDTH, cpu_s, problems, say

QUESTIONS, ALONE = 300, 12
UNSAID = 70  # a row of the table that is no token: an end that does not come early
AT_ONCE = CoconutConfig.model_fields["eval_batch"].default


def against_one_by_one(tokens: Tokens, rows: int, unsaid: int, kind: str, words: int) -> None:
    variant = Variant(name="bench", **{kind: True})
    source = plain.gpt2(rows, WIDTH, LAYERS, HEADS)
    model = Coconut(from_hugging_face(source), "continuous", tokens.latent, tokens.plain.like)
    prompts = [prompt_row(s, tokens, variant, 6 if kind == "coconut" else 0) for s in problems(QUESTIONS, tokens)]
    flat = [[*p.prefix, *[tokens.latent] * p.thoughts, *p.tail] for p in prompts[:: QUESTIONS // ALONE]]
    generate(model, prompts[:20], unsaid, words, 20, end_at_once=False)
    plain.words(source, flat[0], tokens.latent, unsaid, 2)
    found: list[list[int]] = []
    ours = alone_s = cached_s = 0.0
    for part in range(3):  # taken in turns: a neighbour's load hits all alike
        hundred = slice(part * QUESTIONS // 3, (part + 1) * QUESTIONS // 3)
        four = flat[part * ALONE // 3 : (part + 1) * ALONE // 3]
        ours += cpu_s(
            lambda these=prompts[hundred]: found.extend(  # type: ignore[misc]
                generate(model, these, unsaid, words, AT_ONCE, end_at_once=False)
            )
        )
        alone: list[list[int]] = []
        alone_s += cpu_s(
            lambda these=four, out=alone: out.extend(  # type: ignore[misc]
                plain.words(source, f, tokens.latent, unsaid, words) for f in these
            )
        )
        cached_s += cpu_s(
            lambda these=four: [plain.words(source, f, tokens.latent, unsaid, words, True) for f in these]  # type: ignore[misc]
        )
        assert alone == found[hundred][:: QUESTIONS // ALONE]
    times = QUESTIONS / ALONE
    say(f"300 questions, {kind}, {words} words of {rows} rows: one by one over batched", alone_s * times / ours, 15, 40,
        f"{alone_s * times:.1f} s (from {ALONE} of them), {ours:.2f} s; "
        f"thoughts through a cache {cached_s * times:.1f} s, {cached_s * times / ours:.1f}")  # fmt: skip
    assert alone_s * times / ours >= 15


@pytest.mark.parametrize(("kind", "words"), [("coconut", 7), ("cot", 32)])
def test_300_questions(kind, words):
    against_one_by_one(TOKENS, VOCABULARY, UNSAID, kind, words)


def test_300_questions_in_gpt2_s_tokens():
    folder = Path(os.environ.get("FRACTAL_DATA", ""))
    if not (folder / "gpt2_vocab.bpe").exists():
        pytest.skip("no GPT-2 tokenizer files in $FRACTAL_DATA")
    tokens = Tokens(Bpe(folder))
    against_one_by_one(tokens, 50261, 50260, "coconut", 9)
