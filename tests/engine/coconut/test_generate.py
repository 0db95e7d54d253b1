"""A model's own words in a batch are the words it would say alone without any cache."""

import pytest

from engine.coconut.answers import answer_of, chain_matches, difference, interval, is_right
from engine.coconut.generate import generate
from engine.coconut.gpt2 import from_hugging_face
from engine.coconut.layout import prompt_row
from engine.coconut.model import Coconut
from engine.coconut.scoring import tally
from engine.config.coconut import Variant
from engine.data.prosqa_generator import generate as problems
from tests.engine.coconut import slow
from tests.engine.coconut.test_model import SAMPLES, TOKENS

MOST = 14


def flat(row) -> list[int]:
    return [*row.prefix, *[TOKENS.latent] * row.thoughts, *row.tail]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("mode", ["continuous", "frozen", "token"])
@pytest.mark.parametrize("stage", [0, 3, 6])
def test_words_are_the_slow_ones_token_for_token(stage, mode, seed):
    source = slow.hugging_face_gpt2(TOKENS.size, seed)
    model = Coconut(from_hugging_face(source), mode, TOKENS.latent, TOKENS.plain.like)
    pause = getattr(model, "pause_embedding", None)
    v = Variant(name="test", coconut=True, feedback_mode=mode)
    prompts = [prompt_row(s, TOKENS, v, stage) for s in SAMPLES]
    # The end token is one that these random models do say, so that rows leave the batch at different times.
    alone = [slow.generate(source, flat(p), TOKENS.latent, mode, pause, -1, MOST) for p in prompts]
    eos = alone[0][5]
    want = [slow.generate(source, flat(p), TOKENS.latent, mode, pause, eos, MOST) for p in prompts]
    assert generate(model, prompts, eos, MOST, batch_size=3, end_at_once=False) == want
    assert min(map(len, want)) < MOST


def test_an_end_token_as_the_first_word_ends_a_baseline_and_not_a_thinker():
    source = slow.hugging_face_gpt2(TOKENS.size)
    model = Coconut(from_hugging_face(source), "continuous", TOKENS.latent, TOKENS.plain.like)
    prompts = [prompt_row(SAMPLES[0], TOKENS, Variant(name="test", coconut=True), 2)]
    first = generate(model, prompts, -1, 1, 1, end_at_once=False)[0][0]
    assert generate(model, prompts, first, 5, 1, end_at_once=True) == [[first]]
    assert len(generate(model, prompts, first, 5, 1, end_at_once=False)[0]) > 1


def test_words_stop_where_the_context_ends():
    source = slow.hugging_face_gpt2(TOKENS.size)
    body = from_hugging_face(source)
    model = Coconut(body, "continuous", TOKENS.latent, TOKENS.plain.like)
    prompts = [prompt_row(SAMPLES[0], TOKENS, Variant(name="test", coconut=True), 2)]
    body.context = prompts[0].length + 3
    assert len(generate(model, prompts, -1, 50, 1, end_at_once=False)[0]) == 3


def test_the_answer_is_what_stands_after_the_last_number_sign():
    assert answer_of("Every a is b.\n### Tom is a lempus.") == "Tom is a lempus."
    assert answer_of("<|end-latent|>### 1,234") == "1234"
    assert is_right("…### Tom is a lempus. ", "Tom is a lempus.")
    assert not is_right("### Tom is a lempus. Tom", "Tom is a lempus.")


def test_a_chain_matches_word_for_word_or_not_at_all():
    steps = ("Tom is a terpus.", "Every terpus is a lempus.")
    assert chain_matches("Tom is a terpus.\nEvery terpus is a lempus.\n### Tom is a lempus.", steps)
    assert not chain_matches("<|end-latent|>### Tom is a lempus.", steps)


def test_chain_match_is_only_said_of_models_that_write_chains():
    samples = problems(4, seed=0)
    texts = [f"### {s.answer}" for s in samples]
    assert tally(samples, texts, whole_chain=False).chain is None
    assert tally(samples, texts, whole_chain=True).chain.value == 0.0


def test_a_score_counts_by_hops():
    samples = problems(30, seed=0)
    texts = [f"### {s.answer}" if s.hops == 3 else "###" for s in samples]
    result = tally(samples, texts, whole_chain=False)
    assert result.hops[3].value == 1.0
    assert {result.hops[h].value for h in result.hops if h != 3} == {0.0}
    assert sum(share.n for share in result.hops.values()) == 30


def test_an_interval_says_how_little_few_problems_tell():
    assert (round(interval(0, 16).low, 3), round(interval(0, 16).high, 3)) == (0.0, 0.194)
    assert interval(500, 500).high == pytest.approx(1.0)
    assert interval(50, 100).low < 0.5 < interval(50, 100).high


def test_a_difference_is_taken_problem_by_problem():
    ours, theirs = [True] * 60 + [False] * 40, [True] * 40 + [False] * 60
    gap = difference(ours, theirs)
    assert gap.value == pytest.approx(0.2)
    assert 0 < gap.low < 0.2 < gap.high
    assert difference(ours, ours).low == difference(ours, ours).high == 0.0
