from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.config.ouroboros import Model
from engine.ouroboros import calibrate, losses
from engine.ouroboros.model import Batch, Ouroboros, Rotary, Task, Text, energy

CFG = Model(dim=16, layers=2, heads=2)


def batch(count: int = 8, text: list[int] | None = None, padded_to: int = 0, task: Task = "result") -> Batch:
    rng = np.random.default_rng(0)

    def drawn(high: int, *shape: int) -> torch.Tensor:
        return torch.from_numpy(rng.integers(0, high, shape))

    read = None
    if text is not None:
        ids_BS = torch.tensor(text + [7] * (padded_to - len(text))).repeat(count, 1)
        read = Text(ids_BS, ids_BS % 3 - 1, ids_BS % 4, torch.full((count,), len(text)))
    wrong = torch.arange(count) % 2 == 1
    return Batch(drawn(4, count), drawn(10, count, 3), drawn(10, count, 3), drawn(10, count, 3), wrong, task, read)


def model(generative: bool, vocabulary: int | None = None) -> Ouroboros:
    torch.manual_seed(0)
    made = Ouroboros(CFG, 3, generative, vocabulary).eval()
    for block in made.blocks:  # a fresh block changes nothing; give these something to say
        torch.nn.init.normal_(block.mix.weight, std=0.3)
        torch.nn.init.normal_(block.down.weight, std=0.3)
    return made


def test_generative_energy_is_one_minus_the_probability_of_the_claimed_digits() -> None:
    b, m = batch(), model(generative=True)
    p = torch.softmax(m(b).detach(), dim=-1)
    expected = [1 - np.prod([float(p[i, w, b.claimed_BW[i, w]]) for w in range(3)]) for i in range(len(b))]
    torch.testing.assert_close(energy(m(b).detach(), b), torch.tensor(expected).float(), atol=1e-5, rtol=0)


def test_the_generative_model_does_not_see_the_claim() -> None:
    b, m = batch(), model(generative=True)
    other = Batch(b.op_B, b.a_BW, b.b_BW, (b.claimed_BW + 1) % 10, ~b.wrong_B)
    assert torch.equal(m(b), m(other))


def test_the_sources_head_sees_the_claim_and_has_its_shape() -> None:
    b, m = batch(), model(generative=False)
    other = Batch(b.op_B, b.a_BW, b.b_BW, (b.claimed_BW + 1) % 10, b.wrong_B)
    assert m(b).shape == (8,)
    assert not torch.allclose(m(b), m(other))
    wide = Ouroboros(Model(dim=512, layers=1, heads=8), 3, generative=False)
    assert wide.energy is not None
    assert [tuple(layer.weight.shape) for layer in wide.energy if hasattr(layer, "weight")] == [(256, 512), (1, 256)]


def test_padding_changes_nothing() -> None:
    m = model(generative=True, vocabulary=20)
    bare, padded = batch(text=[3, 1, 4, 1, 5]), batch(text=[3, 1, 4, 1, 5], padded_to=11)
    torch.testing.assert_close(m(bare), m(padded), atol=1e-5, rtol=1e-5)


def test_the_text_is_read() -> None:
    m = model(generative=True, vocabulary=20)
    assert not torch.allclose(m(batch(text=[3, 1, 4])), m(batch(text=[3, 1, 5])))


@pytest.mark.parametrize(("task", "shape"), [("operator", (8, 4)), ("operand", (8, 3, 10))])
def test_what_a_generative_energy_predicts_is_hidden_from_it(task: Task, shape: tuple[int, ...]) -> None:
    m, b = model(generative=True, vocabulary=20), batch(text=[3, 1, 4], task=task)
    other = replace(b, op_B=(b.op_B + 1) % 4) if task == "operator" else replace(b, b_BW=(b.b_BW + 1) % 10)
    assert m(b).shape == shape
    assert torch.equal(m(b), m(other))
    assert not torch.equal(energy(m(b).detach(), b), energy(m(b).detach(), other))


def test_a_model_without_text_refuses_to_judge_a_choice() -> None:
    with pytest.raises(ValueError, match="reads no text"):
        model(generative=True)(batch(task="operator"))


def test_rotary_attention_depends_on_distances_only() -> None:
    rotary = Rotary(8)
    rotary.grow(20)
    torch.manual_seed(0)
    q, k = torch.randn(8), torch.randn(8)

    def score(at: int, other: int) -> float:
        both = torch.zeros(1, 1, 20, 8)
        both[0, 0, at], both[0, 0, other] = q, k
        turned = rotary(both)[0, 0]
        return float(turned[at] @ turned[other])

    assert score(2, 5) == pytest.approx(score(9, 12), abs=1e-5)
    assert score(2, 5) != pytest.approx(score(2, 9), abs=1e-3)


def test_mse_is_the_sources_loss() -> None:
    b = batch(4)
    logits = torch.tensor([-2.0, 2.0, 0.0, 1.0])
    e = torch.sigmoid(logits)
    expected = (e[0] ** 2 + (e[1] - 1) ** 2 + e[2] ** 2 + (e[3] - 1) ** 2) / 4
    torch.testing.assert_close(losses.mse(logits, b), expected)


def test_bce_ranks_inside_a_group() -> None:
    b = batch(4)
    grouped = Batch(b.op_B, b.a_BW, b.b_BW, b.claimed_BW, torch.tensor([False, False, True, True]))
    good, bad = torch.tensor([-1.0, -1.0, 1.0, 1.0]), torch.tensor([1.0, 1.0, -1.0, -1.0])
    gap_with = losses.bce(bad, grouped, 4, 1.0) - losses.bce(good, grouped, 4, 1.0)
    gap_without = losses.bce(bad, grouped, 4, 0.0) - losses.bce(good, grouped, 4, 0.0)
    assert float(gap_with) == pytest.approx(float(gap_without) + 2.0, abs=1e-5)  # softplus(2) - softplus(-2)


def test_calibration_finds_the_temperature_that_made_the_logits_too_sure() -> None:
    torch.manual_seed(0)
    honest = torch.randn(4000) * 2
    wrong = torch.rand(4000) < torch.sigmoid(honest)
    b = Batch(wrong.long(), wrong.long()[:, None], wrong.long()[:, None], wrong.long()[:, None], wrong)
    assert calibrate.temperature([(honest * 3, b)]) == pytest.approx(3.0, rel=0.12)
