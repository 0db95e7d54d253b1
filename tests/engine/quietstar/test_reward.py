"""The reward of a thought, and what of it enters the loss."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from engine.quietstar import reward
from engine.quietstar.reward import Weights


def test_only_thoughts_above_the_mean_of_their_place_are_learned_from() -> None:
    earned = torch.tensor([[1.0, 3.0, -5.0, -1.0]])
    assert reward.advantage(earned, thoughts=2).tolist() == [[0.0, 1.0, 0.0, 2.0]]


def test_one_thought_alone_teaches_nothing() -> None:
    assert reward.advantage(torch.randn(3, 4), thoughts=1).abs().max() == 0


def test_the_reward_is_the_log_likelihood_of_all_the_tokens_ahead() -> None:
    logits = torch.randn(2, 3, 2, 7)
    true = torch.randint(7, (2, 3, 2))
    expected = sum(-F.cross_entropy(logits[1, 2, a], true[1, 2, a]) for a in range(2))
    assert torch.allclose(reward.log_likelihood(logits, true)[1, 2], expected)


def parts(weights: Weights) -> tuple[reward.Loss, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    said = torch.randn(2, 4, 3, 7, requires_grad=True)
    thoughts = torch.randint(7, (2, 4, 3))
    answers = torch.randn(2, 4, 2, 7, requires_grad=True)
    true = torch.randint(7, (2, 4, 2))
    baked = torch.randn(2, 4, 3, 7).log_softmax(-1)
    return reward.loss_of(said, thoughts, answers, true, baked, 2, weights), said, thoughts, answers, true


def test_the_loss_holds_the_log_probabilities_of_the_thoughts_own_tokens() -> None:
    """The published trainer multiplies the answer's loss by the reward; its thoughts get no gradient."""
    loss, said, thoughts, answers, true = parts(Weights(policy=1.0, kl=0.0, entropy=0.0))
    loss.total.backward()
    advantage = reward.advantage(reward.log_likelihood(answers, true), 2)
    p = said.detach().softmax(-1)
    expected = advantage[..., None, None] * (p - F.one_hot(thoughts, 7)) / 8
    assert torch.allclose(said.grad, expected, atol=1e-6)
    assert said.grad.abs().max() > 0


def test_no_gradient_flows_through_the_reward_into_the_answer_a_second_time() -> None:
    with_policy, _, _, answers, _ = parts(Weights(policy=1.0, kl=0.0, entropy=0.0))
    with_policy.total.backward()
    without, _, _, alone, _ = parts(Weights(policy=0.0, kl=0.0, entropy=0.0))
    without.total.backward()
    assert torch.equal(answers.grad, alone.grad)


def test_the_kl_is_exact_and_zero_only_to_the_model_itself() -> None:
    p, q = torch.tensor([0.5, 0.25, 0.25]), torch.tensor([0.25, 0.25, 0.5])
    expected = 0.5 * math.log(2) + 0.25 * math.log(0.5)
    assert float(reward.exact_kl(p.log()[None], q.log()[None])) == pytest.approx(expected)
    assert float(reward.exact_kl(p.log()[None], p.log()[None])) == 0
    assert float(parts(Weights(0, 1, 0))[0].kl.detach()) > 0.1


def test_diversity_counts_the_tokens_in_which_thoughts_of_one_place_differ() -> None:
    thoughts = torch.tensor([[[1, 2], [1, 3], [4, 4], [4, 4]]])
    assert reward.diversity(thoughts, 2) == 0.25
    assert reward.diversity(thoughts, 1) == 0
