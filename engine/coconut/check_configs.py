"""Load the five configs of the comparison and hold them against the source's values: a fact for each.

python -m engine.coconut.check_configs --preset cpu
"""

from __future__ import annotations

import sys

from engine import runlog
from engine.coconut.errors import said_once
from engine.config.coconut import PHASE, VARIANTS, CoconutConfig, Variant, load_variant
from engine.config.errors import ConfigError
from engine.config.load import load_config

SHARED = {
    "seed": 0,
    "num_epochs": 50,
    "batch_size_training": 32,
    "gradient_accumulation_steps": 4,
    "bf16": False,
    "lr": 1e-4,
    "max_latent_stage": 6,
    "epochs_per_stage": 5,
    "c_thought": 1,
    "pad_latent_to_max": True,
}
OWN = {
    "prosqa_cot": ("cot", "continuous"),
    "prosqa_nocot": ("no_cot", "continuous"),
    "prosqa_coconut_1gpu": ("coconut", "continuous"),
    "prosqa_m4_frozen": ("coconut", "frozen"),
    "prosqa_m4b_shared": ("coconut", "learned_shared"),
}


def wrong_keys(variant: Variant) -> list[str]:
    """What differs from the source, in words."""
    found = [
        f"{key} is {getattr(variant, key)}, the source has {value}"
        for key, value in SHARED.items()
        if getattr(variant, key) != value
    ]
    kind, mode = OWN[variant.name]
    if (variant.kind, variant.feedback_mode) != (kind, mode):
        found.append(f"is {variant.kind} with {variant.feedback_mode}, the source has {kind} with {mode}")
    return found


def main(argv: list[str]) -> None:
    load_config(CoconutConfig, PHASE, argv)
    complaints = []
    for name in VARIANTS:
        wrong = wrong_keys(load_variant(name))
        runlog.fact(f"configs/{name}", not wrong)
        complaints += [f"{name}: {text}" for text in wrong]
        print(f"{name}: {'as the source' if not wrong else '; '.join(wrong)}")
    runlog.fact("configs/verified", len(VARIANTS) - len({c.split(":")[0] for c in complaints}))
    if complaints:
        raise ConfigError("\n".join(complaints))


if __name__ == "__main__":
    with said_once():
        main(sys.argv[1:])
