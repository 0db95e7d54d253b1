"""What a COCONUT run can be told: the phase's presets and, under them, the models of the comparison.

A preset (`configs/phase1-coconut/<preset>.yaml`) says on what a step runs: data, body, device. A variant
(`configs/phase1-coconut/variants/<name>.yaml`) says which model is trained, in the words of the source's configs; the five
known ones share one parent. No torch here: the console refuses a bad config before it costs money.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from engine.config.errors import ConfigError, nearest
from engine.config.layers import merge
from engine.config.load import Config, check
from engine.config.yaml_file import read_yaml

PHASE = "phase1-coconut"
VARIANTS = ("prosqa_cot", "prosqa_nocot", "prosqa_coconut_1gpu", "prosqa_m4_frozen", "prosqa_m4b_shared")
ABLATIONS = ("prosqa_icot", "prosqa_no_thought", "prosqa_pause_as_thought", "prosqa_no_curriculum")
SHORT = {
    "m1": "prosqa_cot",
    "m2": "prosqa_nocot",
    "m3": "prosqa_coconut_1gpu",
    "m4": "prosqa_m4_frozen",
    "m4b": "prosqa_m4b_shared",
}

FeedbackMode = Literal["continuous", "frozen", "learned_shared", "token"]


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Variant(Part):
    """One model of the comparison; names and defaults are the source's."""

    name: str
    cot: bool = False
    no_cot: bool = False
    coconut: bool = False
    no_thoughts: bool = False
    """The curriculum takes steps away and puts nothing in their place."""
    icot: bool = False
    """The curriculum takes the chain away token by token and puts nothing in its place."""
    feedback_mode: FeedbackMode = "continuous"
    """What stands at a latent position: the last hidden state, a fixed vector, a trained one, or the latent token's own."""

    seed: int = 0
    num_epochs: int = Field(50, gt=0)
    batch_size_training: int = Field(32, gt=0)
    gradient_accumulation_steps: int = Field(4, gt=0)
    bf16: bool = False
    lr: float = Field(1e-4, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    reset_optimizer: Literal["epoch", "stage", "never"] = "epoch"

    curriculum: bool = True
    """Off: the last stage from the first epoch on."""
    max_latent_stage: int = Field(6, ge=0)
    epochs_per_stage: int = Field(5, gt=0)
    c_thought: int = Field(1, gt=0)
    """Latents a stage."""
    pad_latent_to_max: bool = True
    uniform_prob: float = Field(0.0, ge=0, le=1)
    """Share of samples that are trained at a random stage."""
    icot_tokens_per_stage: int = Field(8, gt=0)

    @model_validator(mode="after")
    def _one_kind(self) -> Variant:
        kinds = [k for k in ("cot", "no_cot", "coconut", "no_thoughts", "icot") if getattr(self, k)]
        if len(kinds) != 1:
            said = " and ".join(kinds) or "none"
            raise ValueError(f"one of cot, no_cot, coconut, no_thoughts, icot is to be true; {self.name} names {said}")
        if self.feedback_mode != "continuous" and not self.coconut:
            raise ValueError(f"feedback_mode {self.feedback_mode} needs coconut: true")
        return self

    @property
    def kind(self) -> str:
        return next(k for k in ("cot", "no_cot", "coconut", "no_thoughts", "icot") if getattr(self, k))

    @property
    def staged(self) -> bool:
        return self.coconut or self.no_thoughts or self.icot

    @property
    def last_stage(self) -> int:
        return self.max_latent_stage if self.staged else 0


class Body(Part):
    """The transformer below: pretrained weights, or a GPT-2 of this size from scratch."""

    weights: str | None = None
    """A folder or a name on the hub; None trains from scratch."""
    family: Literal["gpt2", "hf"] = "gpt2"
    """gpt2: our own forward. hf: any causal model of transformers, through its cache."""
    layers: int = Field(4, gt=0)
    width: int = Field(256, gt=0)
    heads: int = Field(8, gt=0)
    context: int = Field(1024, gt=0)
    dropout: float = Field(0.1, ge=0, lt=1)
    init_std: float = Field(0.02, gt=0)
    """Spread of fresh weights. 0.02 is GPT-2's, right for a width of 768; at 64 attention starts too flat to learn a look-up."""
    tokenizer: Literal["gpt2", "words"] = "words"

    @model_validator(mode="after")
    def _heads_divide(self) -> Body:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is no multiple of heads {self.heads}")
        return self


class Data(Part):
    """Which problems."""

    source: Literal["published", "mixed", "generated"] = "generated"
    """published: the authors' files in $FRACTAL_DATA, hashes checked. generated: ours, labelled synthetic.
    mixed: trained on ours, validated and tested on the authors'."""
    train_rows: int = Field(17886, gt=0)
    valid_rows: int = Field(300, gt=0)
    test_rows: int = Field(500, gt=0)
    ood_rows: int = Field(1000, gt=0)
    seed: int = 42


class Trees(Part):
    """The laptop's task: two trees of random symbols; which of two leaves follows from the root? Fresh ones every batch."""

    depth: int = Field(3, gt=0, le=4)
    symbols: int = Field(16, gt=3)
    batch: int = Field(64, gt=0)
    lr: float = Field(2e-3, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    warmup: int = Field(100, ge=0)
    clip: float = Field(1.0, gt=0)
    max_steps: int = Field(3000, gt=0)
    settle_at: float = Field(0.9, gt=0, le=1)
    """Accuracy at the last stage from which on the rate falls: earlier, it would fall on a model that has learnt nothing yet."""
    final_steps: int = Field(800, gt=0)
    """Steps over which it falls."""
    mastery: float = Field(0.97, gt=0, le=1)
    """The next stage comes when this share of fresh problems is right; never by time."""
    replay: float = Field(0.1, ge=0, lt=1)
    """Share of batches from a stage drawn by chance."""
    supervision: Literal["path", "frontier"] = "frontier"
    """What a stage below the last is asked: the rest of the path, or any one node of the next layer."""
    eval_every: int = Field(50, gt=0)
    eval_rows: int = Field(512, gt=0)
    test_rows: int = Field(4096, gt=0)
    stop_at: float | None = 0.995
    """Accuracy at the last stage that ends training; None trains to the last step."""


class CoconutConfig(Config):
    """A step of phase 1."""

    task: Literal["prosqa", "trees"] = "prosqa"
    variant: str = "prosqa_coconut_1gpu"
    change: dict[str, Any] = Field(default_factory=dict)
    """Keys of every variant that this preset changes, such as num_epochs."""
    body: Body = Body()
    data: Data = Data()
    trees: Trees = Trees()
    device: Literal["cpu", "cuda"] = "cpu"
    threads: int | None = Field(1, gt=0)
    """Of torch on a CPU; None leaves it alone."""
    bucket_parts: int = Field(4, gt=0)
    """Length-sorted parts of a micro-batch; the sum is the same whatever their number."""
    eval_batch: int = Field(20, gt=0)
    """Questions answered side by side: as many as a CPU's cache holds; a GPU wants hundreds."""
    max_new_tokens: int = Field(128, gt=0)
    eval_every_epochs: int = Field(1, gt=0)
    resume: str | None = None
    """A checkpoint to go on from, never found by itself; the first epoch that runs is the one after its last."""


def variant_name(name: str) -> str:
    """The known name of a variant; `m3` is short for prosqa_coconut_1gpu."""
    full = SHORT.get(name.lower(), name)
    if full not in VARIANTS + ABLATIONS:
        known = [*SHORT, *VARIANTS, *ABLATIONS]
        raise ConfigError(f"there is no variant {name!r}{nearest(name, known)}. There are: {', '.join(known)}")
    return full


def load_variant(name: str, change: dict[str, Any] | None = None, configs: Path = Path("configs")) -> Variant:
    """A variant's YAML laid on its parent's, then the preset's changes; one clear error for a bad key."""
    path = configs / PHASE / "variants" / f"{variant_name(name)}.yaml"
    said = read_yaml(path)
    parent = said.pop("parent", None)
    if parent is not None:
        said = merge(read_yaml(path.with_name(f"{parent}.yaml")), said)
    return check(Variant, merge(said, change or {}), str(path))
