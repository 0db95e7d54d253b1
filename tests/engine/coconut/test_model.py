"""The fast model is the slow obvious one: loss and gradients, every stage, every mode, every kind of batch."""

import dataclasses
from random import Random

import pytest
import torch

from engine.coconut import gpt2, hf_body
from engine.coconut.attention import attend, offer
from engine.coconut.gpt2 import GPT2, from_hugging_face
from engine.coconut.hf_body import HuggingFaceBody
from engine.coconut.layout import LayoutError, buckets, collate, labels, training_row
from engine.coconut.model import Coconut, size_of
from engine.coconut.tokens import Encoded, Tokens, Words, encode_sample
from engine.config.coconut import Variant
from engine.data.prosqa_generator import generate
from tests.engine.coconut import slow

TOKENS = Tokens(Words())


def samples() -> list[Encoded]:
    """Problems with their questions cut short: the mathematics is the same and the slow version is slow."""
    whole = [encode_sample(TOKENS, s) for s in generate(4, seed=11)]
    return [dataclasses.replace(s, question=s.question[: 9 + 7 * at]) for at, s in enumerate(whole)]


SAMPLES = samples()
MODES = ("continuous", "frozen", "learned_shared", "token")


def variant(kind: str = "coconut", **more) -> Variant:
    return Variant(name="test", **({kind: True} | more))


def fast_model(source, mode: str, body=None) -> Coconut:
    return Coconut(body or from_hugging_face(source), mode, TOKENS.latent, TOKENS.plain.like)


def fast_loss(model: Coconut, rows, parts: int = 1):
    """Sum over parts over all labels, as training takes it."""
    total = sum(model(collate(part, TOKENS.eos)) for part in buckets(rows, parts))
    return total / labels(rows)


def rows_at(stage: int, v: Variant, samples=SAMPLES, seed: int = 0):
    rng = Random(seed)
    return [training_row(s, TOKENS, v, stage, rng) for s in samples]


def sequences_at(stages: list[int], v: Variant, samples=SAMPLES):
    return [
        slow.sequence(s, TOKENS, stage, v.max_latent_stage, v.c_thought, v.pad_latent_to_max, v.kind)
        for s, stage in zip(samples, stages, strict=True)
    ]


