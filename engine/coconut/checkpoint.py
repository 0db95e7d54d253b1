"""A model on disk with all that going on from it, or judging it, needs to know.

Guarantees: a file is whole or absent; a checkpoint of another mode, curriculum or body is refused by name, so that nothing
is ever evaluated with the wrong number of thoughts.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from engine.coconut.model import Coconut
from engine.config.coconut import Variant

FORMAT = 1
_MUST_AGREE = ("cot", "no_cot", "coconut", "no_thoughts", "icot", "feedback_mode")
_MUST_AGREE_TO_THINK = ("max_latent_stage", "c_thought", "pad_latent_to_max", "curriculum")


class CheckpointError(Exception):
    """A checkpoint that is not for this run. The message names both and what to do."""


@dataclass
class Saved:
    """A checkpoint in memory."""

    variant: dict[str, Any]
    body: dict[str, Any]
    epochs: int
    """Epochs done."""
    stage: int
    """The stage of the last one: evaluations think as much."""
    model: dict[str, Any]
    optimizer: dict[str, Any] | None
    rng: torch.Tensor | None
    best: float
    best_stage: int
    format: int = FORMAT


def save(path: Path, saved: Saved) -> None:
    """Write aside, then take the name."""
    new = path.with_suffix(".new")
    torch.save(vars(saved), new)
    with open(new, "rb") as file:
        os.fsync(file.fileno())
    new.replace(path)


def load(path: Path, device: str = "cpu") -> Saved:
    try:
        found = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"{path} does not exist; train first, or name another checkpoint") from None
    except Exception as error:  # torch.load raises a different class for every way a file can be damaged
        raise CheckpointError(f"{path} can't be read as a checkpoint ({type(error).__name__}); it may be cut") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise CheckpointError(f"{path} is no checkpoint of this engine (format {FORMAT})")
    return Saved(**found)


def refuse_other(saved: Saved, variant: Variant, body: dict[str, Any], path: Path) -> None:
    """Raise where the checkpoint's model is not the one that this run is about."""
    ours = variant.model_dump()
    keys = _MUST_AGREE + (_MUST_AGREE_TO_THINK if variant.coconut else ())
    for key in keys:
        if saved.variant[key] != ours[key]:
            raise CheckpointError(
                f"{path} holds {saved.variant['name']} with {key}={saved.variant[key]}, this run is {variant.name} with "
                f"{key}={ours[key]}. Use --variant {saved.variant['name']}, or another checkpoint."
            )
    for key, value in body.items():
        if key != "dropout" and saved.body.get(key) != value:
            raise CheckpointError(f"{path} was made with body.{key}={saved.body.get(key)}, this run has {value}")


def fill(model: Coconut, saved: Saved) -> None:
    """The checkpoint's weights into a model that `refuse_other` has let through."""
    model.load_state_dict(saved.model)
