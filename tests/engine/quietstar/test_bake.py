"""Step 1 on a small champion: what is compared, learned, measured and left.

Each fault of the public work that this phase is named after, as far as it concerns step 1, is a test here.
"""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.config.quietstar_bake import Bake
from engine.quietstar import bake, examples, loading, marks, model_file, names, task
from engine.quietstar.baking import PromptBakingTrainer, run_step1_baking
from engine.quietstar.body import Body, Size
from engine.quietstar.causal import OwnCausal, causal_of, draw, padded, sample
from engine.quietstar.distance import distance, forward_kl, pair_up, refuse_too_long
from engine.quietstar.errors import ExamplesError, NotANumber, PromptError, ResumeError
from engine.quietstar.judge import check_convergence, judge
from engine.quietstar.language import TaskLanguage
from engine.quietstar.lora import attach
from engine.quietstar.stage import LossIsNone, Stage
from engine.quietstar.strategies import STRATEGIES
from engine.quietstar.tokens import make_room
from tests.engine.quietstar.step1 import SMALL, champion, parts, task_examples

LANGUAGE = TaskLanguage()


def small(**changes: Any) -> Bake:
    return SMALL.model_copy(update=changes)


def stage_of(body: Body, config: Bake = SMALL, **more: Any) -> Stage:
    return Stage(body, LANGUAGE, parts().train, config, seed=0, **more)


# What is compared


def test_the_teacher_reads_the_prompt_and_the_student_does_not() -> None:
    some = parts().train[:3]
    pairs = pair_up(LANGUAGE, some, [[1, 2], [3], [4, 5, 6]])
    for prompted, plain, example in zip(pairs.prompted, pairs.plain, some, strict=True):
        assert prompted == [*task.PROMPT_IDS, *plain]
        assert plain[: len(LANGUAGE.question(example))] == LANGUAGE.question(example)


def test_before_anything_is_learned_the_distance_is_the_prompts_own_effect() -> None:
    """Teacher and student are not the same adapted network with the same input: that KL would be 0 and bake nothing."""
    body = champion()
    stage = stage_of(body)
    pairs = stage.sampled(parts().train[:8])
    found = distance(stage.reader, stage.lora, pairs)
    by_hand = []
    for prompted, plain, response in zip(pairs.prompted, pairs.plain, pairs.responses, strict=True):
        teacher, student = (body(torch.tensor([row])).logits[0].detach() for row in (prompted, plain))
        n = len(response)
        by_hand.append(forward_kl(teacher[-n - 1 : -1], student[-n - 1 : -1]).sum())
    assert found.sum_a_response.item() == pytest.approx(torch.stack(by_hand).mean().item(), rel=1e-4)
    assert found.a_token > 0.1


def test_the_loss_is_the_forward_kl_over_the_whole_vocabulary() -> None:
    generator = torch.Generator().manual_seed(0)
    teacher, student = torch.randn(2, 5, 7, generator=generator)
    p, q = teacher.softmax(-1), student.softmax(-1)
    torch.testing.assert_close(forward_kl(teacher, student), (p * (p / q).log()).sum(-1))


def test_the_teacher_gets_no_gradient_and_does_not_move() -> None:
    body = champion()
    stage = stage_of(body)
    ids = torch.tensor([[*task.PROMPT_IDS, *LANGUAGE.question(parts().train[0])]])
    with torch.no_grad(), stage.lora.off():
        before = body(ids).logits
    for _ in range(3):
        stage.step()
    with torch.no_grad(), stage.lora.off():
        assert torch.equal(body(ids).logits, before)
    assert not torch.equal(body(ids).logits.detach(), before)


def test_responses_are_the_prompted_teachers_own_at_temperature_one() -> None:
    body = champion()
    stage = stage_of(body)
    some = parts().train[:1] * 400
    first = [r[0] for r in stage.sampled(some).responses]
    row = torch.tensor([[*task.PROMPT_IDS, *LANGUAGE.question(some[0])]])
    with torch.no_grad():
        p = body(row).logits[0, -1].softmax(-1)
    seen = torch.bincount(torch.tensor(first), minlength=len(p)) / 400
    assert (seen - p).abs().max() < 0.1


def test_what_comes_after_the_end_and_padding_are_no_part_of_it() -> None:
    body = champion()
    stage = stage_of(body)
    some = parts().train[:4]
    responses = [[5, 6, 7, 1], [5, 1], [5, 6, 1], [1]]
    together = distance(stage.reader, stage.lora, pair_up(LANGUAGE, some, responses))
    alone = [
        distance(stage.reader, stage.lora, pair_up(LANGUAGE, [e], [r])) for e, r in zip(some, responses, strict=True)
    ]
    assert together.tokens == 10
    assert together.sum_a_response.item() == pytest.approx(sum(d.sum_a_response.item() for d in alone) / 4, rel=1e-4)


