from __future__ import annotations

from pathlib import Path

import pytest

from engine.config.errors import ConfigError
from engine.config.layers import presets_of, resolve
from engine.config.load import check
from engine.config.ouroboros import OuroborosConfig

CONFIGS = Path(__file__).parents[3] / "configs"
PRESETS = presets_of(CONFIGS, "phase7-ouroboros")


def test_the_presets_of_the_phase_are_there() -> None:
    assert {"smoke", "cpu", "cpu-text", "naive", "m2", "a100", "h100"} <= set(PRESETS)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_loads(preset: str) -> None:
    assert check(OuroborosConfig, resolve(CONFIGS, "phase7-ouroboros", preset), preset).preset == preset


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(ConfigError, match="dim 65 must divide into 4 heads"):
        check(OuroborosConfig, {"preset": "x", "model": {"dim": 65}}, "x.yaml")


def test_an_unknown_key_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'iters'"):
        check(OuroborosConfig, {"preset": "x", "train": {"itres": 3}}, "x.yaml")
