"""The 34 metrics, through the real package offline, read back with its own reader."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine import runlog
from engine.quietstar.logger import BAKING_METRICS, RL_METRICS, WandBLogger
from engine.quietstar.strategies import STRATEGIES

_WRITE = """
from engine.quietstar.logger import RL_METRICS, WandBLogger
from engine.quietstar.strategies import STRATEGIES
logger = WandBLogger(name="phase3-step1-baking", config={"epochs": 5}, tags=["phase3", "step1"])
logger.log_baking_epoch(
    epoch=1, loss=0.45, learning_rate=1e-4, overall_accuracy=0.82,
    strategy_accuracies={s: 0.70 + at / 100 for at, s in enumerate(STRATEGIES)},
    token_usage={"thinking_tag_usage": 0.78, "step": 0.7, "mece": 0.6, "falsify": 0.5, "doubt": 0.4},
)
names = [n.removeprefix("rl/") for n in RL_METRICS[3:]]
logger.log_rl_episode(2, 0.5, 0.25, **{name: 1.0 + at for at, name in enumerate(names)})
open("model.pt", "wb").write(b"weights")
logger.save_artifact("model.pt", "phase3-baked-model", metadata={"final_accuracy": 0.82})
logger.finish()
"""


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("wandb")
    env = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB", "FRACTAL"))}
    env |= {"PYTHONPATH": str(Path(__file__).parents[3]), "WANDB_DIR": str(folder), "HOME": str(folder)}
    env |= {"WANDB_SILENT": "true", "WANDB_CACHE_DIR": str(folder), "WANDB_DATA_DIR": str(folder)}
    subprocess.run([sys.executable, "-c", _WRITE], cwd=folder, env=env, check=True, timeout=120)
    (run,) = (folder / "wandb").glob("offline-run-*")
    read = [str(Path(sys.executable).parent / "wandb"), "leet", "inspect", "--json", str(run)]
    if not Path(read[0]).exists():
        read = [sys.executable, "-m", "wandb", *read[1:]]
    said = subprocess.run(read, env=env, check=True, capture_output=True, text=True, timeout=120).stdout
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]


def found(value: Any, into: dict[str, float]) -> dict[str, float]:
    """Every metric in a record, whatever its layout."""
    if isinstance(value, dict):
        name = value.get("key") or "/".join(value.get("nested_key") or value.get("nestedKey") or [])
        shown = value.get("value_json", value.get("valueJson"))
        if isinstance(name, str) and isinstance(shown, str) and name.startswith(("baking/", "rl/")):
            into[name] = json.loads(shown)
        for key, inner in value.items():
            if isinstance(inner, (int, float)) and key.startswith(("baking/", "rl/")):
                into[key] = float(inner)
            found(inner, into)
    elif isinstance(value, list):
        for inner in value:
            found(inner, into)
    return into


def test_all_thirty_four_metrics_stand_in_the_file_of_an_offline_run(records: list[dict[str, Any]]) -> None:
    values = found(records, {})
    assert set(values) >= {*BAKING_METRICS, *RL_METRICS}
    assert len({*BAKING_METRICS, *RL_METRICS}) == 34
    assert values["baking/loss"] == 0.45
    assert values["baking/token_usage_thinking"] == 0.78
    assert values["baking/accuracy_self_doubt"] == pytest.approx(0.70 + STRATEGIES.index("self_doubt") / 100)
    assert values["baking/convergence_progress"] == pytest.approx(0.82 / 0.85)
    assert values["rl/avg_reward"] == 0.25
    assert values["rl/rollback"] == 14.0


def test_project_name_and_tags_are_the_sources(records: list[dict[str, Any]]) -> None:
    text = json.dumps(records)
    for word in ("agent-forge-v2", "phase3-step1-baking", "step1", "phase3-baked-model"):
        assert word in text


def test_what_was_not_measured_is_absent_and_never_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    logged: dict[str, Any] = {}
    monkeypatch.setenv("FRACTAL_EVENTS", "x")
    monkeypatch.setattr(runlog, "log", lambda step, **metrics: logged.update(metrics))
    WandBLogger().log_rl_episode(1, 0.5, 0.5, gsm8k_accuracy=None, kl_divergence=0.1)
    assert logged == {"rl/episode": 1, "rl/reward": 0.5, "rl/avg_reward": 0.5, "rl/kl_divergence": 0.1}


def test_a_metric_that_does_not_exist_is_refused() -> None:
    with pytest.raises(TypeError, match="'gsm8k' is no metric of step 2"):
        WandBLogger(mode="off").log_rl_episode(1, 0.5, 0.5, gsm8k=0.1)


def test_a_broken_wandb_never_stops_training(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken:
        def log(self, values: dict[str, Any]) -> None:
            raise OSError("the network is unreachable")

        def finish(self) -> None:
            raise OSError("still")

    def opened(sink: Any) -> None:
        sink.run = Broken()

    monkeypatch.delenv("FRACTAL_EVENTS", raising=False)
    monkeypatch.setattr(runlog.WandbSink, "open", opened)
    logger = WandBLogger(mode="online")
    for epoch in (1, 2):
        logger.log_baking_epoch(epoch, 0.5, 1e-4, 0.5, {}, {})
    logger.save_artifact("nothing.pt", "phase3-baked-model")
    logger.finish()
    assert capsys.readouterr().err.count("W&B stopped: the network is unreachable. The run goes on") == 1


def test_off_means_nothing_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRACTAL_EVENTS", raising=False)
    monkeypatch.setattr(runlog.WandbSink, "open", lambda sink: pytest.fail("opened"))
    WandBLogger(mode="off").log_baking_epoch(1, 0.5, 1e-4, 0.5, {}, {})