def test_sampling_stops_at_the_end_and_keeps_no_graph() -> None:
    said = sample(OwnCausal(champion()), [[5, 6], [7, 8, 9]], 8, task.EOS_ID, task.PAD_ID, generator=None)
    assert all(row.index(task.EOS_ID) == len(row) - 1 for row in said if task.EOS_ID in row)


def test_rows_of_unequal_length_are_continued_as_if_alone() -> None:
    reader = OwnCausal(champion())
    rows = [[5, 6, 7], [8], [9, 10, 11, 12, 13]]
    together = sample(reader, rows, 6, -1, task.PAD_ID, temperature=0)
    assert together == [sample(reader, [row], 6, -1, task.PAD_ID, temperature=0)[0] for row in rows]


def test_top_p_keeps_the_likeliest_only() -> None:
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log().expand(500, -1)
    drawn = draw(logits, 1.0, 0.7, torch.Generator().manual_seed(0))
    assert set(drawn.tolist()) == {0, 1}


# What is learned


def test_a_few_steps_bring_the_student_nearer() -> None:
    stage = stage_of(champion(), small(batch=16, steps_per_epoch=12))
    pairs = stage.sampled(parts().val)
    before = distance(stage.reader, stage.lora, pairs).a_token
    for _ in range(12):
        stage.step()
    assert distance(stage.reader, stage.lora, pairs).a_token < 0.6 * before


def test_half_baked_lies_between() -> None:
    stage = stage_of(champion(), small(batch=16, steps_per_epoch=12))
    for _ in range(12):
        stage.step()
    pairs = stage.sampled(parts().val)
    found = []
    for strength in (0.0, 0.5, 1.0):
        with stage.lora.scaled(strength), torch.no_grad():
            student = [stage.reader.logits(stage.reader.hidden(*padded([row], 0, left=False))) for row in pairs.plain]
        with stage.lora.off(), torch.no_grad():
            teacher = [
                stage.reader.logits(stage.reader.hidden(*padded([row], 0, left=False))) for row in pairs.prompted
            ]
        found.append(
            sum(
                forward_kl(t[0, -len(r) - 1 : -1], s[0, -len(r) - 1 : -1]).sum().item()
                for t, s, r in zip(teacher, student, pairs.responses, strict=True)
            )
        )
    assert found[0] > found[1] > found[2]


def test_half_baking_by_time_ends_after_its_share_of_the_steps() -> None:
    stage = stage_of(champion(), small(epochs=5, steps_per_epoch=4, stop_after=0.5))
    assert stage.total == 10


def test_pursuit_has_the_present_weights_for_its_teacher() -> None:
    body = champion()
    stage = stage_of(body, small(teacher="current"))
    with torch.no_grad():
        for adapter in stage.lora.adapters.values():
            adapter.B.normal_(std=0.2, generator=torch.Generator().manual_seed(1))
    pairs = stage.sampled(parts().train[:4])
    found = distance(stage.reader, stage.lora, pairs, pursuit=True)
    with torch.no_grad():
        expected = [
            forward_kl(*(body(torch.tensor([row])).logits[0, -len(r) - 1 : -1] for row in (told, plain))).sum()
            for told, plain, r in zip(pairs.prompted, pairs.plain, pairs.responses, strict=True)
        ]
    assert found.sum_a_response.item() == pytest.approx(torch.stack(expected).mean().item(), rel=1e-4)
    found.sum_a_response.backward()
    assert distance(stage.reader, stage.lora, pairs).a_token != pytest.approx(found.a_token, rel=1e-3)


def test_sequential_bakes_one_strategy_after_the_other_on_merged_weights() -> None:
    seen: list[set[str]] = []
    trainer = trainer_of(champion(), small(sequential=True, steps_per_epoch=1, batch=2))
    begin = trainer._begin_stage

    def noted() -> Stage:
        stage = begin()
        seen.append({e.strategy for e in stage.examples})
        return stage

    trainer._begin_stage = noted  # type: ignore[method-assign]
    result = trainer.train()
    assert seen == [{s} for s in STRATEGIES]
    assert len(trainer.standing.kl_after) == 7
    assert result.facts["merged_difference"] <= 1e-5


def test_the_rate_falls_in_a_line_where_it_is_asked() -> None:
    stage = stage_of(champion(), small(schedule="linear", steps_per_epoch=4, epochs=1))
    assert [round(stage.step().learning_rate / 3e-3, 3) for _ in range(4)] == [1.0, 0.75, 0.5, 0.25]


# What is measured


def trainer_of(body: Body, config: Bake = SMALL, **more: Any) -> PromptBakingTrainer:
    return PromptBakingTrainer(body, LANGUAGE, parts().train, parts().val, config, **more)


