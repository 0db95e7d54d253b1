"""The steps of the phase, each run as a program runs it, and the facts that Gate 0 reads."""

import json
from pathlib import Path

import pytest

from engine import runlog
from engine.coconut import check_configs, environment, evaluate, ood_data, parity, probe, smoke_test, train, verify_data
from engine.coconut.errors import said_once
from engine.coconut.layout import training_row
from engine.coconut.parity import source_layout
from engine.config.errors import ConfigError
from engine.data.prosqa import OOD_SETS
from tests.engine.coconut.test_model import SAMPLES, TOKENS, Random, variant

SMOKE = ["--preset", "smoke"]


class Events:
    """What a step wrote, by kind and name."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def of(self, kind: str) -> list[dict]:
        runlog.flush()
        return [event for line in self.path.read_text().splitlines() if (event := json.loads(line))["kind"] == kind]

    @property
    def facts(self) -> dict:
        return {event["name"]: event["value"] for event in self.of("fact")}


@pytest.fixture
def events(tmp_path, monkeypatch) -> Events:
    monkeypatch.setenv("FRACTAL_WORK", str(tmp_path))
    monkeypatch.delenv("FRACTAL_SPEC", raising=False)
    sink = runlog.Sink(tmp_path / "events.jsonl")
    monkeypatch.setattr(runlog, "_sink", sink)
    monkeypatch.setattr(runlog, "_opened", True)
    yield Events(tmp_path / "events.jsonl")
    sink.close()


def test_the_environment_says_its_versions(events):
    environment.main(SMOKE)
    assert events.facts["environment/complete"] is True
    assert events.facts["version/torch"].startswith("2.")


def test_a_preset_that_wants_a_gpu_says_so_where_there_is_none(events, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"preset h100 wants a GPU .* take another host or preset cpu"):
        environment.main(["--preset", "h100"])


def test_all_three_modes_pass_the_smoke_test(events):
    smoke_test.main(SMOKE)
    facts = events.facts
    n = facts["smoke/continuous_trainable"]
    assert (facts["smoke/modes_passed"], facts["smoke/parameters_as_expected"]) == (3, True)
    assert facts["smoke/learned_shared_trainable"] == n + 32
    assert facts["smoke/frozen_total"] == n


def test_five_configs_are_verified(events):
    check_configs.main(SMOKE)
    assert events.facts["configs/verified"] == 5


def test_data_and_out_of_distribution_sets_give_gate_0_its_facts(events):
    verify_data.main(SMOKE)
    ood_data.main(SMOKE)
    facts = events.facts
    assert [facts[f"data/{split}_rows"] for split in ("train", "valid", "test")] == [64, 16, 16]
    assert facts["data/train_synthetic"] is True
    for name in OOD_SETS:
        assert facts[f"ood/{name}_sound"] == facts[f"ood/{name}_with_steps"] == facts[f"ood/{name}_rows"] == 20
        assert facts[f"ood/{name}_overlap"] == 0
        assert facts[f"ood/{name}_vocabulary_exact"] is True
    assert sum(event["rows"] for event in events.of("artifact")) == 64 + 16 + 16 + 80


def test_a_model_of_prosqa_is_trained_judged_and_probed(events):
    verify_data.main(SMOKE)
    ood_data.main(SMOKE)
    words = ["--variant", "m3", *SMOKE]
    train.main([*words, "data.train_rows=32", "change.reset_optimizer=stage"])
    evaluate.main(words)
    probe.main(words)
    facts = events.facts
    assert facts["train/no_nan"] is True
    assert (facts["train/epochs"], facts["eval/m3/stage"]) == (2, 1)
    assert {f"eval/{name}_accuracy" for name in OOD_SETS} <= set(facts)
    assert {"corrupt/m3/none", "corrupt/m3/swap", "probe/m3/thought1_depth1"} <= set(facts)
    assert events.of("model")[0]["metadata"]["variant"] == "prosqa_coconut_1gpu"
    assert "train/loss" in events.of("metric")[0]["values"]


def test_the_laptop_s_models_stand_beside_each_other(events):
    few = ["trees.max_steps=20", "trees.eval_rows=64", "trees.eval_every=10", "trees.test_rows=128", "trees.depth=2"]
    words = ["--preset", "cpu", *few]
    for name in ("m2", "m3", "m4b"):
        train.main(["--variant", name, *words])
    evaluate.main(words)
    probe.main(words)
    facts = {event["name"]: event for event in events.of("fact")}
    for name in (
        "eval/accuracy",
        "eval/m2/accuracy",
        "eval/m3/accuracy",
        "eval/m3_over_m2",
        "probe/accuracy_lost_by_swapping",
    ):
        assert facts[name]["low"] <= facts[name]["value"] <= facts[name]["high"]
    assert {"probe/m3/thought2_depth2", "probe/m3/thought2_depth2_even", "corrupt/m3/noise"} <= set(facts)
    assert "eval/m1/accuracy" not in facts
    assert {e["path"].rsplit("/", 1)[-1] for e in events.of("artifact")} >= {
        "evaluation.json",
        "evaluation.md",
        "probe.json",
    }


def test_a_pause_loses_nothing_by_swapping(events):
    few = ["trees.max_steps=10", "trees.eval_rows=64", "trees.eval_every=10", "trees.test_rows=64"]
    train.main(["--variant", "m4b", "--preset", "cpu", *few])
    probe.main(["--variant", "m4b", "--preset", "cpu", *few])
    assert events.facts["probe/accuracy_lost_by_swapping/m4b"] == 0.0
    assert events.facts["train/pause_moved"] is True


def test_a_baseline_says_that_it_has_no_thoughts(events, capsys):
    probe.main(["--variant", "m1", "--preset", "cpu"])
    assert "prosqa_cot has no thoughts to look into" in capsys.readouterr().out


def test_what_a_person_can_mend_is_one_line_and_exit_code_2(events, capsys):
    with pytest.raises(SystemExit) as ended, said_once():
        evaluate.main(["--variant", "m3", *SMOKE])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert "best.pt does not exist; train first" in said


# A stand-in with the interface of the reference's class, written from the algorithm: one sample at a time, no cache.
STAND_IN = """
from dataclasses import dataclass
import torch, torch.nn.functional as F

