"""What phase 3 may be told of pre-training, of learning thoughts by reward, and of the tests for theatre."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from engine.config.mugrokfast import MuGrokfastConfig


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Pretrain(_Part):
    """The champion that is made from scratch where none is handed over: our own body on the state-tracking task."""

    steps: int = Field(default=700, ge=1)
    batch: int = Field(default=128, ge=4)
    prompted: float = Field(default=2 / 3, gt=0, lt=1)
    """Share of prompted sequences, which think; the others answer at once."""
    right_thoughts: float = Field(default=0.35, gt=0, lt=1)
    """Share of prompted sequences whose thought is right. Below a half the likeliest thought is wrong: reward has something
    to mend."""
    muon_lr: float = Field(default=0.02, gt=0)
    lr: float = Field(default=3e-3, gt=0)
    width: int = Field(default=64, ge=8)
    layers: int = Field(default=2, ge=1)
    heads: int = Field(default=4, ge=1)
    context: int = Field(default=64, ge=32)


class RlOptimizer(MuGrokfastConfig):
    """MuGrokfast with the source's setting for reinforcement learning; naming one value leaves the others at it."""

    muon_lr: float = Field(default=5e-4, gt=0)
    grokfast_lambda: float = Field(default=0.1, ge=0)
    qk_clip_threshold: float | None = Field(default=25.0, gt=0)
    kl_coefficient: float = Field(default=0.1, ge=0)
    """Weight of the exact KL to the frozen baked model in the loss."""
    weight_decay: float = Field(default=0.0, ge=0)


class Stage(_Part):
    """From a share of the episodes on, thoughts have this many tokens."""

    begins: float = Field(ge=0, lt=1)
    thought_tokens: int = Field(ge=1)


class Rl(_Part):
    """Learning thoughts by reward."""

    episodes: int = Field(default=10_000, ge=1)
    """One batch, its thoughts, one step of the optimizer each."""
    batch: int = Field(default=8, ge=2)
    """Texts of an episode; two at least, since thoughts are swapped between them."""
    thoughts: int = Field(default=4, ge=1)
    """At each place. With one thought every reward is its own mean and nothing is learned by reward."""
    thought_tokens: int = Field(default=12, ge=1)
    ahead: int = Field(default=4, ge=1)
    """True tokens after a place that a thought is rewarded for."""
    temperature: float = Field(default=1.0, gt=0)
    """Of sampling. 1: the log-probabilities that are learned from are those that were sampled from."""
    positions: Literal["answer", "all", "entropy"] = "entropy"
    """Where it thinks: before answers, everywhere, or where the model is least sure."""
    top_share: float = Field(default=0.1, gt=0, le=1)
    """Share of a text's places, those of highest entropy."""
    random_share: float = Field(default=0.2, ge=0, le=1)
    """Share of random places beside, so that figures are not those of hard places only."""
    span: int = Field(default=256, ge=8)
    """Tokens of a text. Unused with `answer`."""
    policy_weight: float = Field(default=1.0, ge=0)
    """β, the weight of REINFORCE; a rollback halves it."""
    entropy_weight: float = Field(default=0.01, ge=0)
    entropy_decay: float = Field(default=0.9995, gt=0, le=1)
    entropy_floor: float = Field(default=0.001, ge=0)
    optimizer: RlOptimizer = RlOptimizer()
    edges_rate: float = Field(default=10.0, gt=0)
    """How many times the rate of the start and the end token is the others'."""
    warmup: int = Field(default=500, ge=0)
    clip: float = Field(default=1.0, gt=0)
    window: int = Field(default=100, ge=1)
    """Episodes of the rolling average."""
    curriculum: list[Stage] = []
    """Fewer tokens of thought as it goes on; empty: always `thought_tokens`."""
    distil_steps: int = Field(default=0, ge=0)
    """Steps at the end in which the prediction without a thought learns from the one with it; 0: thoughts stay."""
    log_every: int = Field(default=10, ge=1)
    eval_every: int = Field(default=500, ge=1)
    eval_items: int = Field(default=256, ge=2)
    checkpoint_every: int | None = None
    """None: only at the end and when asked by SIGUSR2."""
    lora_rank: int | None = None
    """None: every weight learns, and a frozen copy is the reference. A rank: adapters learn, and the model without them is."""
    lora_targets: list[str] | None = None
    """Last names of linear modules; None: the attention's (of our own body: all)."""
    benchmark_problems: int = Field(default=0, ge=0)
    """GSM8K and ARC problems to answer at every evaluation, where $FRACTAL_DATA has them; 0: none."""
    device: str = "auto"
    threads: int | None = 1

    @model_validator(mode="after")
    def _stages_rise(self) -> Rl:
        begins = [stage.begins for stage in self.curriculum]
        if begins != sorted(set(begins)):
            raise ValueError("the stages of rl.curriculum must begin one after the other")
        return self


class AntiTheater(_Part):
    """The three tests: of every N episodes, and of the end."""

    every: int = Field(default=1000, ge=1)
    """Episodes between tests; a failed one rolls back."""
    items: int = Field(default=256, ge=8)
    """Places with a thought of a test between episodes."""
    final_items: int = Field(default=1024, ge=8)
    bootstrap: int = Field(default=1000, ge=100)
    divergence: float = 0.30
    """At least this much total variation between the answers after the own and after another's thought."""
    ablation: float = 0.02
    """Thinking must win more than this over the better of both ways without a thought."""
    correlation: float = 0.5
    """Of thought quality and of the answer being right, within one problem."""
    rollbacks: int = Field(default=3, ge=1)
    """After so many the run ends as `theater`."""
    control_steps: int = Field(default=120, ge=1)
    """Steps in which the theatrical control learns to answer beside its thoughts."""
    required: bool = True
    """Whether a model that fails the tests of the end is refused to phase 4. `smoke` learns too little to pass any."""
