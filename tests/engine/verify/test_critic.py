"""The critic's data, its losses, and that going on after a stop is the same as never having stopped."""

import random
import sys

import numpy as np
import pytest
import torch

from engine.config.verify import Critic
from engine.protocol.durable import write_json
from engine.verify.critic import checkpoint
from engine.verify.critic.batches import Encoded, collate, encode_all, epoch_batches, groups_of
from engine.verify.critic.calibrate import Calibration, cross_fitted, fit
from engine.verify.critic.differences import differing
from engine.verify.critic.items import Item, distinct, items_of, require_both_kinds, split_by_problem
from engine.verify.critic.leak_probe import probe_auc
from engine.verify.critic.loop import Interrupted, train
from engine.verify.critic.losses import listwise, loss_of, margin, pairwise
from engine.verify.critic.make import fresh_body, trained_critic
from engine.verify.critic.measure import auc_of, auc_within_problems
from engine.verify.critic.score import energies
from engine.verify.critic.tokens import code_tokens, normal_form
from engine.verify.step import StepFailed

_CFG = Critic(dim=16, layers=1, heads=2, epochs=2, max_length=64, group=4, token_budget=400, locate=0.5, dropout=0.1)


def items(problems=6, each=6):
    """Programs that fail when they hold a minus."""
    made = []
    for p in range(problems):
        for n in range(each):
            failed = n % 2 == 0
            code = f"def f(a, b):\n    c = a {'-' if failed else '+'} {n}\n    return c * {p}\n"
            made.append(Item(f"t{p}/{n}", f"t{p}", f"add number {p}", code, failed))
    return made


def test_names_become_numbers_and_the_first_of_each_is_marked():
    assert code_tokens("def f(x):\n    return x + y\n") == [
        "def", "V0+", "(", "V1+", ")", ":", "[NL]", "[IN]", "return", "V1", "+", "V2+", "[NL]", "[OUT]",
    ]  # fmt: skip


def test_a_broken_program_still_has_tokens():
    assert "[BROKEN]" in code_tokens("def f(:\n  x = (")


def test_programs_that_differ_in_names_and_comments_count_once():
    one = Item("a", "t", "", "def f(x):\n    return x  # same\n", False)
    two = Item("b", "t", "", "def f(value):\n    return value\n", False)
    three = Item("c", "t", "", "def f(value):\n    return -value\n", True)
    assert [i.key for i in distinct([one, two, three])] == ["a", "c"]
    assert normal_form("def f(") != normal_form("def g(")


def test_no_problem_stands_on_both_sides():
    sides = split_by_problem(items(), 0.3, 0)
    assert sides.in_two_splits() == 0
    assert len(sides.train) + len(sides.val) == len(items())


def test_programs_of_one_kind_only_are_refused_with_a_reason():
    with pytest.raises(StepFailed, match="every one fails"):
        require_both_kinds([i for i in items() if i.failed])


def test_an_item_knows_nothing_of_how_it_was_made():
    row = {
        "key": "k",
        "task_id": "t",
        "text": "x",
        "code": "y",
        "passed": True,
        "finish_reason": "stop",
        "note": "slip",
    }
    assert "slip" not in str(items_of([row])[0])


def test_an_epoch_holds_every_item_once_within_the_budget():
    body = fresh_body(_CFG, items(), 0)
    problems = encode_all(items(), body.encode)
    batches = epoch_batches(problems, 4, 200, random.Random(0))
    assert sum(len(b) for b in batches) == len(items())
    assert all(len(b) == 1 or max(len(i.ids) for i in b) * len(b) <= 200 for b in batches)


def test_padding_changes_no_energy():
    body = fresh_body(_CFG, items(), 0).eval()
    (group, *_) = encode_all(items(), body.encode)
    short, long = group[0], group[1].__class__(group[1].ids + group[1].ids, False, 0)
    alone, padded = collate([short]), collate([short, long])
    one = body(alone.ids_BT, alone.length_B)[0]
    two = body(padded.ids_BT, padded.length_B)[0]
    assert one.item() == pytest.approx(two.item(), abs=1e-5)


def test_the_difference_to_the_nearest_passing_program_is_where_the_fault_is():
    assert differing([1, 2, 9, 4], [[7, 7, 7, 7], [1, 2, 3, 4]]) == [2]
    assert differing([1, 2, 4], [[1, 2, 3, 4]]) == [2]
    assert differing([5, 6, 7], [[1, 2, 3]]) is None


