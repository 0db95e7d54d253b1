"""One episode: what learns, what does not, and what a bad loss leaves behind."""

from __future__ import annotations

import copy

import pytest
import torch

from engine.config.quietstar_rl import Rl, Stage
from engine.quietstar import exam
from engine.quietstar import learner as learning
from engine.quietstar.body import Body
from engine.quietstar.distil import distil
from engine.quietstar.learner import Learner, LossIsNone
from engine.quietstar.lora import attach
from engine.quietstar.reference import Frozen, Switched
from engine.quietstar.reward import exact_kl
from engine.quietstar.rl_setup import thought_tokens
from engine.quietstar.rollback import Rollback
from tests.engine.quietstar import tiny


def a_learner() -> tuple[Learner, Frozen]:
    return tiny.learner(tiny.body(width=32))


def test_the_frozen_model_never_moves_and_the_kl_to_it_grows_from_zero() -> None:
    """The published trainer compares the model with itself: its KL is nothing for ever."""
    learner, baked = a_learner()
    before = copy.deepcopy(baked.thinker.state_dict())
    first = learner.episode(tiny.texts().batch(0), 4)["kl_divergence"]
    for episode in range(1, 6):
        last = learner.episode(tiny.texts().batch(episode), 4)["kl_divergence"]
    assert first == pytest.approx(0, abs=1e-6)
    assert last > 1e-4
    assert all(torch.equal(value, baked.thinker.state_dict()[name]) for name, value in before.items())


def test_every_part_of_the_thinker_learns() -> None:
    learner, _ = a_learner()
    before = copy.deepcopy(learner.thinker.state_dict())
    for episode in range(3):
        learner.episode(tiny.texts().batch(episode), 4)
    still = [name for name, value in learner.thinker.state_dict().items() if torch.equal(value, before[name])]
    assert still == []


def test_the_edges_have_a_rate_of_their_own() -> None:
    learner, _ = a_learner()
    rate = {id(p): group["lr"] for group in learner.optimizer.param_groups for p in group["params"]}
    edges, mixing = learner.thinker.edges.offset_2D, next(learner.thinker.mixing.parameters())
    assert rate[id(edges)] == pytest.approx(10 * rate[id(mixing)])
    assert len(rate) == len(list(learner.thinker.parameters()))


def test_a_loss_that_is_no_number_takes_no_step_and_hands_over_its_batch() -> None:
    learner, _ = a_learner()
    with torch.no_grad():
        learner.thinker.mixing.mlp[0].weight.fill_(torch.nan)
    before = copy.deepcopy(learner.thinker.body.state_dict())
    batch = tiny.texts().batch(0)
    with pytest.raises(LossIsNone, match="the loss is nan") as caught:
        learner.episode(batch, 4)
    assert torch.equal(caught.value.batch["ids"], batch.ids_BL)
    assert caught.value.batch["thoughts"].shape == (16, 3, 4)
    assert all(torch.equal(value, before[name]) for name, value in learner.thinker.body.state_dict().items())
    assert learner.done == 0


def test_attention_that_grows_too_sharp_in_an_episode_is_clipped_after_it() -> None:
    made = tiny.body(width=32)
    with torch.no_grad():
        for block in made.blocks:
            block.q.weight *= 16
            block.k.weight *= 16
    learner, baked = tiny.learner(made)
    before = copy.deepcopy(baked.thinker.state_dict())
    clip = learner.optimizer.after_step
    learner.episode(tiny.texts().batch(0), 4)
    largest = clip.last_largest
    assert largest > 25
    assert clip.clipped > 0
    learner.episode(tiny.texts().batch(0), 4)
    assert clip.last_largest < largest / 2
    assert all(torch.equal(value, before[name]) for name, value in baked.thinker.state_dict().items())


def test_reward_makes_right_thoughts_likelier(unsure: Body, honest: Body) -> None:
    """A third of its thoughts are right before; nothing but reward says which."""
    before, after = (
        tiny.texts().thoughts_right(128, exam.answers(tiny.thinker(m), tiny.texts().held_out(128), 4, 2).thoughts_IT)
        for m in (unsure, honest)
    )
    assert after > before + 0.3


def test_a_rollback_puts_back_weights_optimizer_and_average_to_the_bit() -> None:
    learner, _ = a_learner()
    for episode in range(3):
        learner.episode(tiny.texts().batch(episode), 4)
    rollback = Rollback(learner, limit=3)
    weights, state = copy.deepcopy(learner.thinker.state_dict()), copy.deepcopy(learner.optimizer.state_dict())
    for episode in range(3, 6):
        learner.episode(tiny.texts().batch(episode), 4)
    assert not torch.equal(learner.thinker.body.tokens.weight, weights["body.tokens.weight"])
    assert rollback.judge(passed=False) == "rolled back"
    assert all(torch.equal(value, weights[name]) for name, value in learner.thinker.state_dict().items())
    now = learner.optimizer.state_dict()["state"]
    assert now.keys() == state["state"].keys()
    compared = 0
    for key, values in state["state"].items():
        for name, value in values.items():
            if isinstance(value, torch.Tensor):
                assert torch.equal(value, now[key][name])
                compared += 1
    assert compared > 20


