import copy
import io
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from engine.config.mugrokfast import MuGrokfastConfig
from engine.quietstar.body import Body, Size
from engine.quietstar.lora import attach
from engine.training.mugrokfast.groups import param_groups
from engine.training.mugrokfast.optimizer import MuGrokfast
from tests.engine.training.slow_mugrokfast import Slow

EXACT = MuGrokfastConfig(muon_lr=0.01, ns_dtype="float64", weight_decay=0.1)


def exact(**changes: Any) -> MuGrokfastConfig:
    return EXACT.model_copy(update=changes)


def body() -> Body:
    return Body(Size(vocabulary=11, width=16, layers=2, heads=2), torch.Generator().manual_seed(0)).double()


def gradients(model: nn.Module, step: int) -> None:
    generator = torch.Generator().manual_seed(100 + step)
    for p in model.parameters():
        if p.requires_grad:
            p.grad = torch.randn(p.shape, generator=generator, dtype=torch.float64).to(p.dtype)


def optimizer_of(model: nn.Module, config: MuGrokfastConfig) -> MuGrokfast:
    return MuGrokfast(param_groups(model, config), config)


@pytest.mark.parametrize("batched", [False, True], ids=["one by one", "batched"])
@pytest.mark.parametrize("change", [{}, {"grokfast_lambda": 0.0}, {"nesterov": False}, {"adamw_lr": 0.3}], ids=str)
def test_ten_steps_are_those_of_the_definition(change: dict[str, Any], batched: bool) -> None:
    config = exact(ns_batched=batched, **change)
    model, reference = body(), {}
    optimizer = optimizer_of(model, config)
    for group in optimizer.param_groups:
        for p in group["params"]:
            reference[p] = (Slow(config, group["kind"], group["weight_decay"]), p.detach().clone(), group["lr"])
    for step in range(10):
        gradients(model, step)
        optimizer.step()
        reference = {p: (slow, slow.step(w, p.grad, lr), lr) for p, (slow, w, lr) in reference.items()}
    for p, (_, w, _) in reference.items():
        torch.testing.assert_close(p.detach(), w, rtol=0, atol=1e-11)


@pytest.mark.parametrize("transposed", [False, True], ids=["Linear", "Conv1D"])
def test_a_joined_qkv_is_split_into_its_three_maps(transposed: bool) -> None:
    model = nn.Module()
    model.c_attn = nn.Linear(48, 16, bias=False) if transposed else nn.Linear(16, 48, bias=False)
    model.double()
    start = model.c_attn.weight.detach().clone()
    (group,) = param_groups(model, EXACT)
    assert (group["parts"], group["parts_dim"]) == (3, int(transposed))
    optimizer = MuGrokfast([group], EXACT)
    gradients(model, 0)
    optimizer.step()
    expected = Slow(EXACT, "muon", 0.1, 3, int(transposed)).step(start, model.c_attn.weight.grad, 0.01)
    torch.testing.assert_close(model.c_attn.weight.detach(), expected, rtol=0, atol=1e-11)


def test_with_lambda_zero_no_average_is_kept() -> None:
    model = body()
    optimizer = optimizer_of(model, exact(grokfast_lambda=0.0))
    gradients(model, 0)
    optimizer.step()
    assert not [s for s in optimizer.state.values() if "grokfast" in s]


def test_grokfast_strengthens_the_slow_part_and_not_the_fast_one() -> None:
    """A gradient whose sign flips every step keeps its size; one that stays grows by lambda. (Inverted, the flips would grow.)"""
    model = nn.Linear(2, 2)
    optimizer = optimizer_of(model, exact(grokfast_lambda=2.0, grokfast_alpha=0.9))
    for step in range(200):
        model.bias.grad = torch.tensor([1.0, (-1.0) ** step])
        steady, flipping = optimizer._strengthened(model.bias, optimizer.param_groups[-1])
    assert steady.item() == pytest.approx(3.0, abs=1e-3)
    assert abs(flipping.item()) == pytest.approx(1.0, abs=0.15)


def test_gradients_are_read_and_not_changed() -> None:
    model = body()
    optimizer = optimizer_of(model, EXACT)
    gradients(model, 0)
    before = [p.grad.clone() for p in model.parameters()]
    optimizer.step()
    assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), before, strict=True))


def test_zero_gradients_move_nothing_but_by_decay() -> None:
    model = body()
    optimizer = optimizer_of(model, exact(weight_decay=0.0))
    before = copy.deepcopy(model.state_dict())
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_first_step_of_lora_moves_b_alone() -> None:
    """B starts at zero, so A's first gradient is zero: its zero momentum must not be blown up to an orthogonal matrix."""
    model = body()
    lora = attach(model, rank=4, alpha=8, targets=("q", "up"), generator=torch.Generator().manual_seed(1))
    a, b = zip(*[(x.A, x.B) for x in lora.adapters.values()], strict=True)
    before = [p.detach().clone() for p in a]
    optimizer = optimizer_of(model, exact(weight_decay=0.0))
    model(torch.arange(8)[None]).logits.square().mean().backward()
    optimizer.step()
    assert all(torch.equal(p, was) for p, was in zip(a, before, strict=True))
    assert all(p.any() for p in b)