def test_convergence_asks_for_the_whole_and_for_every_strategy() -> None:
    good = dict.fromkeys(STRATEGIES, 0.765)
    assert check_convergence(0.85, good)
    assert not check_convergence(0.8499, good)
    assert not check_convergence(0.9, good | {"self_doubt": 0.764})
    without = {name: value for name, value in good.items() if name != "self_doubt"}
    assert not check_convergence(0.9, without)


def test_accuracy_and_usage_are_those_of_outputs_and_count_an_output_once() -> None:
    some = [e for e in task_examples() if e.strategy in ("chain_of_thought", "self_doubt")][:4]
    some = [dataclasses.replace(e, answer="3") for e in some]
    of = {e.strategy: "<step> <step>" if e.strategy == "chain_of_thought" else "" for e in some}
    outputs = [f"<think> {of[e.strategy]} 1 2 3 </think> 3" for e in some[:3]] + ["7 3"]
    judged = judge(LANGUAGE, some, outputs)
    assert judged.accuracy == 0.75
    assert judged.usage["thinking"] == 0.75
    steps = [e.strategy == "chain_of_thought" for e in some]
    assert judged.usage["step"] == sum(steps[:3]) / sum(steps)
    assert judged.usage["doubt"] == 0.0
    assert math.isnan(judged.usage["mece"])  # no output was asked for it: absent, not zero


def test_validation_reads_what_the_model_writes_without_the_prompt_and_not_the_labels() -> None:
    trainer = trainer_of(champion())
    judged = trainer.validate()
    rows = [LANGUAGE.question(e) for e in trainer.held_out]
    said = sample(trainer.reader, rows, 8, task.EOS_ID, task.PAD_ID, temperature=0)
    assert judged.outputs == [LANGUAGE.text(ids) for ids in said]


def test_training_ends_by_itself_once_it_has_converged(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = trainer_of(champion(), small(epochs=5, steps_per_epoch=1))
    monkeypatch.setattr(trainer, "check_convergence", lambda judged: len(trainer.epochs) == 2)
    trainer.train()
    assert len(trainer.epochs) == 2


def test_every_metric_of_an_epoch_is_logged() -> None:
    from engine.quietstar.logger import BAKING_METRICS, baking_metrics

    trainer = trainer_of(champion(), small(steps_per_epoch=1))
    trainer.train()
    (epoch,) = trainer.epochs
    judged = epoch.judged
    logged = baking_metrics(1, epoch.loss, epoch.learning_rate, judged.accuracy, judged.strategies, judged.usage)
    assert set(logged) == set(BAKING_METRICS)
    assert len(BAKING_METRICS) == 17
    assert logged["baking/convergence_progress"] == pytest.approx(judged.accuracy / 0.85)
    assert logged["baking/learning_rate"] == 3e-3


def test_merged_the_model_writes_what_the_adapter_wrote() -> None:
    trainer = trainer_of(champion())
    result = trainer.train()
    assert result.facts["merged_difference"] <= 1e-5
    assert trainer.validate().outputs == trainer.epochs[-1].judged.outputs


# Files


def prepared(folder: Path, config: Bake = SMALL) -> Any:
    from engine.config.quietstar import QuietstarConfig

    model_file.save(folder / names.CHAMPION, champion(), {"made_by": "champion"})
    examples.write(folder / names.EXAMPLES, task_examples())
    return QuietstarConfig(preset="smoke", bake=config)


def test_the_step_leaves_model_metadata_facts_and_no_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bake.run(prepared(tmp_path), tmp_path) == 0
    loaded = loading.load(tmp_path / names.BAKED, "bake")
    assert {"final_accuracy", "strategy_accuracies", "converged", "parents"} <= set(loaded.about)
    assert loaded.about["parents"] == [model_file.sha256(tmp_path / names.CHAMPION)]
    assert json.loads((tmp_path / "baking.json").read_text())["kl_fell_by_factor"] > 0
    assert not (tmp_path / names.BAKE_CHECKPOINT).exists()
    shown = capsys.readouterr().out
    for words in (
        "Learning Rate (Muon): 0.003",
        "--- Epoch 1/1 ---",
        "chain_of_thought:",
        "thinking:",
        "Converged: no",
    ):
        assert words in shown


class StopAt:
    """Somebody asks to stop after so many looks."""

    def __init__(self, looks: int) -> None:
        self.looks, self.checkpoint = looks, False

    @property
    def stop(self) -> bool:
        self.looks -= 1
        return self.looks < 0


TWO_EPOCHS, SEQUENTIAL = small(epochs=2, steps_per_epoch=3), small(sequential=True, steps_per_epoch=2)


@pytest.mark.parametrize("config", [TWO_EPOCHS, SEQUENTIAL], ids=["one", "sequential"])
@pytest.mark.parametrize("looks", [1, 3])
def test_going_on_from_a_checkpoint_ends_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: Bake, looks: int
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
        cfg = prepared(folder, config)
    monkeypatch.setattr(bake, "Asked", lambda: StopAt(10_000))
    assert bake.run(cfg, whole) == 0
    monkeypatch.setattr(bake, "Asked", lambda: StopAt(looks))
    assert bake.run(cfg, cut) == 130
    assert (cut / names.BAKE_CHECKPOINT).exists()
    assert not (cut / names.BAKED).exists()
    monkeypatch.setattr(bake, "Asked", lambda: StopAt(10_000))
    assert bake.run(cfg, cut) == 0
    through, resumed = (loading.load(f / names.BAKED, "bake").model.state_dict() for f in (whole, cut))
    assert all(torch.equal(value, resumed[name]) for name, value in through.items())


# Bad input


def test_a_checkpoint_of_other_settings_is_refused_and_every_difference_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bake, "Asked", lambda: StopAt(0))
    assert bake.run(prepared(tmp_path), tmp_path) == 130
    other = prepared(tmp_path, small(batch=4, schedule="linear"))
    with pytest.raises(ResumeError, match=r"bake\.batch was 8, is 4; bake\.schedule was 'constant', is 'linear'"):
        bake.run(other, tmp_path)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.pt").write_bytes(b"half")
    with pytest.raises(ResumeError, match="delete it to begin anew"):
        marks.read(tmp_path / "c.pt", {})


