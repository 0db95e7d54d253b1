"""Step 2 as it is run: its files, its figures, going on after a stop, and what it says to bad input."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.config.layers import merge, presets_of, resolve
from engine.config.load import check
from engine.config.mugrokfast import MuGrokfastConfig
from engine.config.quietstar import QuietstarConfig
from engine.quietstar import antitheater, handoff, model_file, names, rl, rl_checkpoint, rl_setup, theater
from engine.quietstar.body import Body, Size
from engine.quietstar.errors import ModelFileError, NotANumber, QuietstarError, ResumeError, ThoughtError, edge
from engine.quietstar.statistics import Estimate
from engine.quietstar.theater import Finding, Verdict
from engine.registry.registry import Registry
from tests.engine.quietstar import tiny

CONFIGS = Path(__file__).parents[3] / "configs"
TINY: dict[str, Any] = {
    "preset": "tiny",
    "rl": {
        "positions": "answer",
        "episodes": 6,
        "batch": 4,
        "thoughts": 2,
        "thought_tokens": 4,
        "ahead": 2,
        "warmup": 2,
        "log_every": 1,
        "eval_every": 3,
        "eval_items": 16,
        "threads": 1,
    },
    "antitheater": {"every": 100, "items": 16, "final_items": 16, "bootstrap": 100, "control_steps": 2},
}


def config(**over: Any) -> QuietstarConfig:
    return check(QuietstarConfig, merge(TINY, over), "the test's config")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder with a champion and a baked model that names it as its parent."""
    model_file.save(tmp_path / names.CHAMPION, tiny.body(1, width=32), {"made_by": "champion"})
    parent = model_file.sha256(tmp_path / names.CHAMPION)
    model_file.save(tmp_path / names.BAKED, tiny.body(2, width=32), {"made_by": "bake", "parents": [parent]})
    return tmp_path


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from engine import runlog

    path = tmp_path / "events.jsonl"
    monkeypatch.setenv("FRACTAL_EVENTS", str(path))
    monkeypatch.setattr(runlog, "_opened", False)
    monkeypatch.setattr(runlog, "_sink", None)
    return path


def read(path: Path) -> list[dict[str, Any]]:
    from engine import runlog

    assert runlog._sink is not None
    runlog._sink.close()
    return [json.loads(line) for line in path.read_text().splitlines()]


def weights(work: Path) -> dict[str, torch.Tensor]:
    found = torch.load(work / names.ENHANCED, weights_only=True)
    return {**found["model"], **found["more"]["thinking"]}


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(value, two[name]) for name, value in one.items())


def test_naming_one_value_of_the_optimizer_leaves_the_others_as_the_source_has_them() -> None:
    named = config(rl={"optimizer": {"muon_lr": 1e-3}}).rl.optimizer
    assert named.model_dump() == MuGrokfastConfig.rl().model_dump() | {"muon_lr": 1e-3}


@pytest.mark.parametrize("preset", presets_of(CONFIGS, names.PHASE))
def test_every_preset_loads(preset: str) -> None:
    assert check(QuietstarConfig, resolve(CONFIGS, names.PHASE, preset), preset).preset == preset


def test_it_leaves_a_model_that_thinks_and_its_figures(work: Path) -> None:
    assert rl.run(config(), work) == 0
    told = json.loads((work / "rl.json").read_text())
    assert told["state"] == "succeeded"
    assert told["total_episodes"] == 6
    assert told["gsm8k"].startswith("absent: ")
    rl_setup.load_enhanced(work / names.ENHANCED, tiny.CPU)


def test_the_metrics_of_the_source_are_logged_and_absent_benchmarks_are_not(work: Path, events: Path) -> None:
    rl.run(config(antitheater={"every": 3}), work)
    seen = {name for event in read(events) if event["kind"] == "metric" for name in event["values"]}
    named = {"episode", "reward", "avg_reward", "thought_length", "thought_diversity", "kl_divergence"}
    named |= {f"coherence_{part}" for part in ("semantic", "syntactic", "predictive", "composite")}
    named |= {f"anti_theater_{test}" for test in ("divergence", "ablation", "correlation")} | {
        "inference_time_ms",
        "rollback",
    }
    assert len(named) == 15
    assert {f"rl/{name}" for name in named} <= seen
    assert not {"rl/gsm8k_accuracy", "rl/arc_accuracy"} & seen
    assert {"rl/next_token_accuracy", "rl/next_token_accuracy_without_thought"} <= seen


