"""Which stage an epoch is, and what a stage takes away from a sample. Pure; the source's rules, its quirks included.

At stage s the FIRST s steps of the chain go and c_thought * s thoughts come in their place, also where the sample has fewer than
s steps. Beyond the last stage everything goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from engine.config.coconut import Variant


@dataclass(frozen=True)
class Cut:
    """What is left of a chain."""

    steps: int
    """Steps taken from the front."""
    thoughts: int
    tokens: int = 0
    """Tokens taken from the front of what is left (iCoT)."""


def stage_of(epoch: int, variant: Variant) -> int:
    """The stage of an epoch, uncapped: beyond the last, all steps go."""
    if not variant.staged:
        return 0
    if not variant.curriculum:
        return variant.max_latent_stage + 1
    return epoch // variant.epochs_per_stage


def training_cut(steps: int, stage: int, variant: Variant, rng: Random) -> Cut:
    """What training at this stage leaves of a chain of so many steps."""
    if variant.no_cot:
        return Cut(steps, 0)
    if variant.cot:
        return Cut(0, 0)
    if variant.uniform_prob and rng.random() < variant.uniform_prob:
        stage = rng.randint(0, steps)
    if variant.icot:
        done = stage > variant.max_latent_stage
        return Cut(steps if done else 0, 0, stage * variant.icot_tokens_per_stage)
    skip, thoughts = stage, stage
    if stage > variant.max_latent_stage:
        skip = steps
        thoughts = variant.max_latent_stage if variant.pad_latent_to_max else min(steps, variant.max_latent_stage)
    return Cut(skip, thoughts * variant.c_thought if variant.coconut else 0)


def prompt_thoughts(steps: int, stage: int, variant: Variant) -> int:
    """Thoughts that an evaluation at this stage gives to a problem of so many steps."""
    if not variant.coconut:
        return 0
    most = variant.max_latent_stage if variant.pad_latent_to_max else min(variant.max_latent_stage, steps)
    return min(stage, most) * variant.c_thought
