import pytest
import torch
from torch import nn

from engine.quietstar.body import Body, Size
from engine.quietstar.lora import Lora, LoraError, attach

IDS = torch.randint(0, 21, (3, 9), generator=torch.Generator().manual_seed(1))
ALL = ("q", "k", "v", "o", "up", "down")


@pytest.fixture
def body() -> Body:
    return Body(Size(vocabulary=21, width=32), torch.Generator().manual_seed(0))


def stirred(body: nn.Module, **more: object) -> Lora:
    """Adapters that change something."""
    lora = attach(body, rank=4, alpha=8, targets=ALL, generator=torch.Generator().manual_seed(2), **more)  # type: ignore[arg-type]
    with torch.no_grad():
        for adapter in lora.adapters.values():
            adapter.B.normal_(std=0.1, generator=torch.Generator().manual_seed(3))
    return lora


def test_a_fresh_adapter_changes_nothing(body: Body) -> None:
    before = body(IDS).logits
    attach(body, rank=4, alpha=8, targets=("q", "v"))
    assert torch.equal(body(IDS).logits, before)


def test_a_is_drawn_with_variance_one_over_its_width() -> None:
    lora = attach(Body(Size(vocabulary=5, width=256, layers=4)), rank=16, alpha=16, targets=("q",))
    drawn = torch.cat([a.A.flatten() for a in lora.adapters.values()])
    assert drawn.var().item() == pytest.approx(1 / 256, rel=0.05)


def test_off_gives_the_base_to_the_bit_and_on_comes_back(body: Body) -> None:
    before = body(IDS).logits
    lora = stirred(body)
    changed = body(IDS).logits
    with lora.off():
        assert torch.equal(body(IDS).logits, before)
    assert torch.equal(body(IDS).logits, changed)
    assert not torch.allclose(changed, before, atol=1e-2)


def test_the_switch_comes_back_after_an_error(body: Body) -> None:
    lora = stirred(body)
    with pytest.raises(RuntimeError), lora.off():
        raise RuntimeError
    assert {a.strength for a in lora.adapters.values()} == {1.0}


def test_only_the_adapter_learns(body: Body) -> None:
    lora = stirred(body)
    body(IDS).logits.square().mean().backward()
    with_grad = {id(p) for p in body.parameters() if p.grad is not None}
    assert with_grad == {id(p) for p in lora.parameters()}


@pytest.mark.parametrize("strength", [0.25, 0.5, 1.0])
def test_merged_logits_are_the_adapters(body: Body, strength: float) -> None:
    lora = stirred(body)
    with lora.scaled(strength):
        beside = body(IDS).logits
    difference = lora.merge_checked(lambda: body(IDS).logits, strength)
    assert difference <= 1e-6
    torch.testing.assert_close(body(IDS).logits, beside, rtol=0, atol=1e-5)


def test_undoing_a_merge_restores_the_bits(body: Body) -> None:
    before = body.blocks[0].q.weight.detach().clone()
    lora = stirred(body)
    changed = body(IDS).logits
    undo = lora.merge(0.5)
    assert not torch.equal(lora.adapters["blocks.0.q"].weight, before)
    undo()
    assert torch.equal(lora.adapters["blocks.0.q"].weight, before)
    assert torch.equal(body(IDS).logits, changed)


def test_a_merge_that_is_not_equal_is_undone_and_refused(body: Body) -> None:
    lora = stirred(body)
    before = lora.adapters["blocks.0.q"].weight.clone()
    noise = iter([0.0, 1.0])
    with pytest.raises(LoraError, match="the merge was undone"):
        lora.merge_checked(lambda: body(IDS).logits + next(noise))
    assert torch.equal(lora.adapters["blocks.0.q"].weight, before)


def test_detached_the_model_has_its_plain_modules_and_the_merged_numbers(body: Body) -> None:
    names = set(body.state_dict())
    lora = stirred(body)
    with lora.scaled(0.5):
        beside = body(IDS).logits
    lora.detach(0.5)
    assert set(body.state_dict()) == names
    assert isinstance(body.blocks[0].q, nn.Linear)
    assert all(p.requires_grad for p in body.parameters())
    torch.testing.assert_close(body(IDS).logits, beside, rtol=0, atol=1e-5)


def test_a_saved_adapter_comes_back(body: Body) -> None:
    lora = stirred(body)
    kept = {name: value.clone() for name, value in lora.state().items()}
    changed = body(IDS).logits
    with torch.no_grad():
        for p in lora.parameters():
            p.zero_()
    lora.load(kept)
    assert torch.equal(body(IDS).logits, changed)


def test_an_adapter_of_another_model_is_refused(body: Body) -> None:
    lora = stirred(body)
    kept = dict(lora.state())
    kept.pop("blocks.0.q.A")
    with pytest.raises(LoraError, match=r"blocks\.0\.q\.A stands on one side only"):
        lora.load(kept)


def test_a_target_that_is_not_there_is_named_with_what_is(body: Body) -> None:
    with pytest.raises(LoraError, match="no module 'qkv'; its linear ones are: down, k, o, q, up, v"):
        attach(body, rank=4, alpha=8, targets=("q", "qkv"))


def test_a_target_that_is_no_linear_map_is_refused(body: Body) -> None:
    with pytest.raises(LoraError, match="tokens is a Embedding"):
        attach(body, rank=4, alpha=8, targets=("tokens",))


def test_dropout_is_for_training_only(body: Body) -> None:
    lora = stirred(body, dropout=0.5)
    body.eval()
    assert torch.equal(body(IDS).logits, body(IDS).logits)
    body.train()
    assert not torch.equal(body(IDS).logits, body(IDS).logits)
    assert lora.adapters["blocks.0.q"].dropout == 0.5