def test_a_run_that_is_stopped_and_goes_on_ends_with_the_bits_of_one_that_was_not(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = config(antitheater={"every": 2, "rollbacks": 9})
    rl.run(cfg, work)
    whole = weights(work)
    episode = rl_setup.Learner.episode

    def interrupted(learner: Any, *given: Any, **named: Any) -> Any:
        if learner.done == 2:
            signal.raise_signal(signal.SIGTERM)
        return episode(learner, *given, **named)

    monkeypatch.setattr(rl_setup.Learner, "episode", interrupted)
    assert rl.run(cfg, work) == 130
    assert "stopped at episode 3 as asked" in capsys.readouterr().err
    monkeypatch.setattr(rl_setup.Learner, "episode", episode)
    assert rl.run(cfg, work) == 0
    assert "goes on from episode 3" in capsys.readouterr().out
    assert same(weights(work), whole)


def test_going_on_with_other_settings_is_refused_by_their_names(work: Path) -> None:
    cfg = config()
    setup = rl_setup.build(cfg, work)
    rl_checkpoint.save(work / names.CHECKPOINT, setup, cfg, [])
    with pytest.raises(ResumeError, match=r"rl\.thoughts was 2, is 3; seed was 0, is 7"):
        rl.run(config(seed=7, rl={"thoughts": 3}), work)


def test_going_on_from_another_baked_model_is_refused(work: Path) -> None:
    cfg = config()
    rl_checkpoint.save(work / names.CHECKPOINT, rl_setup.build(cfg, work), cfg, [])
    model_file.save(work / names.BAKED, tiny.body(5, width=32), {})
    with pytest.raises(ResumeError, match="baked model was"):
        rl.run(cfg, work)


def test_a_finished_run_leaves_nothing_that_a_later_one_would_trip_over(work: Path) -> None:
    rl.run(config(), work)
    assert not (work / names.CHECKPOINT).exists()
    assert rl.run(config(seed=7, rl={"thoughts": 3}), work) == 0


def test_a_cut_checkpoint_is_said_to_be_one(work: Path) -> None:
    (work / names.CHECKPOINT).write_bytes(b"PK half")
    with pytest.raises(ResumeError, match=r"can't be read .* delete it to begin anew"):
        rl.run(config(), work)


def test_a_loss_that_is_no_number_ends_the_run_with_its_batch_saved(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = rl_setup.build

    def spoilt(*given: Any) -> Any:
        setup = build(*given)
        with torch.no_grad():
            setup.thinker.mixing.mlp[0].bias.fill_(torch.nan)
        return setup

    monkeypatch.setattr(rl_setup, "build", spoilt)
    with pytest.raises(NotANumber, match=r"the loss of episode 0 is nan; its batch is in .*rl-bad-batch\.pt"):
        rl.run(config(), work)
    held = torch.load(work / names.BAD_BATCH, weights_only=True)
    assert held["ids"].shape == (4, 9)
    assert held["episode"] == 0
    assert not (work / names.ENHANCED).exists()


def test_a_baked_model_without_thinking_tokens_is_refused(work: Path) -> None:
    model_file.save(work / names.BAKED, Body(Size(vocabulary=20, width=32, heads=4)), {})
    with pytest.raises(ThoughtError, match="has no thinking tokens: its table has 20 rows"):
        rl.run(config(), work)


def test_a_missing_baked_model_names_the_step_that_makes_it(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (work / names.BAKED).unlink()
    with pytest.raises(ModelFileError, match=r"is not there: run the step `bake`"):
        rl.run(config(), work)
    assert edge(lambda argv: rl.run(config(), work), []) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_a_thought_longer_than_the_context_is_refused_in_one_line(work: Path) -> None:
    with pytest.raises(QuietstarError, match=r"goes over the context of 64: lower rl\.thought_tokens"):
        rl.run(config(rl={"thought_tokens": 70}), work)


def finding(passed: bool) -> Finding:
    e = Estimate(0.9 if passed else 0.0, 0.8, 1.0, 16)
    names_of = ("divergence", "ablation", "correlation")
    return Finding(tuple(Verdict(n, e, 0.5, True) for n in names_of), {})


def test_a_run_that_becomes_theater_three_times_ends_unregistered(
    work: Path, events: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(theater, "examine", lambda *given: finding(False))
    (work / names.ENHANCED).write_bytes(b"of an earlier run")
    assert rl.run(config(antitheater={"every": 1}), work) == 1
    told = read(events)
    assert not [e for e in told if e["kind"] == "model"]
    assert [e["value"] for e in told if e["kind"] == "fact" and e["name"] == "rl/state"] == ["theater"]
    assert [e["values"]["rl/rollback"] for e in told if "rl/anti_theater_ablation" in e.get("values", {})] == [1, 2, 3]
    assert (work / names.THEATER).exists()
    assert not (work / names.ENHANCED).exists()


def test_after_a_rollback_it_learns_on_from_where_it_was_honest(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts = iter([True, False, True])
    monkeypatch.setattr(theater, "examine", lambda *given: finding(next(verdicts)))
    assert rl.run(config(antitheater={"every": 2}), work) == 0
    assert json.loads((work / "rl.json").read_text())["rollbacks"] == 1


def test_thinking_everywhere_and_where_it_is_unsure_runs_on_a_stream(work: Path) -> None:
    for positions in ("all", "entropy"):
        assert rl.run(config(rl={"positions": positions, "span": 20, "episodes": 2}), work) == 0


def test_a_curriculum_ends_with_the_thought_distilled_away(work: Path, events: Path) -> None:
    stages = [{"begins": 0.5, "thought_tokens": 2}]
    assert rl.run(config(rl={"curriculum": stages, "distil_steps": 3}), work) == 0
    told = read(events)
    facts = {e["name"]: e["value"] for e in told if e["kind"] == "fact"}
    assert facts["rl/distil_kl_first"] > facts["rl/distil_kl_last"] > 0
    assert [e["values"]["rl/thought_length"] <= 2 for e in told if "rl/episode" in e.get("values", {})][-3:] == [
        True
    ] * 3
    assert model_file.about(work / names.ENHANCED, "rl")["thought_tokens"] == 2


def test_the_model_is_told_to_the_registry_by_its_name_and_its_parent(work: Path, events: Path) -> None:
    rl.run(config(), work)
    (told,) = [e for e in read(events) if e["kind"] == "model"]
    assert (told["name"], told["model_type"]) == ("phase3-reasoning-enhanced-model", "reasoning_enhanced")
    assert told["metadata"]["parents"] == [model_file.sha256(work / names.BAKED)]
    assert told["metadata"]["total_episodes"] == 6


def test_the_control_and_the_thinker_stand_side_by_side_in_the_report(work: Path) -> None:
    rl.run(config(), work)
    assert antitheater.run(config(), work) == 0
    told = json.loads((work / "antitheater.json").read_text())
    assert set(told["thinker"]["tests"]) == set(told["control"]["tests"]) == {"divergence", "ablation", "correlation"}
    assert "| divergence |" in (work / "antitheater.md").read_text()


def enhanced(work: Path, passed: bool = True, required: bool = True) -> QuietstarConfig:
    """As after `rl` and `antitheater`."""
    cfg = config(antitheater={"required": required})
    rl.run(cfg, work)
    told = {
        "enhanced_sha256": model_file.sha256(work / names.ENHANCED),
        "required": required,
        "thinker": finding(passed).to_json(),
    }
    (work / "antitheater.json").write_text(json.dumps(told))
    return cfg


def refusal(work: Path) -> str:
    return str(json.loads((work / "handoff.json").read_text())["because"])


def test_a_tested_model_with_its_parents_is_handed_from_2_to_3_to_4(work: Path) -> None:
    assert handoff.run(enhanced(work), work) == 0
    told = json.loads((work / "handoff.json").read_text())
    assert told["status"] == "accepted"
    assert {(h["source_phase"], h["target_phase"], h["status"]) for h in told["hand_offs"]} == {
        ("phase3-quietstar", "phase4", "accepted"),
        ("phase2", "phase3-quietstar", "accepted"),
    }
    registry = Registry(work / "registry.db")
    lineage = registry.lineage("phase3_reasoning_enhanced_model-tiny")
    assert [a.model.model_type for a in lineage if a.model] == ["baked_reasoning", "champion"]
    registry.close()


def test_theatre_is_not_handed_on(work: Path) -> None:
    assert handoff.run(enhanced(work, passed=False), work) == 1
    assert "its answers do not need its thoughts: divergence, ablation, correlation failed" in refusal(work)


def test_a_file_that_changed_since_it_was_tested_is_not_handed_on(work: Path) -> None:
    cfg = enhanced(work)
    with open(work / names.ENHANCED, "ab") as file:
        file.write(b"!")
    assert handoff.run(cfg, work) == 1
    assert "has changed since it was tested" in refusal(work)


def test_a_model_whose_parent_is_missing_is_not_handed_on(work: Path) -> None:
    cfg = enhanced(work)
    (work / names.BAKED).unlink()
    assert handoff.run(cfg, work) == 1
    assert "its parent" in refusal(work)
    assert "is not in the registry" in refusal(work)


def test_a_preset_that_requires_no_test_hands_on_and_nothing_else_is_waived(work: Path) -> None:
    cfg = enhanced(work, passed=False, required=False)
    assert handoff.run(cfg, work) == 0
    (work / names.BAKED).unlink()
    assert handoff.run(cfg, work) == 1
    assert "gate parents is failed" in refusal(work)