def test_tables_heads_norms_and_biases_stay_off_muon() -> None:
    model = nn.ModuleDict(
        {
            "tokens": nn.Embedding(7, 4),
            "up": nn.Linear(4, 8),
            "norm": nn.LayerNorm(8),
            "score": nn.Linear(8, 1),
            "lm_head": nn.Linear(8, 7),
        }
    )
    names = {id(p): name for name, p in model.named_parameters()}
    kinds = {names[id(p)]: g["kind"] for g in param_groups(model, EXACT) for p in g["params"]}
    assert [name for name, kind in kinds.items() if kind == "muon"] == ["up.weight"]
    assert len(kinds) == len(names)


def test_a_tied_head_is_a_table() -> None:
    kinds = {g["kind"] for g in param_groups(body(), EXACT) for p in g["params"] if p.shape == (11, 16)}
    assert kinds == {"adamw"}


def test_a_caller_keeps_what_it_wants_off_muon() -> None:
    kinds = {g["kind"] for g in param_groups(nn.ModuleDict({"mix": nn.Linear(4, 4)}), EXACT, adamw=("mix.",))}
    assert kinds == {"adamw"}


def test_norms_and_biases_do_not_decay() -> None:
    decays = {p.ndim: g["weight_decay"] for g in param_groups(nn.Linear(3, 3), EXACT) for p in g["params"]}
    assert decays == {2: 0.1, 1: 0.0}


def test_bare_tensors_are_refused_with_the_reason() -> None:
    with pytest.raises(TypeError, match="can't tell a table from a map"):
        MuGrokfast(list(body().parameters()), EXACT)  # type: ignore[arg-type]


def test_it_agrees_with_torch_muon_where_both_apply() -> None:
    ours, theirs = nn.Linear(64, 32, bias=False), nn.Linear(64, 32, bias=False)
    theirs.load_state_dict(ours.state_dict())
    config = MuGrokfastConfig(muon_lr=0.02, grokfast_lambda=0.0, weight_decay=0.1, ns_dtype="bfloat16")
    mine = optimizer_of(ours, config)
    other = torch.optim.Muon(theirs.parameters(), lr=0.02, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for step in range(5):
        gradients(ours, step)
        theirs.weight.grad = ours.weight.grad.clone()
        mine.step()
        other.step()
    moved = 5 * 0.02 * 0.2 * 8
    assert (ours.weight - theirs.weight).abs().max() < 0.02 * moved


def trained(model: nn.Module, optimizer: MuGrokfast, steps: range) -> dict[str, Tensor]:
    for step in steps:
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * 0.9**step
        gradients(model, step)
        optimizer.step()
    return model.state_dict()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_going_on_from_saved_state_gives_the_same_bits(dtype: torch.dtype) -> None:
    config = MuGrokfastConfig.baking()
    whole = body().to(dtype)
    through = copy.deepcopy(trained(whole, optimizer_of(whole, config), range(6)))

    first = body().to(dtype)
    optimizer = optimizer_of(first, config)
    trained(first, optimizer, range(3))
    file = io.BytesIO()
    torch.save({"model": first.state_dict(), "optimizer": optimizer.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    second = body().to(dtype)
    again = optimizer_of(second, config)
    second.load_state_dict(saved["model"])
    again.load_state_dict(saved["optimizer"])
    ended = trained(second, again, range(3, 6))
    for name, value in through.items():
        torch.testing.assert_close(ended[name], value, rtol=0, atol=0)


def test_a_resumed_run_computes_the_way_that_was_chosen() -> None:
    model = body()
    optimizer = optimizer_of(model, MuGrokfastConfig.baking())
    gradients(model, 0)
    optimizer.step()
    chosen = [g["ways"] for g in optimizer.param_groups if g["kind"] == "muon"]
    again = optimizer_of(body(), MuGrokfastConfig.baking())
    again.load_state_dict(optimizer.state_dict())
    assert chosen[0]
    assert [g["ways"] for g in again.param_groups if g["kind"] == "muon"] == chosen


def test_schedulers_find_a_rate_in_every_group() -> None:
    optimizer = optimizer_of(body(), exact(adamw_lr=0.5))
    torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    assert {g["lr"] for g in optimizer.param_groups} == {0.01, 0.5}


def test_parameters_without_a_gradient_are_left_alone() -> None:
    model = body()
    optimizer = optimizer_of(model, EXACT)
    gradients(model, 0)
    model.blocks[0].q.weight.grad = None
    before = model.blocks[0].q.weight.detach().clone()
    optimizer.step()
    assert torch.equal(model.blocks[0].q.weight, before)


def test_a_sparse_gradient_is_refused() -> None:
    table = nn.Embedding(5, 3, sparse=True)
    optimizer = optimizer_of(table, EXACT)
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(RuntimeError, match="dense real gradients"):
        optimizer.step()


def test_a_closure_is_called_with_gradients_on() -> None:
    model = nn.Linear(3, 3)
    optimizer = optimizer_of(model, EXACT)

    def closure() -> Tensor:
        loss = model(torch.ones(1, 3)).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).requires_grad


def test_the_presets_are_the_sources() -> None:
    keys = ("muon_lr", "grokfast_lambda", "qk_clip_threshold", "kl_coefficient", "weight_decay")
    baking, rl = MuGrokfastConfig.baking(), MuGrokfastConfig.rl()
    assert [getattr(baking, k) for k in keys] == [1e-4, 0.2, 30.0, 0.0, 0.01]
    assert [getattr(rl, k) for k in keys] == [5e-4, 0.1, 25.0, 0.1, 0.0]
