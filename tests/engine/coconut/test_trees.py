"""The laptop's task is sound, promotes by mastery, and its probes see what is there."""

import pytest
import torch

from engine.coconut import train_trees
from engine.coconut.probe import corruptions, held
from engine.coconut.train_trees import is_staged, make_model, rate
from engine.coconut.trees import Forest
from engine.config.coconut import Body, CoconutConfig, Trees, Variant, load_variant

FOREST = Forest(3, 16)
M3 = Variant(name="m3", coconut=True)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def config(**trees) -> CoconutConfig:
    body = Body(layers=2, width=32, heads=4, dropout=0.0, init_std=0.1)
    return CoconutConfig(preset="cpu", task="trees", body=body, trees=Trees(**trees))


def reachable(problems, at: int) -> set[int]:
    """What follows from the root of one problem, found from its edges alone."""
    edges = problems.edges_BE2[at].tolist()
    found = {problems.root_B[at].item()}
    for _ in edges:
        found |= {b for a, b in edges if a in found}
    return found


def test_exactly_one_option_follows_from_the_root_and_it_is_the_answer():
    problems = FOREST.problems(50, generator())
    for at in range(50):
        options, found = set(problems.options_B2[at].tolist()), reachable(problems, at)
        assert options & found == {problems.answer_B[at].item()}


def test_the_right_option_is_first_half_of_the_time():
    problems = FOREST.problems(2000, generator())
    first = (problems.options_B2[:, 0] == problems.answer_B).float().mean().item()
    assert abs(first - 0.5) < 0.05


def test_layers_are_the_nodes_at_their_distance():
    problems = FOREST.problems(20, generator())
    for at in range(20):
        edges, here = problems.edges_BE2[at].tolist(), {problems.root_B[at].item()}
        for depth in range(3):
            here = {b for a, b in edges if a in here}
            assert here == set(problems.layers_BDW[at, depth].tolist())


def test_a_stage_takes_layers_away_and_asks_for_the_next():
    problems = FOREST.problems(30, generator())
    for stage in range(3):
        batch = FOREST.batch(problems, stage, M3, True, generator(1))
        assert batch.most_thoughts == stage
        assert (batch.targets_BT[:, :1] == problems.layers_BDW[:, stage]).any(1).all()
        assert (batch.targets_BT[:, 1:] < 0).all()
    last = FOREST.batch(problems, 3, M3, True, generator(1))
    assert torch.equal(last.targets_BT[:, 0], problems.answer_B)


def test_a_path_ends_at_the_answer():
    problems = FOREST.problems(30, generator())
    batch = FOREST.batch(problems, 0, Variant(name="m1", cot=True), False, generator(1))
    assert torch.equal(batch.targets_BT[:, 2], problems.answer_B)
    assert torch.equal(batch.targets_BT[:, 3], problems.answer_B)


def test_too_few_symbols_are_refused():
    with pytest.raises(ValueError, match=r"10 symbols can't name 14 nodes; raise symbols or lower depth"):
        Forest(3, 10)


def test_the_rate_warms_up_holds_and_falls_over_the_last_stage():
    cfg = config(warmup=10, final_steps=100, max_steps=500)
    assert rate(0, None, cfg, staged=True) == 0.1
    assert rate(300, None, cfg, staged=True) == 1.0
    assert rate(350, 300, cfg, staged=True) == 0.5
    assert rate(250, 0, cfg, staged=False) == 0.5


def test_the_next_stage_comes_by_mastery_and_never_by_time():
    outcome = train_trees.train(config(max_steps=12, eval_every=4, eval_rows=64, test_rows=64), M3)
    assert (outcome.stage, outcome.steps) == (0, 12)
    easy = config(max_steps=80, final_steps=10, eval_every=10, eval_rows=256, test_rows=64, mastery=0.001)
    outcome = train_trees.train(easy, M3)
    assert outcome.stage == 3


def test_the_same_seed_gives_the_same_run():
    cfg = config(max_steps=20, eval_every=10, eval_rows=64, test_rows=256)
    first, second = (train_trees.train(cfg, M3) for _ in range(2))
    assert first.accuracy == second.accuracy
    for ours, theirs in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_one_hop_is_learnt_in_seconds_with_thoughts():
    """The whole way at its shortest: words, one thought, the answer."""
    cfg = config(
        depth=1, symbols=8, max_steps=900, final_steps=300, eval_every=25, mastery=0.95, stop_at=0.97, test_rows=1024
    )
    outcome = train_trees.train(cfg, M3)
    assert outcome.stage == 1
    assert outcome.accuracy > 0.9


def test_controls_answer_from_the_first_step():
    assert is_staged(M3)
    assert not is_staged(load_variant("m4"))
    assert not is_staged(load_variant("m2"))


def test_a_kept_model_is_read_back(tmp_path):
    cfg = config(max_steps=4, eval_every=4, eval_rows=16, test_rows=64)
    outcome = train_trees.train(cfg, M3)
    path = tmp_path / "m3" / "best.pt"
    train_trees.keep(outcome, cfg, M3, path)
    again = train_trees.read(cfg, M3, path)
    problems = FOREST.problems(200, generator(3))
    outcome.model.eval()
    assert torch.equal(
        train_trees.right(again, FOREST, problems, M3), train_trees.right(outcome.model, FOREST, problems, M3)
    )


def test_a_probe_finds_what_a_thought_holds():
    depth = torch.tensor([[1, 1, 2, 2, 0, -1]])
    logits = torch.tensor([[[9.0, 9.0, -9.0, -9.0, -9.0, 50.0]], [[-9.0, -9.0, 9.0, 9.0, -9.0, 50.0]]])
    found = held(logits, depth, 2)
    assert torch.allclose(found.share_LD, torch.eye(2), atol=1e-3)
    assert torch.allclose(found.even_LD, torch.full((2, 2), 0.4))


def test_noise_keeps_a_thought_s_length_and_swap_takes_the_neighbour_s():
    ways = corruptions(0)
    thought = torch.randn(4, 8, generator=generator(5))
    noisy = ways["noise"](0, thought)
    assert torch.allclose(noisy.norm(dim=-1), thought.norm(dim=-1))
    assert not torch.allclose(noisy, thought)
    assert torch.equal(ways["swap"](0, thought)[1], thought[0])
    assert ways["none"] is None


def test_changed_thoughts_reach_the_words():
    model = make_model(config(), M3).eval()
    problems = FOREST.problems(8, generator())
    batch = FOREST.rows(problems, problems.root_B.new_empty(8, 0), 3, M3)
    with torch.no_grad():
        plain = model.think(batch).hidden_BTD
        zeroed = model.think(batch, lambda at, thought: torch.zeros_like(thought)).hidden_BTD
    assert not torch.allclose(plain, zeroed)
