"""What an Ouroboros run may be told: data, model, energy, training, evaluation."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from engine.config.load import Config


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Data(_Part):
    """Which problems, and how correct and wrong items are made from them."""

    source: Literal["generated", "gsm8k"] = "generated"
    """`gsm8k` reads the real problems from $FRACTAL_DATA; `generated` needs nothing."""
    problems: int = Field(default=6000, ge=40)
    """Problems to generate, twins included. Unused with `gsm8k`."""
    templates: int = Field(default=400, ge=10)
    val_share: float = Field(default=0.1, gt=0, lt=0.5)
    test_share: float = Field(default=0.1, gt=0, lt=0.5)
    """Unused with `gsm8k`, whose official test split is the test."""
    max_operand: int = Field(default=999, ge=9)
    max_result: int = Field(default=9999, ge=9)
    """Steps outside these two are left out of T1, and counted."""
    renumbered: int = Field(default=60_000, ge=0)
    """More training steps with fresh numbers; none of them is an equation of a validation or test problem."""
    products: float = Field(default=0.7, ge=0, le=1)
    """Share of the renumbered steps that are products or quotients; the others follow the problems. Sums and differences
    are learnt in the first seconds, so more of them teach nothing."""
    negatives: Literal["counterbalanced", "naive"] = "counterbalanced"
    """`naive` is the published corruption (the result changed by a little); the leak probe is there to catch it."""
    context: Literal["none", "problem"] = "none"
    """Whether the model reads the question and the lines before a step. T2 can't be told from chance without."""
    tokenizer: Literal["bpe", "gpt2"] = "bpe"
    vocabulary: int = Field(default=4096, ge=300)
    max_context: int = Field(default=320, ge=16)
    """Tokens of question and earlier lines; a longer context keeps its end."""


class Probe(_Part):
    """The leak probe. Outside [low, high] training does not start."""

    low: float = 0.45
    high: float = 0.55
    rows: int = Field(default=8000, ge=200)
    """Training items that a probe is fitted on."""