def test_ranking_losses_fall_when_passing_programs_are_put_first():
    failed, group = torch.tensor([1.0, 0.0, 1.0, 0.0]), torch.tensor([0, 0, 1, 1])
    right, wrong = torch.tensor([3.0, -3.0, 3.0, -3.0]), torch.tensor([-3.0, 3.0, -3.0, 3.0])
    assert listwise(right, failed, group) < 0.1 < listwise(wrong, failed, group)
    assert pairwise(right, failed, group) < 0.1 < pairwise(wrong, failed, group)
    assert margin(right, failed, group, 1.0) == 0 < margin(wrong, failed, group, 1.0)


def test_problems_of_one_verdict_feed_calibration_and_not_ranking():
    failed, group = torch.tensor([1.0, 1.0]), torch.tensor([0, 0])
    logit = torch.zeros(2, requires_grad=True)
    assert listwise(logit, failed, group) == pairwise(logit, failed, group) == 0
    assert loss_of(logit, failed, group, Critic(loss="listwise", calibration=0.5)) > 0


@pytest.mark.parametrize("loss", ["listwise", "pairwise", "margin", "contrastive", "bce"])
def test_every_loss_teaches_a_plain_difference(loss, tmp_path):
    cfg = _CFG.model_copy(update={"loss": loss, "epochs": 12, "lr": 1e-2, "dropout": 0.0, "locate": 0.0})
    sides = split_by_problem(items(8, 8), 0.25, 0)
    done = train(fresh_body(cfg, sides.train, 0), sides, cfg, tmp_path, 0, lambda: False)
    assert done.best_epoch.auc.value > 0.9
    assert done.strange_losses == 0


def test_a_stopped_and_resumed_training_has_the_same_bits(tmp_path):
    torch.set_num_threads(1)
    cfg = _CFG.model_copy(update={"token_budget": 120})
    sides = split_by_problem(items(), 0.3, 0)
    whole = fresh_body(_CFG, sides.train, 0)
    train(whole, sides, cfg, tmp_path / "whole", 0, lambda: False)
    asked = iter([False] * 4 + [True])
    first = fresh_body(_CFG, sides.train, 0)
    with pytest.raises(Interrupted, match="start again"):
        train(first, sides, cfg, tmp_path / "parts", 0, lambda: next(asked))
    second = fresh_body(_CFG, sides.train, 0)
    train(second, sides, cfg, tmp_path / "parts", 0, lambda: False)
    assert all(
        torch.equal(a, b) for a, b in zip(whole.state_dict().values(), second.state_dict().values(), strict=True)
    )
    assert np.array_equal(energies(whole, sides.val), energies(second, sides.val))


def test_a_folder_without_a_manifest_is_no_checkpoint(tmp_path):
    checkpoint.save(tmp_path, 1, {"body": {}}, {"identity": {}})
    checkpoint.folder_of(tmp_path, 2).mkdir()
    assert checkpoint.epochs_saved(tmp_path) == [1]


def test_a_checkpoint_of_another_vocabulary_is_refused(tmp_path):
    place = checkpoint.save(tmp_path, 1, {"body": {}}, {"identity": {"body": "small", "vocabulary": "aaaa"}})
    with pytest.raises(StepFailed, match=r"vocabulary: 'aaaa' there, 'bbbb' here"):
        checkpoint.load(place, {"body": "small", "vocabulary": "bbbb"})


def test_knowing_which_problems_are_hard_is_worth_nothing():
    failed = np.array([False] * 9 + [True] + [True] * 9 + [False])
    tasks = ["easy"] * 10 + ["hard"] * 10
    score = np.array([1.0] * 10 + [0.0] * 10)
    assert auc_of(score, failed) > 0.8
    assert auc_within_problems(tasks, score, failed, 0).value == 0.5


def test_the_leak_probe_sees_a_surface_difference():
    sides = split_by_problem(items(10, 8), 0.3, 0)
    assert probe_auc(sides.train, sides.val, 0).value > 0.95


def test_a_pretrained_body_learns_in_its_top_layer_only(tmp_path):
    import transformers

    from engine.verify.critic.body import freeze_below

    config = transformers.LlamaConfig(
        vocab_size=50,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=2,
    )
    model = transformers.LlamaModel(config)
    freeze_below(model, 1)
    learning = {
        name.split(".")[1] for name, p in model.named_parameters() if p.requires_grad and name.startswith("layers")
    }
    assert learning == {"2"}
    assert not model.embed_tokens.weight.requires_grad


