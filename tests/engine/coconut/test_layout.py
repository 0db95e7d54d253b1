"""What training and evaluation see of a sample: stages, cuts, labels, padding."""

from random import Random

import pytest

from engine.coconut.curriculum import prompt_thoughts, stage_of, training_cut
from engine.coconut.layout import NO_LABEL, buckets, collate, prompt_row, training_row
from engine.coconut.tokens import Bpe, TokenError, Tokens, Words, encode_sample, refuse_full_table, refuse_ragged_pieces
from engine.config.coconut import Variant
from engine.data.prosqa_generator import generate
from tests.engine.data.test_prosqa import REAL

TOKENS = Tokens(Words())
PROBLEMS = generate(12, seed=2)
SAMPLES = [encode_sample(TOKENS, s) for s in PROBLEMS]


def variant(kind: str = "coconut", **more) -> Variant:
    return Variant(name="test", **({kind: True} | more))


def cut(steps: int, stage: int, **more):
    found = training_cut(steps, stage, variant(**more), Random(0))
    return found.steps, found.thoughts


def test_the_first_steps_go_and_as_many_thoughts_come():
    row = training_row(SAMPLES[0], TOKENS, variant(), 2, Random(0))
    assert row.prefix == (*SAMPLES[0].question, TOKENS.start)
    assert row.thoughts == 2
    left = [i for step in SAMPLES[0].steps[2:] for i in step] + list(SAMPLES[0].answer)
    assert row.tail == (TOKENS.end, *left)
    assert row.targets == (*left, NO_LABEL)


def test_short_chains_get_the_stage_s_thoughts_all_the_same():
    assert cut(3, 5) == (5, 5)


def test_beyond_the_last_stage_everything_goes():
    assert cut(3, 7) == (3, 6)
    assert cut(3, 7, pad_latent_to_max=False) == (3, 3)


def test_c_thought_multiplies_thoughts_and_not_steps():
    assert cut(4, 3, c_thought=2) == (3, 6)


def test_an_evaluation_thinks_as_much_as_training_did():
    assert [prompt_thoughts(3, stage, variant()) for stage in (0, 2, 6, 9)] == [0, 2, 6, 6]
    assert prompt_thoughts(3, 9, variant(pad_latent_to_max=False)) == 3
    assert prompt_thoughts(3, 9, variant("cot")) == 0


def test_stages_follow_epochs_and_baselines_stay_at_zero():
    assert [stage_of(epoch, variant()) for epoch in (0, 4, 5, 30, 49)] == [0, 0, 1, 6, 9]
    assert stage_of(30, variant("cot")) == 0
    assert stage_of(0, variant(curriculum=False)) == 7


def test_models_without_thoughts_see_no_markers():
    for kind in ("cot", "no_cot", "no_thoughts", "icot"):
        row = training_row(SAMPLES[0], TOKENS, variant(kind), 1, Random(0))
        assert not {TOKENS.start, TOKENS.end, TOKENS.latent} & {*row.prefix, *row.tail}
        assert (*row.prefix, row.tail[0]) == SAMPLES[0].question


def test_icot_takes_tokens_where_no_thought_takes_steps():
    whole = [i for step in SAMPLES[0].steps for i in step] + list(SAMPLES[0].answer)
    row = training_row(SAMPLES[0], TOKENS, variant("icot", icot_tokens_per_stage=4), 2, Random(0))
    assert list(row.tail[1:]) == whole[8:]
    last = training_row(SAMPLES[0], TOKENS, variant("icot"), 7, Random(0))
    assert last.tail[1:] == SAMPLES[0].answer


def test_a_prompt_is_the_row_up_to_the_model_s_own_words():
    row = training_row(SAMPLES[0], TOKENS, variant(), 3, Random(0))
    prompt = prompt_row(SAMPLES[0], TOKENS, variant(), 3)
    assert (prompt.prefix, prompt.thoughts, prompt.tail) == (row.prefix, row.thoughts, row.tail[:1])


def test_positions_count_real_tokens_from_zero():
    rows = [training_row(s, TOKENS, variant(), stage, Random(0)) for s, stage in zip(SAMPLES, (0, 3, 6), strict=False)]
    batch = collate(rows, TOKENS.eos)
    for at, row in enumerate(rows):
        assert batch.tail_positions_BT[at, 0].item() == len(row.prefix) + row.thoughts
        assert batch.tail_positions_BT[at, len(row.tail) - 1].item() == row.length - 1


def test_parts_hold_every_row_once_and_less_padding():
    rows = [training_row(s, TOKENS, variant(), 0, Random(0)) for s in SAMPLES]
    parts = buckets(rows, 4)
    assert sorted(map(id, rows)) == sorted(id(row) for part in parts for row in part)
    whole = collate(rows, TOKENS.eos)
    assert sum(collate(part, TOKENS.eos).padded for part in parts) < whole.padded


def test_the_words_tokenizer_gives_back_what_it_took():
    for sample in PROBLEMS:
        text = "\n".join([sample.question, *sample.steps, "### " + sample.answer])
        assert TOKENS.decode(TOKENS.encode(text)) == text


def test_markers_show_in_decoded_text_and_the_end_token_does_not():
    ids = [TOKENS.start, TOKENS.latent, TOKENS.end, *TOKENS.encode("### Tom is a lempus."), TOKENS.eos]
    assert TOKENS.decode(ids) == "<|start-latent|><|latent|><|end-latent|>### Tom is a lempus."


def test_a_word_that_is_not_prosqa_s_is_named():
    with pytest.raises(TokenError, match=r"'wizard' is not a word of ProsQA; use tokenizer: gpt2"):
        TOKENS.encode("Every wizard is a lempus.")


def test_a_table_without_room_for_the_markers_is_refused():
    with pytest.raises(
        TokenError, match=r"tiny has 66 embedding rows and the tokenizer with its three markers needs 69"
    ):
        refuse_full_table(66, TOKENS, "tiny")


@pytest.mark.skipif(not (REAL / "gpt2_vocab.bpe").exists(), reason="no GPT-2 tokenizer files in the data folder")
def test_gpt2_s_tokenizer_has_the_known_ids_and_joins_no_pieces():
    tokens = Tokens(Bpe(REAL))
    assert (tokens.eos, tokens.start, tokens.end, tokens.latent, tokens.plain.like) == (
        50256,
        50257,
        50258,
        50259,
        16791,
    )
    refuse_ragged_pieces(tokens, PROBLEMS[0])
