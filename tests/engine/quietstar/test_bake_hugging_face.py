"""Step 1 on Hugging Face's causal models: GPT-2 (joined qkv in a Conv1D) and Qwen2 (grouped keys, biases), tiny and random."""

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.config.quietstar_bake import Bake, Data
from engine.quietstar import data, examples, loading
from engine.quietstar.baking import run_step1_baking
from engine.quietstar.causal import HfCausal, padded, sample
from engine.quietstar.errors import PromptError
from engine.quietstar.heads import watch_logits
from engine.quietstar.language import TextLanguage
from engine.quietstar.lora import attach
from engine.quietstar.stage import targets_of
from engine.quietstar.tokens import EXTENDED, THINKING, add_to_tokenizer, make_room
from tests.engine.quietstar.step1 import FAST, hugging_face, tokenizer

FAMILIES = ["gpt2", "qwen2", "qwen2-tied"]
ROWS = [[5, 6, 7, 8, 9], [10, 11], [12, 13, 14]]


@pytest.fixture(params=FAMILIES)
def model(request: pytest.FixtureRequest) -> Any:
    return hugging_face(request.param)


def alone(model: Any, row: list[int]) -> torch.Tensor:
    return model(torch.tensor([row])).logits[0]


@torch.no_grad()
def test_rows_padded_on_the_right_read_as_if_alone(model: Any) -> None:
    reader = HfCausal(model)
    ids, real = padded(ROWS, 0, left=False)
    logits = reader.logits(reader.hidden(ids, real))
    for at, row in enumerate(ROWS):
        torch.testing.assert_close(logits[at, : len(row)], alone(model, row), rtol=0, atol=1e-5)


@torch.no_grad()
def test_rows_of_unequal_length_are_continued_as_if_alone(model: Any) -> None:
    said = sample(HfCausal(model), ROWS, most=6, eos=-1, pad=0, temperature=0)
    for row, continued in zip(ROWS, said, strict=True):
        expected = list(row)
        for _ in range(6):
            expected.append(int(alone(model, expected)[-1].argmax()))
        assert continued == expected[len(row) :]


@torch.no_grad()
def test_new_rows_are_as_the_tables_own(model: Any) -> None:
    table = model.get_input_embeddings().weight
    table.normal_(mean=3.0, std=0.5)
    before = table.clone()
    assert make_room(model, 257 + 2000, torch.Generator().manual_seed(0)) == 257
    grown = model.get_input_embeddings().weight
    assert torch.equal(grown[:257], before)
    assert (grown[257:].mean(0) - before.mean(0)).abs().max() < 0.06
    assert (grown[257:].std(0) / before.std(0) - 1).abs().max() < 0.1
    assert model(torch.tensor([[2000]])).logits.shape[-1] == 2257


def test_the_tokenizer_gets_the_eight_in_order_and_once() -> None:
    words = tokenizer()
    added = add_to_tokenizer(words)
    ids = added.ids
    assert ids == added.fresh == list(range(257, 265))
    assert add_to_tokenizer(words).ids == ids
    assert add_to_tokenizer(words).fresh == []
    assert words.encode("a<think>b", add_special_tokens=False)[1] == ids[0]
    assert len(add_to_tokenizer(words, EXTENDED).ids) == 4
    assert words.convert_ids_to_tokens(ids) == list(THINKING)


def test_a_table_that_may_not_grow_is_refused() -> None:
    language = TextLanguage(tokenizer())
    with pytest.raises(PromptError, match=r"needs 265 rows.*has 257 and may not grow"):
        make_room(hugging_face("gpt2"), language.size, may_grow=False)


@torch.no_grad()
def test_a_table_with_spare_rows_need_not_grow_and_fresh_rows_are_drawn(model: Any) -> None:
    table = model.get_input_embeddings().weight
    table[:250].normal_(mean=1.0, std=0.1)
    table[250:] = 100.0
    before = table.clone()
    assert (
        make_room(
            model, 256, torch.Generator().manual_seed(0), may_grow=False, fresh=[250, 251, 252, 253, 254, 255, 256]
        )
        == 257
    )
    assert torch.equal(table[:250], before[:250])
    assert table[250:].max() < 2.0


def test_lora_and_qk_clip_bound_the_students_logits_and_leave_the_teacher(model: Any) -> None:
    ids = torch.tensor([ROWS[0]])
    with torch.no_grad():
        teacher = model(ids).logits
    lora = attach(model, rank=4, alpha=8, targets=targets_of(model), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for adapter in lora.adapters.values():
            adapter.B.normal_(std=1.0)
    clip = watch_logits(model, 1.0)
    assert clip is not None
    for _ in range(2):  # the second layer reads what the first one's clip changed
        model(ids)
        clip()
    assert clip.clipped
    model(ids)
    clip()
    assert clip.last_largest <= 1.0 + 1e-4
    with torch.no_grad(), lora.off():
        torch.testing.assert_close(model(ids).logits, teacher, rtol=0, atol=1e-6)


@pytest.mark.parametrize("mode", ["prompt", "sft"])
def test_step_one_runs_saves_and_is_read_again(model: Any, mode: str, tmp_path: Path) -> None:
    file = tmp_path / "phase3_reasoning_training_data.json"
    examples.write(file, data.make(Data(source="generated", train_examples=14, val_examples=7), seed=0))
    bake = Bake(
        mode=mode, epochs=1, steps_per_epoch=2, batch=2, response_tokens=6, warm_up_steps=1, lora_rank=2, eval_items=7,
        optimizer=FAST,
    )  # fmt: skip
    words = tokenizer()
    out = tmp_path / "phase3_baked_model.pt"
    result = run_step1_baking(model, words, file, out, bake)
    assert result.facts["merged_difference"] <= 1e-5
    again = loading.load(out, "bake")
    ids = torch.tensor([[5, 6, 260, 264]])
    with torch.no_grad():
        torch.testing.assert_close(again.model(ids).logits, model(ids).logits, rtol=0, atol=1e-6)
    assert again.about["converged"] is False
    assert again.language.text([*again.language._ids("<think> x")]) == "<think> x"  # type: ignore[attr-defined]


def test_supervised_fine_tuning_moves_the_thinking_rows_and_no_other() -> None:
    from engine.quietstar.stage import Stage

    model = hugging_face("qwen2")
    language = TextLanguage(tokenizer())
    had = make_room(model, language.size)
    before = model.get_input_embeddings().weight.detach().clone()
    some = data.make(Data(source="generated", train_examples=7, val_examples=7), seed=0)[:7]
    stage = Stage(model, language, some, Bake(batch=4, optimizer=FAST), 0, "warm-up", 3)
    for _ in range(3):
        seen = stage.step()
    assert seen.token_accuracy is not None
    after = model.get_input_embeddings().weight
    assert torch.equal(after[:had], before[:had])
    assert not torch.equal(after[had:], before[had:])
