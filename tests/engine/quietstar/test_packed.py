"""The packed forward and the shared decoding against one plain sequence a thought, in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from engine.quietstar.body import Body, Size
from engine.quietstar.errors import ThoughtError
from engine.quietstar.packed import Layout
from engine.quietstar.reader import reader_of
from engine.quietstar.thinker import Thinker, blocks_of, truth
from engine.quietstar.thoughts import places
from engine.training.mugrokfast.qk_clip import largest_logits

START, END = 9, 10


def own(key_heads: int | None = None) -> nn.Module:
    torch.manual_seed(0)
    return Body(Size(vocabulary=11, width=32, layers=2, heads=4, key_heads=key_heads, context=64)).double()


def hugging_face(family: str) -> nn.Module:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    if family == "gpt2":
        config = transformers.GPT2Config(
            vocab_size=11, n_embd=32, n_layer=2, n_head=4, n_positions=64, bos_token_id=0, eos_token_id=0
        )
        return transformers.GPT2LMHeadModel(config).double().eval()
    config = transformers.Qwen2Config(
        vocab_size=11,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
    )
    return transformers.Qwen2ForCausalLM(config).double().eval()


BODIES = {
    "own": own,
    "own, grouped keys": lambda: own(2),
    "gpt2": lambda: hugging_face("gpt2"),
    "qwen2": lambda: hugging_face("qwen2"),
}


@pytest.fixture(params=list(BODIES))
def thinker(request: pytest.FixtureRequest) -> Thinker:
    made = Thinker(BODIES[request.param](), START, END).double()
    nn.init.normal_(made.edges.offset_2D)
    nn.init.normal_(made.mixing.mlp[-1].weight)
    return made


def example() -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(1)
    ids = torch.randint(0, 9, (2, 12), generator=g)
    at = torch.tensor([[2, 2, 7, 9], [0, 4, 4, 8]])
    return ids, at, torch.randint(0, 9, (2, 4, 3), generator=g)


def alone(thinker: Thinker, ids_L: Tensor, at: int, block_T: Tensor) -> Tensor:
    """The hidden states of one block as one plain sequence."""
    whole = torch.cat([ids_L[: at + 1], block_T])[None]
    return thinker.reader.plain(whole)[0, at + 1 :]


def test_a_packed_forward_equals_one_forward_a_thought(thinker: Thinker) -> None:
    ids, at, thoughts = example()
    blocks = blocks_of(ids, at, thoughts, 2, START, END)
    layout = Layout(at, 12, blocks.shape[-1])
    packed = thinker.reader.packed(layout.pack(ids, blocks), layout)
    inside = layout.blocks(packed)
    assert torch.allclose(packed[:, :12], thinker.reader.plain(ids), rtol=0, atol=1e-12)
    for row in range(2):
        for n in range(4):
            expected = alone(thinker, ids[row], int(at[row, n]), blocks[row, n])
            assert torch.allclose(inside[row, n], expected, rtol=0, atol=1e-12)


def test_thoughts_decoded_from_shared_keys_are_those_of_one_sequence_each(thinker: Thinker) -> None:
    ids, at, _ = example()
    thoughts = thinker.think(ids, at, 4, temperature=0.0)
    for row in range(2):
        for n in range(4):
            seen = [*ids[row, : int(at[row, n]) + 1].tolist(), START]
            for _ in range(4):
                logits = thinker.reader.logits(thinker.reader.plain(torch.tensor([seen])))
                seen.append(int(logits[0, -1].argmax()))
            assert thoughts[row, n].tolist() == seen[-4:]


def test_the_gradient_of_a_packed_forward_is_the_sum_over_the_thoughts() -> None:
    thinker = Thinker(own(2), START, END).double()
    ids, at, thoughts = example()
    blocks = blocks_of(ids, at, thoughts, 2, START, END)
    layout = Layout(at, 12, blocks.shape[-1])
    weight = thinker.body.blocks[0].k.weight
    layout.blocks(thinker.reader.packed(layout.pack(ids, blocks), layout)).square().sum().backward()
    packed, weight.grad = weight.grad, None
    for row in range(2):
        for n in range(4):
            alone(thinker, ids[row], int(at[row, n]), blocks[row, n]).square().sum().backward()
    assert torch.allclose(packed, weight.grad, rtol=0, atol=1e-10)


def test_attention_by_shared_keys_equals_attention_by_the_dense_mask() -> None:
    body = own(2)
    ids, at, thoughts = example()
    layout = Layout(at, 12, 3)
    ids_BS = layout.pack(ids, thoughts)
    shared = body(ids_BS, layout.positions(), attend=layout.attend).hidden
    assert torch.allclose(shared, body(ids_BS, layout.positions(), layout.mask()).hidden, rtol=0, atol=1e-12)


def test_qk_clip_is_shown_the_pairs_of_a_packed_forward_and_no_others() -> None:
    body, (ids, at, thoughts) = own(2), example()
    layout = Layout(at, 12, 3)
    seen: dict[str, Tensor] = {}

    def keep(layer: int, q: Tensor, k: Tensor, mask: Tensor | None) -> None:
        part = largest_logits(q, k, mask, threshold=0.0)
        seen["shown"] = (
            torch.maximum(seen["shown"], part) if layer == 0 and "shown" in seen else seen.get("shown", part)
        )

    def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if layer == 0:
            seen["dense"] = largest_logits(q, k, layout.mask(), threshold=0.0)
            layout.show(keep, layer, q, k)
        return layout.attend(layer, q, k, v)

    body(layout.pack(ids, thoughts), layout.positions(), attend=attend)
    assert torch.allclose(seen["shown"], seen["dense"])


@pytest.mark.parametrize("ahead", [1, 2, 3])
def test_no_prediction_sees_the_token_that_it_predicts(thinker: Thinker, ahead: int) -> None:
    ids, at, thoughts = example()
    at = at.clamp(max=8)
    before = thinker.talk(ids, at, thoughts, ahead)
    for step in range(ahead):
        changed = ids.clone()
        changed[0, int(at[0, 2]) + 1 + step] = (changed[0, int(at[0, 2]) + 1 + step] + 1) % 9
        after = thinker.talk(changed, at, thoughts, ahead)
        same = slice(0, step + 1)
        assert torch.allclose(before.logits_BNAV[0, 2, same], after.logits_BNAV[0, 2, same], rtol=0, atol=1e-12)
        assert torch.allclose(before.thought_logits_BNTV[0, 2], after.thought_logits_BNTV[0, 2], rtol=0, atol=1e-12)


def test_a_thought_never_sees_another_thought(thinker: Thinker) -> None:
    ids, at, thoughts = example()
    before = thinker.talk(ids, at, thoughts, 2)
    changed = thoughts.clone()
    changed[:, 0] = (changed[:, 0] + 1) % 9
    after = thinker.talk(ids, at, changed, 2)
    assert torch.equal(before.logits_BNAV[:, 1:], after.logits_BNAV[:, 1:])
    assert not torch.allclose(before.after_logits_BNAV[:, 0], after.after_logits_BNAV[:, 0])


def test_the_mixture_lies_between_its_two_parts(thinker: Thinker) -> None:
    talk = thinker.talk(*example(), 2)
    w = talk.plain_share_BNA.detach()[..., None]
    assert torch.allclose(talk.logits_BNAV, w * talk.plain_logits_BNAV + (1 - w) * talk.after_logits_BNAV)
    assert 0 < float(w.min()) < float(w.max()) < 1


def test_thoughts_of_every_row_are_drawn_and_kept(thinker: Thinker) -> None:
    ids, at, _ = example()
    thoughts = thinker.think(ids, at, 5, generator=torch.Generator().manual_seed(0))
    assert thoughts.shape == (2, 4, 5)
    assert len({tuple(t.tolist()) for t in thoughts.flatten(0, 1)}) > 4


def test_the_truth_after_a_place_is_what_the_text_says() -> None:
    ids, at, _ = example()
    assert truth(ids, at, 2)[0, 2].tolist() == ids[0, 8:10].tolist()


def test_a_thought_longer_than_the_context_is_refused() -> None:
    thinker = Thinker(own(), START, END).double()
    ids, at, _ = example()
    with pytest.raises(ThoughtError, match=r"goes over the context of 64: lower rl.thought_tokens"):
        thinker.think(ids, at, 60)


def test_a_model_without_thinking_tokens_is_refused() -> None:
    with pytest.raises(ThoughtError, match="the baked model has no thinking tokens"):
        Thinker(own(), 11, 12)


def test_places_are_the_most_uncertain_and_a_random_rest() -> None:
    entropy = torch.arange(20.0).expand(3, -1).clone()
    entropy[:, 19] = -torch.inf
    chosen = places(entropy, "entropy", 0.2, 0.2, torch.Generator().manual_seed(0))
    assert chosen.shape == (3, 8)
    for row in chosen.tolist():
        assert row == sorted(set(row))
        assert {15, 16, 17, 18} <= set(row)
        assert 19 not in row
    assert len({tuple(row) for row in chosen.tolist()}) > 1


def test_all_places_are_all_that_are_allowed() -> None:
    entropy = torch.zeros(2, 6)
    entropy[:, 5] = -torch.inf
    assert places(entropy, "all", 0.0, 0.0, torch.Generator()).tolist() == [[0, 1, 2, 3, 4]] * 2


def test_the_table_is_left_as_it_was_when_the_edges_go() -> None:
    body = own()
    ids = example()[0]
    ids[0, 0] = START
    before = reader_of(body).plain(ids)
    thinker = Thinker(body, START, END).double()
    nn.init.normal_(thinker.edges.offset_2D)
    assert not torch.allclose(before, thinker.reader.plain(ids))
    thinker.edges.remove()
    assert torch.equal(before, thinker.reader.plain(ids))