def test_a_loss_that_is_no_number_ends_it_and_keeps_the_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(teacher: Tensor, student: Tensor) -> Tensor:
        return forward_kl(teacher, student) * float("nan")

    monkeypatch.setattr("engine.quietstar.distance.forward_kl", broken)
    with pytest.raises(NotANumber, match=r"the loss in epoch 1 is nan; its batch is in .*bake-bad-batch\.pt"):
        bake.run(prepared(tmp_path), tmp_path)
    kept = torch.load(tmp_path / names.BAKE_BAD_BATCH, weights_only=True)
    assert len(kept["examples"]) == SMALL.batch
    assert len(kept["pairs"]["responses"]) == SMALL.batch


def test_a_step_whose_loss_is_no_number_is_not_taken() -> None:
    stage = stage_of(champion())
    with torch.no_grad():
        stage.lora.adapters["blocks.0.o"].B[:] = float("nan")
    before = {name: value.clone() for name, value in stage.lora.state().items()}
    with pytest.raises(LossIsNone):
        stage.step()
    after = stage.lora.state()
    assert all(torch.equal(torch.nan_to_num(after[n]), torch.nan_to_num(v)) for n, v in before.items())


def test_a_prompt_longer_than_the_context_is_refused_with_its_numbers() -> None:
    with pytest.raises(
        PromptError,
        match=r"\(2 tokens\), its longest question \(7\) and a response \(8\) are 17 tokens; the context has 16",
    ):
        refuse_too_long(LANGUAGE, parts().train, 8, 16)


def test_a_strategy_with_no_examples_is_refused_by_name() -> None:
    some = [e for e in parts().train if e.strategy != "self_doubt"]
    with pytest.raises(ExamplesError, match="the training part has no example of self_doubt"):
        PromptBakingTrainer(champion(), LANGUAGE, some, parts().val, SMALL)


def test_a_body_without_room_for_the_tokens_is_refused() -> None:
    body = Body(Size(vocabulary=30, width=16, heads=2, room=32))
    with pytest.raises(PromptError, match=r"needs 36 rows .* this model has room for 32"):
        make_room(body, 36)


def test_a_body_with_room_gets_rows_and_keeps_its_own() -> None:
    body = Body(Size(vocabulary=30, width=16, heads=2, room=40))
    before = body.tokens.weight.detach().clone()
    assert make_room(body, 36, torch.Generator().manual_seed(0)) == 30
    assert body.size.vocabulary == 36
    assert torch.equal(body.tokens.weight[:30], before)
    assert causal_of(body).logits(torch.zeros(1, 16)).shape == (1, 36)


def test_run_step1_baking_does_it_in_one_call(tmp_path: Path) -> None:
    file = tmp_path / names.EXAMPLES
    examples.write(file, task_examples())
    result = run_step1_baking(champion(), LANGUAGE, file, tmp_path / names.BAKED, SMALL)
    assert set(result.strategy_accuracies) == set(STRATEGIES)
    assert loading.load(tmp_path / names.BAKED, "bake").about["final_accuracy"] == result.final_accuracy


def test_lora_attached_by_a_trainer_is_gone_in_the_end() -> None:
    body = champion()
    trainer_of(body).train()
    assert set(body.state_dict()) == set(champion().state_dict())
    attach(body, 2, 4, ("q",))  # and can be attached again
