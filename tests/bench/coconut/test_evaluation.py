"""Evaluation of 300 questions in a batch with caches, against one by one without.

    python -m pytest tests/bench/coconut/test_evaluation.py -s -c tests/bench/pytest.ini

Random weights say no end token, so both sides say as many words as a trained model does: an answer (7)
after thoughts, a chain and its answer (32) without.
"""

import pytest

from engine.coconut.generate import generate
from engine.coconut.gpt2 import from_hugging_face
from engine.coconut.layout import prompt_row
from engine.coconut.model import Coconut
from engine.config.coconut import Variant
from tests.bench.coconut import plain
from tests.bench.coconut.setting import HEADS, LAYERS, TOKENS, VOCABULARY, WIDTH, cpu_s, problems, say

QUESTIONS, ALONE = 300, 12
UNSAID = 70  # a row of the table that is no token: an end that does not come early


@pytest.mark.parametrize(("kind", "words"), [("coconut", 7), ("cot", 32)])
def test_300_questions(kind, words):
    variant = Variant(name="bench", **{kind: True})
    source = plain.gpt2(VOCABULARY, WIDTH, LAYERS, HEADS)
    model = Coconut(from_hugging_face(source), "continuous", TOKENS.latent, TOKENS.plain.like)
    prompts = [prompt_row(s, TOKENS, variant, 6 if kind == "coconut" else 0) for s in problems(QUESTIONS)]
    generate(model, prompts[:20], UNSAID, words, 20, end_at_once=False)
    found: list[list[int]] = []
    ours = cpu_s(lambda: found.extend(generate(model, prompts, UNSAID, words, 50, end_at_once=False)))
    flat = [[*p.prefix, *[TOKENS.latent] * p.thoughts, *p.tail] for p in prompts[:: QUESTIONS // ALONE]]
    alone: list[list[int]] = []
    plain.words(source, flat[0], TOKENS.latent, UNSAID, 2)
    theirs = cpu_s(lambda: alone.extend(plain.words(source, f, TOKENS.latent, UNSAID, words) for f in flat))
    theirs *= QUESTIONS / len(flat)
    assert alone == found[:: QUESTIONS // ALONE]
    say(
        f"300 questions, {kind}, {words} words: one by one over batched",
        theirs / ours,
        15,
        40,
        f"{theirs:.1f} s (from {len(flat)} of them), {ours:.2f} s",
    )
    assert theirs / ours >= 15
