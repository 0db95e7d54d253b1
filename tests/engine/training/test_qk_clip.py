import pytest
import torch
from torch import Tensor, nn

from engine.quietstar.body import Body, Size, causal
from engine.quietstar.heads import watch_logits
from engine.quietstar.lora import attach
from engine.training.mugrokfast.qk_clip import QKClip, largest_logits

IDS = torch.randint(0, 21, (4, 12), generator=torch.Generator().manual_seed(1))
THRESHOLD = 5.0


def loud(key_heads: int | None = None) -> Body:
    """A body whose logits are far above the threshold in some heads."""
    body = Body(Size(vocabulary=21, width=32, layers=2, heads=4, key_heads=key_heads), torch.Generator().manual_seed(0))
    with torch.no_grad():
        for block in body.blocks:
            block.q.weight[:16] *= 12
            block.k.weight *= 2
    return body


def true_largest(model: Body, mask: Tensor | None = None) -> Tensor:
    """Every score of every layer and head, computed in full: (layers, heads)."""
    found = []

    def look(layer: int, q: Tensor, k: Tensor, seen_mask: Tensor | None) -> None:
        k = k.repeat_interleave(q.shape[1] // k.shape[1], 1)
        scores = q @ k.mT / q.shape[-1] ** 0.5
        allowed = causal(q.shape[2], k.shape[2]) if seen_mask is None else seen_mask
        found.append(scores.masked_fill(~allowed, -torch.inf).amax(dim=(0, 2, 3)))

    before, model.watch = model.watch, look
    with torch.no_grad():
        model(IDS, mask=mask)
    model.watch = before
    return torch.stack(found)


def clip_once(model: Body, mask: Tensor | None = None) -> QKClip:
    """All layers in turn, since a clipped layer changes what the next one reads."""
    clip = watch_logits(model, THRESHOLD)
    assert clip is not None
    for _ in range(model.size.layers):
        model(IDS, mask=mask)
        clip()
    return clip


@pytest.mark.parametrize("key_heads", [None, 2], ids=["own keys", "shared keys"])
def test_the_true_largest_logit_is_bounded(key_heads: int | None) -> None:
    body = loud(key_heads)
    assert true_largest(body).max() > 2 * THRESHOLD
    clip_once(body)
    assert true_largest(body).max() <= THRESHOLD * (1 + 1e-5)
    assert true_largest(body).max() > 0.95 * THRESHOLD  # no more than was needed


def test_quiet_heads_are_not_touched() -> None:
    body = loud()
    with torch.no_grad():
        for block in body.blocks:
            block.q.weight[16:] *= 0.1
    before = [block.q.weight[16:].clone() for block in body.blocks]
    clip = clip_once(body)
    assert clip.clipped >= 2
    assert all(torch.equal(b.q.weight[16:], was) for b, was in zip(body.blocks, before, strict=True))


def test_queries_and_keys_share_the_factor() -> None:
    body = loud()
    q, k = body.blocks[0].q.weight.clone(), body.blocks[0].k.weight.clone()
    watch_logits(body, THRESHOLD)
    body(IDS)
    body.watch.__self__()  # type: ignore[union-attr]
    factor_q, factor_k = body.blocks[0].q.weight[0, 0] / q[0, 0], body.blocks[0].k.weight[0, 0] / k[0, 0]
    torch.testing.assert_close(factor_q, factor_k)
    assert factor_q < 0.9


def test_a_shared_key_head_stays_and_the_query_heads_take_it_all() -> None:
    body = loud(key_heads=2)
    keys = [block.k.weight.clone() for block in body.blocks]
    clip_once(body)
    assert all(torch.equal(b.k.weight, was) for b, was in zip(body.blocks, keys, strict=True))


def test_pairs_that_are_masked_do_not_count() -> None:
    body = loud()
    mask = torch.eye(12, dtype=torch.bool)
    clip_once(body, mask)
    assert true_largest(body, mask).max() <= THRESHOLD * (1 + 1e-5)
    assert true_largest(body).max() > THRESHOLD


def adapted(targets: tuple[str, ...]) -> Body:
    body = loud()
    lora = attach(body, rank=4, alpha=8, targets=targets, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        for adapter in lora.adapters.values():
            adapter.B.normal_(std=0.3, generator=torch.Generator().manual_seed(3))
    body.lora = lora  # type: ignore[assignment]
    return body


@pytest.mark.parametrize("targets", [("q", "k"), ("q",), ("k", "v")], ids=str)
def test_with_lora_the_student_is_bounded_and_the_teacher_untouched(targets: tuple[str, ...]) -> None:
    body = adapted(targets)
    with body.lora.off(), torch.no_grad():
        teacher = body(IDS).logits
    clip_once(body)
    assert true_largest(body).max() <= THRESHOLD * (1 + 1e-5)
    with body.lora.off(), torch.no_grad():
        assert torch.equal(body(IDS).logits, teacher)


def test_a_clipped_adapter_merges_equal_and_comes_back_from_its_state() -> None:
    body = adapted(("q", "k", "v", "o"))
    clip_once(body)
    state = {name: value.clone() for name, value in body.lora.state().items()}
    assert any(name.endswith("gain_O") for name in state)
    with torch.no_grad():
        seen = body(IDS).logits
    again = adapted(("q", "k", "v", "o"))
    again.lora.load(state)
    assert torch.equal(again(IDS).logits, seen)
    for strength in (0.5, 1.0):
        with torch.no_grad(), body.lora.scaled(strength):
            beside = body(IDS).logits
        undo = body.lora.merge(strength)
        torch.testing.assert_close(body(IDS).logits.detach(), beside, rtol=0, atol=1e-4)
        undo()


def test_passes_without_gradients_are_not_seen() -> None:
    body = loud()
    clip = watch_logits(body, THRESHOLD)
    with torch.no_grad():
        body(IDS)
    before = body.blocks[0].q.weight.clone()
    assert clip is not None
    clip()
    assert torch.equal(body.blocks[0].q.weight, before)


def test_no_threshold_does_not_look() -> None:
    body = loud()
    assert watch_logits(body, None) is None
    assert body.watch is None


def test_the_bound_is_never_below_the_truth() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 4, 6, 8, generator=generator), torch.randn(2, 2, 6, 8, generator=generator)
    scores = (q @ k.repeat_interleave(2, 1).mT / 8**0.5).masked_fill(~causal(6, 6), -torch.inf).amax(dim=(0, 2, 3))
    bound, exact = largest_logits(q, k, None, 1e9), largest_logits(q, k, None, 0.0)
    assert (bound >= scores).all()
    torch.testing.assert_close(exact, scores.clamp_min(0))


def test_a_model_without_known_attention_is_refused() -> None:
    with pytest.raises(ValueError, match="set qk_clip_threshold: null"):
        watch_logits(nn.Linear(2, 2), 30.0)