@dataclass
class Out:
    loss: torch.Tensor

class Coconut(torch.nn.Module):
    def __init__(self, base_causallm, latent_token_id, start_latent_id, end_latent_id, eos_token_id):
        super().__init__()
        self.base, self.latent = base_causallm, latent_token_id

    def forward(self, input_ids, attention_mask, labels, position_ids):
        total, count = 0.0, 0
        for ids, mask, wanted in zip(input_ids, attention_mask.bool(), labels):
            ids, wanted = ids[mask], wanted[mask]
            x = list(self.base.transformer.wte(ids))
            for at in (ids == self.latent).nonzero()[:, 0].tolist():
                seen = torch.stack(x[:at])[None]
                x[at] = self.base.transformer(inputs_embeds=seen, use_cache=False).last_hidden_state[0, -1]{FAULT}
            logits = self.base(inputs_embeds=torch.stack(x)[None], use_cache=False).logits[0, :-1]
            total = total + F.cross_entropy(logits, wanted[1:], reduction="sum")
            count += int((wanted[1:] != -100).sum())
        return Out(total / count)
"""


@pytest.fixture
def few_stages(monkeypatch):
    monkeypatch.setattr(parity, "STAGES", (0, 2))


def test_parity_agrees_with_a_reference_that_is_right(tmp_path, events, few_stages, capsys):
    (tmp_path / "coconut.py").write_text(STAND_IN.replace("{FAULT}", ""))
    parity.main(["--reference", str(tmp_path)])
    assert "stage 2: loss differs by" in capsys.readouterr().out
    assert events.facts["parity/loss_difference"] < 1e-5


def test_parity_ends_with_1_where_the_reference_differs(tmp_path, events, few_stages):
    (tmp_path / "coconut.py").write_text(STAND_IN.replace("{FAULT}", " * 1.1"))
    with pytest.raises(SystemExit) as ended:
        parity.main(["--reference", str(tmp_path)])
    assert ended.value.code == 1


def test_parity_names_what_it_did_not_find(tmp_path):
    with pytest.raises(parity.ParityError, match=r"coconut\.py does not exist; --reference names a checkout"):
        parity.load_reference(tmp_path)


def test_the_source_s_layout_puts_first_thoughts_in_one_column():
    v = variant()
    rows = [training_row(s, TOKENS, v, stage, Random(0)) for s, stage in zip(SAMPLES, (2, 2, 0, 3), strict=True)]
    batch = source_layout(rows, TOKENS)
    first = [
        (line == TOKENS.latent).nonzero()[0].item() for line, row in zip(batch.ids, rows, strict=True) if row.thoughts
    ]
    assert len(set(first)) == 1
    for line, row in zip(batch.attention, rows, strict=True):
        assert line.sum().item() == row.length
    assert batch.positions[0][batch.attention[0].bool()].tolist() == list(range(rows[0].length))
    assert (batch.labels[batch.ids == TOKENS.latent] == -100).all()
