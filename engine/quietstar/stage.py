"""One baking of one prompt (or one fine-tuning): adapters on a frozen network, an optimizer, steps, and the merge at the end.

    stage = Stage(model, language, examples, bake, seed, kind="prompt")
    seen = stage.step()                      # LossIsNone, with the batch, where the loss is none
    difference = stage.merge()               # proven equal, adapters gone

The order of examples and every draw follow from the seed and the step's number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from engine.config.quietstar_bake import Bake
from engine.quietstar.body import Body
from engine.quietstar.causal import causal_of, padded, sample
from engine.quietstar.dataset import ReasoningDataset
from engine.quietstar.distance import Pairs, distance, pair_up
from engine.quietstar.examples import Example
from engine.quietstar.fine_tune import lesson, let_rows_learn
from engine.quietstar.heads import unwatch, watch_logits
from engine.quietstar.language import Language
from engine.quietstar.lora import Lora, attach
from engine.training.mugrokfast.groups import param_groups
from engine.training.mugrokfast.optimizer import MuGrokfast

Kind = Literal["prompt", "sft", "warm-up"]
_TARGETS = {"gpt2": ("c_attn", "c_proj"), None: ("q_proj", "k_proj", "v_proj", "o_proj")}


class LossIsNone(Exception):
    """The loss is no number; the step was not taken. The examples that made it so are here."""

    def __init__(self, value: float, examples: list[Example], pairs: Pairs | None) -> None:
        super().__init__(f"the loss is {value}")
        self.value, self.examples, self.pairs = value, examples, pairs


@dataclass(frozen=True)
class Seen:
    """One step."""

    loss: float
    """KL a token, or cross-entropy a token."""
    learning_rate: float
    token_accuracy: float | None = None


class Stage:
    def __init__(
        self,
        model: nn.Module,
        language: Language,
        examples: Sequence[Example],
        bake: Bake,
        seed: int,
        kind: Kind = "prompt",
        total: int | None = None,
    ) -> None:
        self.model, self.language, self.examples, self.bake, self.seed = model, language, list(examples), bake, seed
        self.kind, self.done = kind, 0
        self.steps_per_epoch = bake.steps_per_epoch or math.ceil(len(examples) / bake.batch)
        self.total = total or max(1, math.ceil(bake.epochs * self.steps_per_epoch * bake.stop_after))
        self.reader = causal_of(model.eval())
        generator = torch.Generator().manual_seed(seed)
        targets = bake.lora_targets or targets_of(model)
        self.lora: Lora = attach(model, bake.lora_rank, bake.lora_alpha, targets, bake.lora_dropout, generator)
        for adapter in self.lora.adapters.values():
            adapter.train()  # dropout is the adapters' own; the teacher has none
        self._freeze = let_rows_learn(model, language.thinking) if kind != "prompt" else lambda: None
        self.clip = watch_logits(model, bake.optimizer.qk_clip_threshold)
        groups = param_groups(model, bake.optimizer)
        for group in groups:
            if group["kind"] == "adamw":
                group["weight_decay"] = 0.0  # a table's other rows stay
        self.optimizer = MuGrokfast(groups, bake.optimizer, self.clip)
        self._base_rates = [group["lr"] for group in self.optimizer.param_groups]
        self._data = ReasoningDataset(self.examples, language, bake.max_length, prompted=kind == "warm-up")

    def step(self) -> Seen:
        """One batch: sample, compare, move."""
        torch.manual_seed(self._draw_seed())
        rows = self._rows()
        some = [self.examples[at] for at in rows]
        accuracy, pairs = None, None
        if self.kind == "prompt":
            pairs = self.sampled(some)
            found = distance(self.reader, self.lora, pairs, self.bake.teacher == "current")
            loss, told = found.sum_a_response, found.a_token
        else:
            taught = lesson(self.reader, self._data, rows)
            loss, accuracy = taught.loss, taught.token_accuracy
            told = float(loss.detach())
        if not math.isfinite(float(loss.detach())):
            raise LossIsNone(float(loss.detach()), some, pairs)
        rate = self._move(loss)
        return Seen(told, rate, accuracy)

    def sampled(self, examples: Sequence[Example]) -> Pairs:
        """Responses of the prompted teacher, at temperature 1."""
        rows = [[*self.language.prompt(e.strategy), *self.language.question(e)] for e in examples]
        pursuit = self.bake.teacher == "current"
        with self.lora.scaled(1.0 if pursuit else 0.0):
            said = sample(self.reader, rows, self.bake.response_tokens, self.language.eos, self.language.pad,
                          generator=self._generator())  # fmt: skip
        return pair_up(self.language, examples, said)

    def _move(self, loss: Tensor) -> float:
        loss.backward()
        learning = [p for group in self.optimizer.param_groups for p in group["params"]]
        torch.nn.utils.clip_grad_norm_(learning, self.bake.clip)
        share = 1.0 if self.bake.schedule == "constant" else 1 - self.done / self.total
        for group, base in zip(self.optimizer.param_groups, self._base_rates, strict=True):
            group["lr"] = base * share
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.done += 1
        return float(self.optimizer.param_groups[0]["lr"])

    def _draw_seed(self) -> int:
        return self.seed * 1_000_003 + self.done

    def _generator(self) -> torch.Generator:
        device = next(self.model.parameters()).device
        return torch.Generator(device).manual_seed(self._draw_seed())

    def _rows(self) -> list[int]:
        """The next batch of an order that is new in every epoch."""
        epoch, at = divmod(self.done, self.steps_per_epoch)
        order = torch.randperm(len(self.examples), generator=torch.Generator().manual_seed(self.seed * 7919 + epoch))
        first = at * self.bake.batch
        return [int(order[i % len(order)]) for i in range(first, first + self.bake.batch)]

    def merge(self, strength: float | None = None) -> float:
        """Into the weights for good; how far merged logits are from the adapters'. LoraError where too far."""
        strength = self.bake.strength if strength is None else strength
        self.lora.model.eval()
        rows = [self.language.question(e) for e in self.examples[: min(8, len(self.examples))]]
        device = next(self.model.parameters()).device
        ids_BT, real_BT = padded(rows, self.language.pad, left=False, device=device)
        logits = lambda: self.reader.logits(self.reader.hidden(ids_BT, real_BT))[real_BT]  # noqa: E731
        difference = self.lora.merge_checked(logits, strength, self.bake.merge_tolerance)
        self.close()
        return difference

    def close(self) -> None:
        """Plain modules again, unwatched, and nothing frozen."""
        self._freeze()
        unwatch(self.model)
        self.lora.detach()

    def state(self) -> dict[str, Any]:
        """Weights too: a stage before this one, or new rows, may have changed them."""
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "done": self.done}

    def load(self, state: dict[str, Any]) -> None:
        for name, adapter in self.lora.adapters.items():
            if f"{name}.gain_O" in state["model"]:
                adapter.gain_O = torch.ones_like(adapter.B[:, 0])
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.done = state["done"]


def targets_of(model: Any) -> tuple[str, ...]:
    """Of our own body every matrix, of others the attention's, as the source has it."""
    if isinstance(model, Body):
        return ("q", "k", "v", "o", "up", "down")
    return _TARGETS.get(model.config.model_type, _TARGETS[None])
