"""The smallest config that goes through every step, in about a second."""

from __future__ import annotations

from typing import Any

from engine.config.layers import merge
from engine.config.load import check
from engine.config.ouroboros import OuroborosConfig

TINY: dict[str, Any] = {
    "preset": "tiny",
    "data": {"problems": 500, "templates": 80, "max_operand": 99, "max_result": 999, "renumbered": 500},
    "probe": {"rows": 1000, "low": 0.4, "high": 0.6},
    "model": {"dim": 16, "layers": 2, "heads": 2},
    "train": {"iters": 12, "batch": 32, "warmup": 2, "eval_every": 4, "eval_items": 64},
    "evaluate": {"bootstrap": 100},
}


def tiny(**over: Any) -> OuroborosConfig:
    return check(OuroborosConfig, merge(TINY, over), "the test's config")