def test_a_pretrained_body_goes_through_the_same_loop_and_back_from_its_checkpoint(tiny_model, tmp_path):
    cfg = Critic(
        body="pretrained", model=str(tiny_model), trainable_layers=1, head_dim=8, epochs=1, group=4, token_budget=800
    )
    sides = split_by_problem(items(4, 4), 0.5, 0)
    body = fresh_body(cfg, sides.train, 0)
    frozen = body.model.embed_tokens.weight.clone()
    done = train(body, sides, cfg, tmp_path, 0, lambda: False)
    assert torch.equal(body.model.embed_tokens.weight, frozen)
    write_json(tmp_path / "critic.json", {"best": str(done.best.relative_to(tmp_path)), "vocabulary": []})
    again = trained_critic(cfg, tmp_path).body
    assert np.array_equal(energies(body, sides.val), energies(again, sides.val))


def test_where_a_problem_has_both_verdicts_every_group_has_them():
    body = fresh_body(_CFG, items(), 0)
    (members,) = encode_all([i for i in items(1, 13) if i.key != "t0/1"], body.encode)
    rare = [m for m in members if not m.failed][:1] + [m for m in members if m.failed]
    groups = groups_of(rare, 3, random.Random(0))
    assert all({m.failed for m in group} == {True, False} for group in groups)
    assert {id(m) for group in groups for m in group} == {id(m) for m in rare}


def test_calibration_finds_scale_and_shift_and_keeps_the_order():
    rng = np.random.default_rng(0)
    truth = 2 * rng.normal(size=4000)
    failed = rng.random(4000) < 1 / (1 + np.exp(-truth))
    found = fit((truth - 2) / 3, failed)
    assert (found.scale, found.shift) == (pytest.approx(3, rel=0.1), pytest.approx(2, rel=0.1))
    assert found.scale > 0
    assert fit(truth, np.ones(4000, dtype=bool)) == Calibration()


def test_a_logit_that_knows_nothing_is_not_trusted():
    rng = np.random.default_rng(1)
    failed = rng.random(600) < 0.85
    tasks = [f"t{n % 20}" for n in range(600)]
    logit = 5 * rng.normal(size=600)
    energy = 1 / (1 + np.exp(-cross_fitted(logit, failed, tasks, 0)))
    assert ((logit > 0) == failed).mean() < 0.6
    assert ((energy > 0.5) == failed).mean() > 0.82


def tiny_encoder(tiny_model, folder):
    """A BERT of two layers over the tiny model's bytes, with the marks that an encoder's tokenizer has."""
    import transformers

    config = transformers.BertConfig(
        vocab_size=300, hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2
    )
    transformers.BertModel(config).save_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.add_special_tokens({"cls_token": "<|im_start|>", "sep_token": "<|im_end|>"})
    tokenizer.save_pretrained(folder)
    return folder


def test_an_encoder_reads_its_first_position_between_its_own_marks(tiny_model, tmp_path):
    cfg = Critic(body="pretrained", model=str(tiny_encoder(tiny_model, tmp_path)), trainable_layers=1, head_dim=8)
    body = fresh_body(cfg, [], 0).eval()
    ids = body.encode("add", "def f(): pass")
    assert (ids[0], ids.count(body.tokenizer.sep_token_id)) == (body.tokenizer.cls_token_id, 1)
    batch = collate([Encoded(ids, False, 0), Encoded(ids[:9], False, 0)])
    alone = collate([Encoded(ids[:9], False, 0)])
    padded = body(batch.ids_BT, batch.length_B)[1]
    assert padded.item() == pytest.approx(body(alone.ids_BT, alone.length_B)[0].item(), abs=1e-5)


def test_lora_learns_beside_frozen_weights_and_comes_back(tiny_model, tmp_path):
    pytest.importorskip("peft", reason="peft is not installed (pip install 'peft>=0.17')")
    cfg = Critic(body="pretrained", model=str(tiny_model), lora_rank=2, head_dim=8, epochs=1, group=4, token_budget=800)
    sides = split_by_problem(items(4, 4), 0.5, 0)
    body = fresh_body(cfg, sides.train, 0)
    assert all("lora" in name or name.startswith("energy") for name, p in body.named_parameters() if p.requires_grad)
    done = train(body, sides, cfg, tmp_path, 0, lambda: False)
    write_json(tmp_path / "critic.json", {"best": str(done.best.relative_to(tmp_path)), "vocabulary": []})
    again = trained_critic(cfg, tmp_path).body
    assert np.array_equal(energies(body, sides.val), energies(again, sides.val))


def test_without_peft_the_message_names_the_way_out(tiny_model, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(StepFailed, match=r"pip install 'peft"):
        fresh_body(Critic(body="pretrained", model=str(tiny_model), lora_rank=2), [], 0)
