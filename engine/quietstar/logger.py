"""Phase 3's metrics under the names that its users know, through `engine.runlog` and its W&B sink.

    logger = WandBLogger(project="agent-forge-v2", name="phase3-step1-baking", config={…}, tags=["phase3", "step1"])
    logger.log_baking_epoch(epoch=1, loss=0.45, learning_rate=1e-4, overall_accuracy=0.82,
                            strategy_accuracies={"chain_of_thought": 0.85, …}, token_usage={"thinking": 0.78, …})
    logger.save_artifact("phase3_baked_model.pt", "phase3-baked-model", metadata={…})
    logger.finish()

Inside a run of the console the run's own event file and W&B settings are used; by hand, W&B directly, offline unless told
otherwise. Guarantees: what was not measured is absent, never 0.0; whatever W&B does, training goes on.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from engine import runlog
from engine.quietstar.judge import THRESHOLD, USAGE_TARGETS
from engine.quietstar.strategies import STRATEGIES

PROJECT = "agent-forge-v2"
BAKING_METRICS = (
    *(f"baking/{name}" for name in ("epoch", "loss", "learning_rate", "accuracy_overall")),
    *(f"baking/accuracy_{name}" for name in STRATEGIES),
    *(f"baking/token_usage_{name}" for name in USAGE_TARGETS),
    "baking/convergence_progress",
)
RL_METRICS = tuple(
    f"rl/{name}"
    for name in (
        *("episode", "reward", "avg_reward"),
        *(f"coherence_{part}" for part in ("semantic", "syntactic", "predictive", "composite")),
        *(
            "thought_length",
            "thought_diversity",
            "kl_divergence",
            "gsm8k_accuracy",
            "arc_accuracy",
            "inference_time_ms",
        ),
        *(f"anti_theater_{test}" for test in ("divergence", "ablation", "correlation")),
        "rollback",
    )
)


def baking_metrics(
    epoch: int,
    loss: float,
    learning_rate: float,
    overall_accuracy: float,
    strategy_accuracies: Mapping[str, float],
    token_usage: Mapping[str, float],
    threshold: float = THRESHOLD,
) -> dict[str, float]:
    """The 17 of step 1. Usage is taken under `thinking` or under the source's `thinking_tag_usage`."""
    found = {"epoch": epoch, "loss": loss, "learning_rate": learning_rate, "accuracy_overall": overall_accuracy}
    found |= {f"accuracy_{name}": value for name, value in strategy_accuracies.items()}
    found |= {f"token_usage_{name.removesuffix('_tag_usage')}": value for name, value in token_usage.items()}
    found["convergence_progress"] = overall_accuracy / threshold
    return {f"baking/{name}": value for name, value in found.items()}


class WandBLogger:
    """One W&B run, or the console's own."""

    def __init__(
        self,
        project: str = PROJECT,
        name: str = "phase3-step1-baking",
        config: Mapping[str, Any] | None = None,
        tags: Iterable[str] = ("phase3",),
        mode: str = "offline",
    ) -> None:
        self._sink: runlog.WandbSink | None = None
        if not os.environ.get("FRACTAL_EVENTS") and mode != "off":
            settings = {
                "project": project,
                "name": name,
                "config": dict(config or {}),
                "tags": list(tags),
                "mode": mode,
            }
            self._sink = runlog.WandbSink(settings)
            self._sink.open()

    def log_baking_epoch(
        self,
        epoch: int,
        loss: float,
        learning_rate: float,
        overall_accuracy: float,
        strategy_accuracies: Mapping[str, float],
        token_usage: Mapping[str, float],
        step: int | None = None,
        threshold: float = THRESHOLD,
    ) -> None:
        self.log(
            baking_metrics(epoch, loss, learning_rate, overall_accuracy, strategy_accuracies, token_usage, threshold),
            epoch if step is None else step,
        )

    def log_rl_episode(
        self, episode: int, reward: float, avg_reward: float, step: int | None = None, **measured: float | None
    ) -> None:
        """One episode; `measured` by the names after `rl/`. None is left out."""
        known = {name.removeprefix("rl/") for name in RL_METRICS}
        if strange := sorted(set(measured) - known):
            raise TypeError(f"{strange[0]!r} is no metric of step 2; there are: {', '.join(sorted(known))}")
        values = {"episode": episode, "reward": reward, "avg_reward": avg_reward, **measured}
        metrics = {f"rl/{name}": value for name, value in values.items() if value is not None}
        self.log(metrics, episode if step is None else step)

    def save_artifact(
        self, path: str | os.PathLike[str], name: str, type: str = "model", metadata: Mapping[str, Any] | None = None
    ) -> None:
        """A model's file. Inside a run the registry hears of it, and W&B through the run."""
        if self._sink is None:
            runlog.model(name, type, path, dict(metadata or {}))
            return
        where = str(Path(path).resolve())
        self._take({"kind": "model", "name": name, "path": where, "metadata": dict(metadata or {})})

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        if self._sink is None:
            runlog.log(step=step, **metrics)
        else:
            self._take({"kind": "metric", "values": dict(metrics), "step": step})

    def finish(self) -> None:
        if self._sink is not None:
            self._sink.finish()
            self._sink = None

    def _take(self, event: dict[str, Any]) -> None:
        assert self._sink is not None
        self._sink.take({"v": 1, "seq": 0, "time": time.time(), **event})
