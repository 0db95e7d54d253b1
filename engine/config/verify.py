"""What the phases of code verification may be told: problems, generation, sandbox, critic, ranking, names of files."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from engine.config.load import Config

Split = Literal["prompt", "train", "validation", "test"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Problems(_Part):
    """Which problem set, and which of its official splits are for what."""

    source: Literal["own", "mbpp", "sanitized", "humaneval", "apps"] = "own"
    train_splits: tuple[Split, ...] = ("train", "validation")
    test_splits: tuple[Split, ...] = ("test",)
    test_source: Literal["own", "mbpp", "sanitized", "humaneval", "apps"] | None = None
    """Test problems of another set (a transfer); None: of the same."""
    limit: int | None = Field(default=None, ge=2)
    """The first so many of each; None for all."""

    def source_of(self, part: str) -> str:
        """The set that `train` or `test` is taken from."""
        return self.test_source or self.source if part == "test" else self.source

    @model_validator(mode="after")
    def _apart(self) -> Problems:
        if self.test_source not in (None, self.source):
            return self
        both = set(self.train_splits) & set(self.test_splits)
        if both:
            raise ValueError(f"the split {sorted(both)[0]!r} is for training and for testing; choose one")
        return self


class Generate(_Part):
    """Who writes the candidates, and how many."""

    backend: Literal["offline", "transformers", "vllm", "openai"] = "offline"
    model: str = ""
    """A name on the hub or a local folder; unused with `offline`."""
    revision: str | None = None
    n_train: int = Field(default=24, ge=1)
    n_test: int = Field(default=24, ge=1)
    chunk: int = Field(default=16, ge=1)
    """Samples of one work unit: what a crash can lose."""
    temperature: float = Field(default=0.8, ge=0)
    top_p: float = Field(default=0.95, gt=0, le=1)
    max_tokens: int = Field(default=512, ge=1)
    stop: tuple[str, ...] = ()
    """Words that end an answer, beside the model's own end."""
    greedy: bool = True
    """One greedy answer a test problem beside the samples: a baseline. `offline` has none."""
    visible_tests: int = Field(default=1, ge=0)
    """Tests that the prompt shows; they don't judge unless `judge_visible`."""
    judge_visible: bool = False
    max_model_len: int = Field(default=2048, ge=64)
    gpu_memory_utilization: float = Field(default=0.9, gt=0, le=1)
    tensor_parallel: int = Field(default=1, ge=1)
    """GPUs that one engine is spread over."""
    data_parallel: int = Field(default=1, ge=1)
    """Engines, each a process on GPUs of its own with a share of the problems."""
    base_url: str = ""
    """With `openai`: the server's address, such as http://localhost:8000/v1."""
    dtype: str = "auto"

    @model_validator(mode="after")
    def _has_model(self) -> Generate:
        if self.backend != "offline" and not self.model:
            raise ValueError(f"the backend {self.backend!r} needs a model")
        if self.backend == "openai" and not self.base_url:
            raise ValueError("the backend 'openai' needs a base_url")
        return self


class Sandbox(_Part):
    """How candidates are executed."""

    backend: Literal["local", "ray"] = "local"
    workers: int | None = Field(default=None, ge=1)
    """None: one for each core."""
    memory_mib: int = Field(default=1024, ge=64)
    unsafe: bool = False
    """Run without walls where the machine has none. Somebody else's programs will have your rights."""


class Critic(_Part):
    """The soft verifier."""

    body: Literal["small", "pretrained"] = "small"
    model: str = ""
    """With `pretrained`: a name on the hub or a local folder."""
    trainable_layers: int = Field(default=2, ge=0)
    """With `pretrained`: top layers that learn; those below are frozen."""
    lora_rank: int | None = Field(default=None, ge=1)
    head_dim: int = Field(default=1024, ge=8)
    dim: int = Field(default=96, ge=8)
    layers: int = Field(default=3, ge=1)
    heads: int = Field(default=4, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    max_length: int = Field(default=512, ge=32)
    loss: Literal["listwise", "pairwise", "margin", "contrastive", "bce"] = "listwise"
    calibration: float = Field(default=0.5, ge=0)
    """Weight of BCE beside a ranking loss: what makes an energy readable as a probability."""
    margin: float = Field(default=1.0, gt=0)
    locate: float = Field(default=0.0, ge=0)
    """Weight of each position's own verdict, from the difference to the nearest passing program (`small` only)."""
    epochs: int = Field(default=6, ge=1)
    token_budget: int = Field(default=4096, ge=64)
    """Tokens of one batch, padding included."""
    group: int = Field(default=12, ge=2)
    """Samples of one problem that stand in a batch together."""
    lr: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    val_share: float = Field(default=0.2, gt=0, lt=0.5)
    """Of the training problems, for validation; whole problems, never samples."""
    threads: int | None = Field(default=1, ge=1)
    """Torch's threads on a CPU; None leaves torch its own choice."""

    @model_validator(mode="after")
    def _fits(self) -> Critic:
        if self.dim % (2 * self.heads):
            raise ValueError(f"dim {self.dim} does not divide into {self.heads} heads of even width")
        if self.body == "pretrained" and not self.model:
            raise ValueError("the body 'pretrained' needs a model")
        return self


class Rank(_Part):
    """How the choices are compared."""

    bootstrap: int = Field(default=10_000, ge=100)
    pool: str = "own-test"
    """Name of the pool in facts: baselines count only within one."""


class Refine(_Part):
    """A second round at an equal number of samples."""

    first: int = Field(default=8, ge=1)
    second: int = Field(default=8, ge=1)


class Files(_Part):
    """Names in the work folder."""

    problems: str = "problems.jsonl"
    train: str = "mbpp_generations.jsonl"
    train_labeled: str = "mbpp_labeled.jsonl"
    test: str = "mbpp_test_generations.jsonl"
    test_labeled: str = "mbpp_test_labeled.jsonl"
    greedy: str = "mbpp_test_greedy.jsonl"
    greedy_labeled: str = "mbpp_test_greedy_labeled.jsonl"


class VerifyConfig(Config):
    """Phases 11 and 14."""

    problems: Problems = Problems()
    generate: Generate = Generate()
    sandbox: Sandbox = Sandbox()
    critic: Critic = Critic()
    rank: Rank = Rank()
    refine: Refine = Refine()
    files: Files = Files()
