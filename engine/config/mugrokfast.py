"""What the optimizer MuGrokfast can be told. No torch here: the console checks it before it costs money.

MuGrokfastConfig.baking()                 # the source's setting for prompt baking
MuGrokfastConfig.rl()                     # and for reinforcement learning
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class MuGrokfastConfig(BaseModel):
    """Names and presets are the source's; what it leaves open has the value of the algorithm's own paper."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    muon_lr: float = Field(1e-4, gt=0)
    """Of the matrices; updates have the size of AdamW's, so AdamW's rates fit."""
    adamw_lr: float | None = Field(None, gt=0)
    """Of tables, norms and biases; None: the same."""
    grokfast_lambda: float = Field(0.2, ge=0)
    """Weight of the slow part of the gradient; 0 keeps no average at all."""
    grokfast_alpha: float = Field(0.98, ge=0, lt=1)
    qk_clip_threshold: float | None = Field(30.0, gt=0)
    """The largest attention logit that a head may have after a step; None does not look."""
    kl_coefficient: float = Field(0.0, ge=0)
    """Weight of the KL to a reference in the *loss*; the optimizer itself never reads it."""
    weight_decay: float = Field(0.01, ge=0)
    momentum: float = Field(0.95, ge=0, lt=1)
    nesterov: bool = True
    ns_steps: int = Field(5, ge=1, lt=100)
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = Field(1e-8, gt=0)
    ns_dtype: Literal["probe", "float32", "bfloat16", "float64"] = "probe"
    """What Newton-Schulz computes in. `probe` takes the faster; a run that is to repeat bit for bit elsewhere names one."""
    ns_batched: bool | None = None
    """Matrices of one shape together, or one by one; None lets the probe choose."""

    @classmethod
    def baking(cls) -> MuGrokfastConfig:
        """Supervised: we want the model to change, so nothing holds it back."""
        return cls(muon_lr=1e-4, grokfast_lambda=0.2, qk_clip_threshold=30.0, kl_coefficient=0.0, weight_decay=0.01)

    @classmethod
    def rl(cls) -> MuGrokfastConfig:
        """Noisy rewards: a higher rate to explore, tighter logits, and a leash to the baked model."""
        return cls(muon_lr=5e-4, grokfast_lambda=0.1, qk_clip_threshold=25.0, kl_coefficient=0.1, weight_decay=0.0)
