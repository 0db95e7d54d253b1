"""What learning by reward is measured by, while it runs and at its end, and what it leaves.

The baked model is measured as it answers (its own thought, nothing mixed), the enhanced one as it does (mixed), on the same
held-out problems of a split that nothing was chosen by; so their difference is paired.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine import runlog
from engine.config.quietstar import QuietstarConfig
from engine.quietstar import benchmarks, exam, loading, names, statistics
from engine.quietstar.logger import WandBLogger
from engine.quietstar.rl_setup import Setup, thought_tokens


def evaluation(setup: Setup, cfg: QuietstarConfig) -> dict[str, float]:
    """On held-out texts: with and without thought, how many thoughts are right, how long an answer takes."""
    rl = cfg.rl
    length = thought_tokens(rl, setup.learner.done)
    seen = exam.answers(setup.thinker, setup.texts.held_out(rl.eval_items), length, rl.ahead)
    found = {
        "held_out_accuracy": float(seen.right(seen.own_IV).mean()),
        "held_out_accuracy_without_thought": float(seen.right(seen.plain_IV).mean()),
        "inference_time_ms": seen.milliseconds,
    }
    right = setup.texts.thoughts_right(rl.eval_items, seen.thoughts_IT)
    if right is not None:
        found["thoughts_right"] = right
    measured = benchmarks.measure(setup.thinker, rl, setup.tongue)
    return found | {f"{name}_accuracy": value for name, value in measured.items() if isinstance(value, float)}


def finish(
    setup: Setup,
    cfg: QuietstarConfig,
    work: Path,
    ended: str,
    rewards: list[float],
    logger: WandBLogger,
    cpu_s: float,
) -> int:
    """Facts, rl.json and the model; 1 for theatre."""
    facts, over = final_figures(setup, cfg)
    recent = rewards[-cfg.rl.window :]
    facts |= {
        "final_avg_reward": sum(recent) / len(recent),
        "total_episodes": setup.learner.done,
        "rollbacks": setup.rollback.count,
        "cpu_s": round(cpu_s, 1),
    }
    for name, absent in benchmarks.absences(cfg.rl, setup.tongue).items():
        facts[name] = f"absent: {absent}"
    for name, value in (facts | {"state": ended}).items():
        runlog.fact(f"rl/{name}", value)
    runlog.fact("rl/accuracy_over_baked", over.value, low=over.low, high=over.high)
    _write_json(work / "rl.json", facts | {"state": ended, "accuracy_over_baked": asdict(over)})
    _leave_model(setup, cfg, work, ended, facts, logger)
    print(
        f"accuracy {facts['accuracy']:.3f}, baked {facts['accuracy_baked']:.3f}, over baked {over}; {cpu_s:.0f} CPU-s"
    )
    if ended == "theater":
        print(f"the run ends as theater: {setup.rollback.count} tests failed. {names.THEATER} is for looking at only")
    return int(ended == "theater")


def final_figures(setup: Setup, cfg: QuietstarConfig) -> tuple[dict[str, Any], statistics.Estimate]:
    """Accuracy of both models on the test split, paired."""
    rl, items = cfg.rl, cfg.antitheater.final_items
    batches = setup.final_texts.held_out(items)
    length = thought_tokens(rl, rl.episodes)
    enhanced = exam.answers(setup.thinker, batches, length, rl.ahead)
    with setup.baked.as_it_was() as was:
        baked = exam.answers(was, batches, rl.thought_tokens, rl.ahead)
    own, before = enhanced.right(enhanced.own_IV), baked.right(baked.after_IV)
    facts: dict[str, Any] = {
        "accuracy": float(own.mean()),
        "accuracy_baked": float(before.mean()),
        "accuracy_without_thought": float(enhanced.right(enhanced.plain_IV).mean()),
    }
    for name, seen in (("thoughts_right", enhanced), ("thoughts_right_baked", baked)):
        right = setup.final_texts.thoughts_right(items, seen.thoughts_IT)
        if right is not None:
            facts[name] = right
    over = statistics.mean((own - before).numpy(force=True), cfg.antitheater.bootstrap, cfg.seed)
    return facts, over


def _leave_model(
    setup: Setup, cfg: QuietstarConfig, work: Path, ended: str, facts: dict[str, Any], logger: WandBLogger
) -> None:
    """Theatre gets another name and no registration: nothing that looks for the enhanced model can take it."""
    about = {
        "made_by": "rl",
        "state": ended,
        "parents": [setup.baked_sha],
        "thought_tokens": thought_tokens(cfg.rl, cfg.rl.episodes),
        "ahead": cfg.rl.ahead,
        "seed": cfg.seed,
        "parameters": sum(p.numel() for p in setup.thinker.parameters()),
        **facts,
    }
    path = work / (names.THEATER if ended == "theater" else names.ENHANCED)
    if ended == "theater":
        (work / names.ENHANCED).unlink(missing_ok=True)  # of an earlier run: it is not this run's result
    thinking = setup.thinker.thinking_state()
    if setup.lora is not None:
        setup.lora.detach(1.0)
    loading.save(path, setup.thinker.body, setup.loaded.language, about, {"thinking": thinking})
    runlog.artifact(work / "rl.json")
    if ended != "theater":
        runlog.artifact(path)
        logger.save_artifact(path, "phase3-reasoning-enhanced-model", "reasoning_enhanced", about)


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