def test_what_is_kept_is_a_copy() -> None:
    """The published trainer keeps a live reference: its best model is always its last."""
    learner, _ = a_learner()
    rollback = Rollback(learner, limit=3)
    kept = copy.deepcopy(learner.thinker.state_dict())
    learner.episode(tiny.texts().batch(0), 4)
    rollback.judge(passed=False)
    learner.episode(tiny.texts().batch(1), 4)
    rollback.judge(passed=False)
    assert all(torch.equal(value, kept[name]) for name, value in learner.thinker.state_dict().items())


def test_each_failure_halves_reward_and_rate_and_the_third_ends_it() -> None:
    learner, _ = a_learner()
    rollback = Rollback(learner, limit=3)
    assert [rollback.judge(False), rollback.judge(True), rollback.judge(False)] == [
        "rolled back",
        "passed",
        "rolled back",
    ]
    assert (learner.policy_weight, learner.rate_share) == (0.25, 0.25)
    rate = learner.episode(tiny.texts().batch(0), 4)["learning_rate"]
    assert rate == pytest.approx(0.25 * learner.base_rates[0] * learning.rate_share(0, 8, 2))
    assert rollback.judge(False) == "theater"


def test_thoughts_grow_shorter_by_the_curriculum() -> None:
    stages = [Stage(begins=0.5, thought_tokens=2), Stage(begins=0.8, thought_tokens=1)]
    cfg = Rl(episodes=10, thought_tokens=4, curriculum=stages)
    assert [thought_tokens(cfg, episode) for episode in range(10)] == [4] * 5 + [2] * 3 + [1] * 2


def test_distilling_brings_the_answer_without_a_thought_to_that_with_one(honest: Body) -> None:
    thinker = tiny.thinker(honest, 0.5)
    optimizer = torch.optim.AdamW(thinker.body.parameters(), lr=1e-3)
    seen = distil(thinker, tiny.texts().batch, optimizer, 25, 4, 2)
    assert seen[-1] < seen[0] / 2


def test_the_length_of_a_thought_is_what_it_says_before_its_end() -> None:
    thoughts = torch.tensor([[[5, 9, 7], [9, 9, 9], [5, 6, 7]]])
    assert learning.tokens_before_end(thoughts, 9).tolist() == [[1, 0, 3]]


def test_the_exact_kl_of_an_episode_is_that_to_the_baked_model() -> None:
    learner, baked = a_learner()
    learner.episode(tiny.texts().batch(0), 4)
    batch = tiny.texts().batch(1)
    learner.generator.manual_seed(1)
    at = batch.at_BJ.repeat_interleave(3, dim=1)
    thoughts = learner.thinker.think(batch.ids_BL, at, 4, 1.0, learner.generator)
    with torch.no_grad():
        mine = learner.thinker.talk(batch.ids_BL, at, thoughts, 2).thought_logits_BNTV.log_softmax(-1)
    theirs = baked.talk(batch.ids_BL, at, thoughts, 2).thought_logits_BNTV.log_softmax(-1)
    expected = float(exact_kl(mine, theirs))
    assert learner.episode(batch, 4)["kl_divergence"] == pytest.approx(expected, rel=1e-4)


def test_the_reference_of_adapters_is_the_model_without_them_and_without_its_edges() -> None:
    made = tiny.body(width=32)
    frozen = tiny.frozen(made)
    thinker = tiny.thinker(made, 0.5)
    lora = attach(thinker.body, rank=2, alpha=4, targets=("q", "up"))
    for p in [*lora.parameters(), *thinker.edges.parameters()]:
        torch.nn.init.normal_(p)
    batch = tiny.texts().batch(0)
    thoughts = thinker.think(batch.ids_BL, batch.at_BJ, 4, generator=torch.Generator().manual_seed(0))
    given = (batch.ids_BL, batch.at_BJ, thoughts, 2)
    was = Switched(thinker, lora).talk(*given)
    assert torch.equal(was.thought_logits_BNTV, frozen.talk(*given).thought_logits_BNTV)
    assert not was.thought_logits_BNTV.requires_grad
    assert not torch.allclose(thinker.talk(*given).thought_logits_BNTV, was.thought_logits_BNTV)