def compare(v: Variant, rows, sequences, parts: int = 1):
    """Loss and every gradient of both, within 1e-5."""
    source = slow.hugging_face_gpt2(TOKENS.size)
    model = fast_model(source, v.feedback_mode)
    pause = None
    if v.feedback_mode in ("frozen", "learned_shared"):
        pause = source.transformer.wte.weight[TOKENS.plain.like].detach().clone()
        pause.requires_grad_(v.feedback_mode == "learned_shared")
    want = slow.loss(source, sequences, TOKENS.latent, v.feedback_mode, pause)
    want.backward()
    got = fast_loss(model, rows, parts)
    got.backward()
    assert abs((got - want).item()) < 1e-5
    theirs = {name: p.grad for name, p in source.named_parameters() if p.grad is not None}
    wanted = gpt2.renamed(theirs, len(model.body.blocks))
    for name, parameter in model.body.named_parameters():
        torch.testing.assert_close(parameter.grad, wanted[name], atol=1e-5, rtol=1e-5)
    if v.feedback_mode == "learned_shared" and pause.grad is not None:
        torch.testing.assert_close(model.pause_embedding.grad, pause.grad, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("stage", range(8))
def test_loss_and_gradients_are_the_slow_ones_at_every_stage(stage, mode):
    v = variant(feedback_mode=mode)
    compare(v, rows_at(stage, v), sequences_at([stage] * len(SAMPLES), v))


@pytest.mark.parametrize("stage", [0, 2, 4, 7])
@pytest.mark.parametrize("kind", ["cot", "no_cot", "no_thoughts"])
def test_models_without_thoughts_are_the_slow_ones(kind, stage):
    v = variant(kind)
    compare(v, rows_at(stage, v), sequences_at([stage] * len(SAMPLES), v))


@pytest.mark.parametrize("mode", ["continuous", "learned_shared"])
def test_two_thoughts_a_stage_are_the_slow_ones(mode):
    v = variant(feedback_mode=mode, c_thought=2)
    compare(v, rows_at(3, v), sequences_at([3] * len(SAMPLES), v))


@pytest.mark.parametrize("mode", ["continuous", "frozen"])
def test_rows_with_more_fewer_and_no_thoughts_share_a_batch(mode):
    v = variant(feedback_mode=mode)
    stages = [0, 3, 1, 6]
    rng = Random(0)
    rows = [training_row(s, TOKENS, v, stage, rng) for s, stage in zip(SAMPLES, stages, strict=True)]
    assert {row.thoughts for row in rows} == {0, 1, 3, 6}
    compare(v, rows, sequences_at(stages, v))


def test_uniform_prob_draws_stages_as_the_slow_one_does():
    v = variant(uniform_prob=0.5)
    stages = slow.random_stages(SAMPLES, 2, 0.5, Random(7))
    assert set(stages) != {2}
    compare(v, rows_at(2, v, seed=7), sequences_at(stages, v))


def test_beyond_the_last_stage_without_padding_thoughts_follow_the_sample():
    v = variant(pad_latent_to_max=False)
    rows = rows_at(7, v)
    assert [row.thoughts for row in rows] == [len(s.steps) for s in SAMPLES]
    compare(v, rows, sequences_at([7] * len(SAMPLES), v))


@pytest.mark.parametrize("parts", [2, 3, 4])
def test_length_sorted_parts_add_up_to_the_whole(parts):
    v = variant()
    compare(v, rows_at(2, v), sequences_at([2] * len(SAMPLES), v), parts)


def test_a_single_row_needs_no_masks():
    v = variant()
    one = SAMPLES[:1]
    compare(v, rows_at(3, v, one), sequences_at([3], v, one))


def test_our_gpt2_is_hugging_faces():
    source = slow.hugging_face_gpt2(TOKENS.size)
    body = from_hugging_face(source)
    ids = torch.randint(0, TOKENS.size, (2, 40))
    length = torch.tensor([1, 1])
    memory, _ = body.begin(body.tokens(ids[:, :1]), torch.zeros(2, 1, dtype=torch.long), length, False)
    positions = torch.arange(1, 40).expand(2, -1)
    hidden = body.extend(body.tokens(ids[:, 1:]), positions, torch.ones(2, 39, dtype=torch.bool), memory)
    torch.testing.assert_close(body.logits(hidden), source(ids).logits[:, 1:], atol=2e-5, rtol=1e-5)


def llama(seed: int = 0):
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=TOKENS.plain.size,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        initializer_range=0.2,
    )
    return LlamaForCausalLM(config)


def llama_slow_loss(model, sequences):
    """The blackboard version for a body whose inner model is not called `transformer`."""
    total, count = torch.zeros(()), 0
    for one in sequences:
        x = list(model.model.embed_tokens(torch.tensor(one.ids)))
        for at, token in enumerate(one.ids):
            if token == TOKENS.latent:
                x[at] = model.model(inputs_embeds=torch.stack(x[:at])[None], use_cache=False).last_hidden_state[0, -1]
        logits = model(inputs_embeds=torch.stack(x)[None], use_cache=False).logits[0, :-1]
        wanted = torch.tensor(one.labels[1:])
        total = total + torch.nn.functional.cross_entropy(logits, wanted, ignore_index=slow.IGNORED, reduction="sum")
        count += int((wanted != slow.IGNORED).sum())
    return total / count


@pytest.mark.parametrize("stages", [[3, 3, 3, 3], [0, 3, 1, 6]])
def test_a_llama_thinks_through_the_cache_as_the_slow_one(stages):
    v = variant()
    source = llama()
    body = HuggingFaceBody(source)
    hf_body.widen(body, TOKENS.size, TOKENS.plain.like)
    want = llama_slow_loss(source, sequences_at(stages, v))
    want.backward()
    wanted = {name: p.grad.clone() for name, p in source.named_parameters()}
    source.zero_grad()
    rng = Random(0)
    rows = [training_row(s, TOKENS, v, stage, rng) for s, stage in zip(SAMPLES, stages, strict=True)]
    got = fast_loss(fast_model(None, "continuous", body), rows, parts=2)
    got.backward()
    assert abs((got - want).item()) < 1e-5
    for name, parameter in source.named_parameters():
        torch.testing.assert_close(parameter.grad, wanted[name], atol=1e-5, rtol=1e-4)


