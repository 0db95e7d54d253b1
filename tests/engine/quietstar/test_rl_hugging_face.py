"""Step 2, the tests for theatre and the hand-off on tiny causal models of transformers, with adapters."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from engine.config.load import check
from engine.config.quietstar import QuietstarConfig
from engine.config.quietstar_bake import Data
from engine.quietstar import antitheater, data, examples, handoff, loading, model_file, names, rl, rl_setup
from engine.quietstar.language import TextLanguage
from engine.quietstar.tokens import make_room
from tests.engine.quietstar import step1, tiny


def config(**over: object) -> QuietstarConfig:
    small = {"batch": 2, "thoughts": 2, "thought_tokens": 3, "ahead": 2, "span": 24, "episodes": 2, "eval_items": 4}
    tests = {"every": 9, "items": 8, "final_items": 8, "bootstrap": 100, "control_steps": 1, "required": False}
    whole = {"preset": "tiny", "rl": {**small, "lora_rank": 2, "warmup": 1, **over}, "antitheater": tests}
    return check(QuietstarConfig, whole, "the test's config")


@pytest.fixture(params=["gpt2", "qwen2"])
def work(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A champion, and a baked model with rows for the thinking tokens, both with their tokenizer."""
    language = TextLanguage(step1.tokenizer())
    champion, baked = (step1.hugging_face(request.param, seed) for seed in (0, 1))
    loading.save(tmp_path / names.CHAMPION, champion, language, {})
    make_room(baked, language.size)
    parent = model_file.sha256(tmp_path / names.CHAMPION)
    loading.save(tmp_path / names.BAKED, baked, language, {"parents": [parent]})
    made = data.make(Data(source="generated", train_examples=14, val_examples=14), seed=0)
    examples.write(tmp_path / names.EXAMPLES, made)
    return tmp_path


def test_it_learns_with_adapters_and_leaves_plain_weights(work: Path) -> None:
    cfg = config()
    assert rl.run(cfg, work) == 0
    baked, made = (loading.load(work / f, "rl").model.state_dict() for f in (names.BAKED, names.ENHANCED))
    assert baked.keys() == made.keys()
    moved = {name for name in baked if not torch.equal(baked[name], made[name])}
    assert moved
    assert all("proj" in name or "c_attn" in name for name in moved)
    assert antitheater.run(cfg, work) == 0
    assert handoff.run(cfg, work) == 0
    assert json.loads((work / "rl.json").read_text())["gsm8k"] == "absent: rl.benchmark_problems is 0"


def test_benchmarks_are_measured_where_their_data_is(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRACTAL_DATA", str(tmp_path))
    (tmp_path / "gsm8k_test.jsonl").write_text(json.dumps({"question": "1 + 1?", "answer": "#### 2"}) + "\n")
    assert rl.run(config(benchmark_problems=1), work) == 0
    told = json.loads((work / "rl.json").read_text())
    assert "gsm8k" not in told
    assert told["arc"] == "absent: arc_test.jsonl is not in $FRACTAL_DATA"


def test_thoughts_are_left_out_of_the_text_that_is_learned_from(work: Path) -> None:
    loaded = loading.load(work / names.BAKED, "bake")
    assert isinstance(loaded.language, TextLanguage)
    some = examples.read(work / names.EXAMPLES)
    said = loaded.language.tokenizer.decode(rl_setup.stream_of(loaded.language, some))
    assert "<think>" not in said
    assert f"Question: {some[0].question}" in said
    assert f"Answer: {some[0].answer}" in said


def test_the_table_of_the_champion_is_never_made_smaller(work: Path) -> None:
    setup = rl_setup.build(config(), work)
    assert setup.original.reader.table.num_embeddings == setup.thinker.reader.table.num_embeddings
    assert setup.thinker.start_id != setup.thinker.end_id
    assert setup.thinker.reader.table.weight.device == tiny.CPU