class Model(_Part):
    """The encoder. Head dimension is dim / heads."""

    dim: int = Field(default=64, ge=8)
    layers: int = Field(default=4, ge=1)
    heads: int = Field(default=4, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _even_heads(self) -> Model:
        if self.dim % self.heads or (self.dim // self.heads) % 2:
            raise ValueError(f"dim {self.dim} must divide into {self.heads} heads of even size (RoPE turns pairs)")
        return self


class Train(_Part):
    """The loop."""

    energy: Literal["generative", "mse", "bce"] = "generative"
    """`generative`: E = 1 - p(claimed digits | premise). `mse` is the source's head and loss, `bce` adds pair ranking."""
    iters: int = Field(default=2000, ge=1)
    batch: int = Field(default=256, ge=4)
    """Steps in a batch, all processes together."""
    choices_batch: int = Field(default=64, ge=4)
    """Steps of T2 in a batch, all processes together. Unused without context."""
    token_budget: int = Field(default=8192, ge=64)
    """Tokens of text in a micro-batch: the texts of a batch are sorted by length and cut by it."""
    optimizer: Literal["muon", "adamw"] = "muon"
    lr: float = Field(default=3e-3, gt=0)
    """Of AdamW: all parameters, or those that are no matrices when Muon does the matrices."""
    muon_lr: float = Field(default=0.02, gt=0)
    min_lr_share: float = Field(default=0.02, ge=0, le=1)
    warmup: int = Field(default=50, ge=0)
    flat_share: float = Field(default=0.4, ge=0, le=1)
    """Share of the iterations before the rate falls."""
    weight_decay: float = Field(default=0.01, ge=0)
    clip: float | None = 1.0
    rank_weight: float = Field(default=0.5, ge=0)
    """Weight of pair ranking beside `bce`."""
    accumulate: int = Field(default=1, ge=1)
    eval_every: int = Field(default=100, ge=1)
    eval_items: int = Field(default=1024, ge=8)
    checkpoint_every: int | None = None
    """None: only at the end and when asked by SIGUSR2."""
    patience: int | None = None
    """Evaluations without a better validation loss before training ends."""
    threads: int | None = 1
    """CPU threads; None leaves torch's choice."""
    device: str = "auto"
    dtype: Literal["float32", "bfloat16"] = "float32"
    compile: bool = False


class Evaluate(_Part):
    """What is measured on held-out problems."""

    problems: int | None = None
    """At most this many test problems; None takes all."""
    solutions: int | None = None
    """At most this many whole solutions of each kind, here and in `correct`; None takes all."""
    bootstrap: int = Field(default=1000, ge=100)
    threshold: float = Field(default=0.5, gt=0, lt=1)
    gsm8k: bool = True
    """Report the real GSM8K test steps beside, where $FRACTAL_DATA has them."""


class Correct(_Part):
    """Self-correction and best-of-N."""

    threshold: float = Field(default=0.5, gt=0, lt=1)
    """A step above it is doubted."""
    drop: float = Field(default=0.2, ge=0, le=1)
    """A proposal must lie at least this much lower than the step that it replaces."""
    beam: int = Field(default=4, ge=1)
    """The model's own results that are proposed."""
    candidates: int = Field(default=8, ge=2)
    """Candidate solutions for each problem in the comparison of best-of-N."""
    candidates_right: float = Field(default=0.4, gt=0, lt=1)
    """How likely each of them is correct; the others have one error of tier T1 or T2."""


class Baseline(_Part):
    """The source's own head and loss on the same data, for comparison; trained by the step `baseline`."""

    energy: Literal["mse", "bce"] = "mse"
    iters: int = Field(default=1000, ge=1)


class Organic(_Part):
    """Tier T3: the model that is trained on the spot, and whose own errors are judged."""

    problems: int = Field(default=12_000, ge=40)
    """Stories to generate; those with more than `most_steps` steps are left out."""
    templates: int = Field(default=60, ge=4)
    most_steps: int = Field(default=2, ge=1)
    max_operand: int = Field(default=20, ge=9)
    max_result: int = Field(default=99, ge=9)
    held_out_share: float = Field(default=0.2, gt=0, lt=1)
    """Of the templates: their stories are solved and never trained on."""
    held_out: int = Field(default=200, ge=2)
    """At most so many stories are solved."""
    vocabulary: int = Field(default=500, ge=300)
    dim: int = Field(default=96, ge=8)
    layers: int = Field(default=2, ge=1)
    heads: int = Field(default=4, ge=1)
    iters: int = Field(default=700, ge=1)
    batch: int = Field(default=32, ge=1)
    lr: float = Field(default=4e-3, gt=0)
    candidates: int = Field(default=8, ge=2)
    temperature: float = Field(default=0.8, gt=0)
    most_tokens: int = Field(default=48, ge=8)


class Programs(_Part):
    """Tier T3 on programs: references against slips of them, labelled by execution; an energy that reads them."""

    source: Literal["auto", "own", "humaneval"] = "auto"
    """`auto`: HumanEval where $FRACTAL_DATA has it, else the project's own problems."""
    problems: int | None = Field(default=None, ge=4)
    """The first so many; None for all."""
    tries: int = Field(default=16, ge=1)
    """Slips that are tried on each problem."""
    most_pairs: int = Field(default=12, ge=1)
    """Pairs that one problem may give."""
    held_out_share: float = Field(default=0.3, gt=0, lt=1)
    cpu_s: float = Field(default=0.5, gt=0)
    """What a program may use at most: a slip that makes a loop endless costs this much."""
    workers: int | None = Field(default=None, ge=1)
    """Of the sandbox; None: one for each core."""
    iters: int = Field(default=300, ge=1)
    batch: int = Field(default=16, ge=2)
    """Pairs in a batch."""
    lr: float = Field(default=1e-3, gt=0)
    max_tokens: int = Field(default=256, ge=16)


class OuroborosConfig(Config):
    """Phase 7."""

    data: Data = Data()
    probe: Probe = Probe()
    model: Model = Model()
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    correct: Correct = Correct()
    baseline: Baseline = Baseline()
    organic: Organic = Organic()
    programs: Programs = Programs()
