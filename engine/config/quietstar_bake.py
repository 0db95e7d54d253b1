"""What phase 3 may be told of its champion, of the reasoning examples, and of baking the prompt into the weights."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from engine.config.mugrokfast import MuGrokfastConfig


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Champion(_Part):
    """The model that everything starts from."""

    source: Literal["scratch", "file", "registry", "hub"] = "scratch"
    """scratch: pre-trained here. file: a `phase2_champion_model.pt` of ours. registry: the champion of phase 2 there, or a
    model by name. hub: a causal model of transformers."""
    name: str = ""
    """With `file` its path; with `registry` a model (empty: phase 2's champion); with `hub` a name there or a folder."""
    revision: str | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"

    @model_validator(mode="after")
    def _named(self) -> Champion:
        if self.source in ("file", "hub") and not self.name:
            raise ValueError(f"the source {self.source!r} needs a name")
        return self


class Data(_Part):
    """Reasoning examples for the seven strategies."""

    source: Literal["task", "generated", "file"] = "generated"
    """task: the state-tracking task of the cpu preset. generated: arithmetic of the project's own, labelled synthetic.
    file: phase3_reasoning_training_data.json in $FRACTAL_DATA."""
    train_examples: int = Field(18_000, gt=0)
    val_examples: int = Field(2_000, gt=0)


class Bake(_Part):
    """Step 1. Names and defaults are the source's where it has them."""

    mode: Literal["prompt", "sft"] = "prompt"
    """prompt: forward KL to the prompted teacher. sft: cross-entropy on the labelled reasoning, which bakes no prompt."""
    epochs: int = Field(5, gt=0)
    batch: int = Field(4, gt=0)
    steps_per_epoch: int | None = Field(None, gt=0)
    """None: every training example once."""
    max_length: int = Field(512, gt=0)
    """Of question and labelled reasoning; the rest is cut."""
    response_tokens: int = Field(128, gt=0)
    """The longest response that the teacher, or the model in validation, may write."""
    teacher: Literal["start", "current"] = "start"
    """start: the weights as they were. current: prompt pursuit, the weights as they are, both with the prompt."""
    sequential: bool = False
    """One strategy's prompt after the other, each merged before the next."""
    stop_after: float = Field(1.0, gt=0, le=1)
    """Half-baking by time: the share of all steps after which it ends."""
    strength: float = Field(1.0, gt=0, le=1)
    """Half-baking by scale: the share of the change that is merged."""
    warm_up_steps: int = Field(0, ge=0)
    """Steps before baking in which the *prompted* model learns the labelled reasoning and the rows of new tokens, so that
    there is a prompted behaviour to bake. 0 where the champion knows the tokens."""
    lora_rank: int = Field(16, gt=0)
    lora_alpha: float = Field(32, gt=0)
    lora_dropout: float = Field(0.05, ge=0, lt=1)
    lora_targets: list[str] | None = None
    """Last names of linear modules; None: the attention's (of our own body: all)."""
    optimizer: MuGrokfastConfig = MuGrokfastConfig.baking()
    schedule: Literal["constant", "linear"] = "constant"
    clip: float = Field(1.0, gt=0)
    threshold: float = Field(0.85, gt=0, le=1)
    """Converged: this accuracy overall, and nine tenths of it for every strategy."""
    eval_items: int = Field(256, ge=7)
    """Held-out examples of a validation, the strategies in turn."""
    eval_batch: int = Field(64, gt=0)
    merge_tolerance: float = Field(1e-5, gt=0)
    """How far merged logits may lie from the adapter's, relative to the largest; bfloat16 needs more."""
    grow_vocabulary: bool = True
    """May the table get rows for the thinking tokens? If not, it must have spare ones."""
    device: str = "auto"
    threads: int | None = Field(1, gt=0)