def test_hugging_faces_gpt2_behind_the_cache_equals_ours():
    v = variant()
    source = slow.hugging_face_gpt2(TOKENS.size)
    rows = rows_at(4, v)
    ours = fast_loss(fast_model(source, "continuous"), rows)
    theirs = fast_loss(fast_model(None, "continuous", HuggingFaceBody(source)), rows)
    assert abs((ours - theirs).item()) < 1e-5


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_late_attention_has_the_gradients_of_plain_attention(dropout):
    torch.manual_seed(0)
    shape = (2, 3, 5, 4)
    key, value = (torch.randn(shape, dtype=torch.double, requires_grad=True) for _ in range(2))
    queries = [torch.randn(2, 3, n, 4, dtype=torch.double, requires_grad=True) for n in (1, 3)]
    late = [torch.randn(2, 3, n, 4, dtype=torch.double, requires_grad=True) for n in (1, 3)]

    def run(q1, q2, k, v, l1, l2):
        torch.manual_seed(1)
        prefix = offer(k, v, None)
        first = attend(q1, prefix, l1, l1 * 2, None, dropout)
        return first, attend(q2, prefix, l2, l2 + first.mean(), None, dropout)

    # One backward pass through a sum of squares against the numbers, since a prefix serves one pass only.
    inputs = [*queries, key, value, *late]

    def scalar() -> torch.Tensor:
        return sum((out**2).sum() for out in run(*inputs))

    scalar().backward()
    for tensor in inputs:
        flat = tensor.data.view(-1)
        for at in range(0, flat.numel(), 7):
            keep = flat[at].item()
            flat[at] = keep + 1e-6
            high = scalar().item()
            flat[at] = keep - 1e-6
            low = scalar().item()
            flat[at] = keep
            assert tensor.grad.view(-1)[at].item() == pytest.approx((high - low) / 2e-6, abs=1e-5, rel=1e-5)


def test_a_pause_in_one_pass_is_the_pause_in_many():
    """Thoughts known beforehand make the sequential passes of the source an identity, not a mechanism."""
    v = variant(feedback_mode="frozen")
    rows = rows_at(6, v)
    model = fast_model(slow.hugging_face_gpt2(TOKENS.size), "frozen")
    batch = collate(rows, TOKENS.eos)
    at_once = model.think(batch).hidden_BTD
    model.mode, pause = "continuous", model.pause_embedding
    one_by_one = model.think(batch, change=lambda at, thought: pause.expand_as(thought)).hidden_BTD
    real = torch.arange(batch.tail_BT.shape[1]) < batch.tail_len_B[:, None]
    torch.testing.assert_close(at_once[real], one_by_one[real], atol=2e-5, rtol=1e-5)


def test_modes_have_the_parameters_that_gate_0_counts():
    sizes = {mode: size_of(fast_model(slow.hugging_face_gpt2(TOKENS.size), mode)) for mode in MODES}
    n = sizes["continuous"].trainable
    assert sizes["learned_shared"].trainable == n + 32
    assert sizes["frozen"].trainable == sizes["frozen"].total == n
    assert "pause_embedding" in fast_model(slow.hugging_face_gpt2(TOKENS.size), "frozen").state_dict()


def test_a_frozen_pause_gets_no_gradient_and_does_not_move():
    v = variant(feedback_mode="frozen")
    model = fast_model(slow.hugging_face_gpt2(TOKENS.size), "frozen")
    before = model.pause_embedding.clone()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    fast_loss(model, rows_at(6, v)).backward()
    optimizer.step()
    assert torch.equal(model.pause_embedding, before)


def test_more_thoughts_than_the_context_holds_are_refused():
    v = variant(c_thought=40)
    with pytest.raises(LayoutError, match=r"a sample of \d+ tokens \(240 of them thoughts at most\) does not fit"):
        collate(rows_at(6, v), TOKENS.eos, context=200)


def test_bf16_computes_close_to_fp32():
    v = variant()
    model = fast_model(slow.hugging_face_gpt2(TOKENS.size), "continuous")
    rows = rows_at(4, v)
    exact = fast_loss(model, rows)
    with torch.autocast("cpu", torch.bfloat16):
        rough = fast_loss(model, rows)
    rough.backward()
    assert rough.item() == pytest.approx(exact.item(), rel=0.05)
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_dropout_is_on_in_training_and_off_in_evaluation():
    torch.manual_seed(0)
    model = Coconut(GPT2(TOKENS.size, 32, 2, 4, 512, dropout=0.3), "continuous", TOKENS.latent, TOKENS.plain.like)
    batch = collate(rows_at(2, variant()), TOKENS.eos)
    assert model(batch).item() != model(batch).item()
    model.eval()
    assert model(batch).item() == model(batch).item()
