"""Step 1: a prompt's behaviour goes into the weights, epoch by epoch, judged on what the model then writes without it.

    trainer = PromptBakingTrainer(model, tokenizer, train, val, config)
    result = trainer.train()                         # epochs, early stop on convergence, merge
    trainer.save_baked_model(path)

    result = run_step1_baking(model, tokenizer, "phase3_reasoning_training_data.json", "phase3_baked_model.pt")

Guarantees: accuracy and token usage are measured on generated, unprompted outputs to held-out questions; the held-out KL is taken
on responses sampled before anything was learned; a loss that is no number ends it with the batch kept (`LossIsNone`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import nn

from engine.config.quietstar_bake import Bake
from engine.quietstar import examples as files
from engine.quietstar import loading
from engine.quietstar.causal import causal_of
from engine.quietstar.distance import Pairs, distance, refuse_too_long
from engine.quietstar.examples import Example
from engine.quietstar.judge import Judged, check_convergence, judge, write
from engine.quietstar.language import Language, TextLanguage
from engine.quietstar.logger import WandBLogger
from engine.quietstar.stage import Kind, Seen, Stage
from engine.quietstar.strategies import STRATEGIES
from engine.quietstar.tokens import make_room


@dataclass
class Epoch:
    """One epoch as it is shown and logged."""

    number: int
    loss: float
    learning_rate: float
    judged: Judged
    kl: float
    """Held-out KL a token."""
    token_accuracy: float | None = None


@dataclass
class Result:
    """What step 1 came to."""

    final_accuracy: float
    strategy_accuracies: dict[str, float]
    token_usage: dict[str, float]
    converged: bool
    epochs: list[Epoch]
    facts: dict[str, float] = field(default_factory=dict)
    stopped: bool = False
    """Asked to stop before it was through; nothing is merged."""

    def metadata(self) -> dict[str, Any]:
        return {
            "final_accuracy": self.final_accuracy,
            "strategy_accuracies": self.strategy_accuracies,
            "token_usage": self.token_usage,
            "converged": self.converged,
            "epochs": len(self.epochs),
            **self.facts,
        }


@dataclass
class Standing:
    """How far it is; a checkpoint keeps it."""

    stage: int = 0
    epoch: int = 0
    """Epochs of this stage that are done."""
    losses: list[float] = field(default_factory=list)
    """Of the epoch that is running."""
    kl_before: list[float] = field(default_factory=list)
    kl_after: list[float] = field(default_factory=list)
    merged_difference: float = 0.0
    ended_early: bool = False


class PromptBakingTrainer:
    """`asked` says between steps whether somebody wants a checkpoint or a stop; `keep` then writes `state()` somewhere."""

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,
        train: Sequence[Example],
        val: Sequence[Example],
        config: Bake | None = None,
        seed: int = 0,
        logger: WandBLogger | None = None,
        on_epoch: Callable[[Epoch], None] = lambda epoch: None,
        on_step: Callable[[int, int], None] = lambda done, total: None,
        asked: Any = None,
        keep: Callable[[], None] = lambda: None,
    ) -> None:
        self.bake = config or Bake()
        self.language: Language = tokenizer if hasattr(tokenizer, "question") else TextLanguage(tokenizer)
        self.model, self.seed, self.logger = model, seed, logger
        self.on_epoch, self.on_step, self.asked, self.keep = on_epoch, on_step, asked, keep
        self.train_examples = list(train)
        self.held_out = files.in_turn(val, self.bake.eval_items)
        for part, name in ((self.train_examples, "the training part"), (self.held_out, "the validation part")):
            files.refuse_missing(part, name)
        self.reader = causal_of(model)
        refuse_too_long(self.language, [*train, *val], self.bake.response_tokens, self.reader.context)
        generator = torch.Generator().manual_seed(seed)
        make_room(model, self.language.size, generator, self.bake.grow_vocabulary, self.language.fresh)
        self.plan = self._plan()
        self.standing = Standing()
        self.epochs: list[Epoch] = []
        self.facts: dict[str, float] = {}
        self.stage: Stage | None = None
        self._held_out_pairs: list[Pairs] = []

    def _plan(self) -> list[tuple[Kind, list[Example]]]:
        """The stages, one after the other, each merged before the next."""
        if self.bake.mode == "sft":
            return [("sft", self.train_examples)]
        found: list[tuple[Kind, list[Example]]] = []
        if self.bake.warm_up_steps:
            found.append(("warm-up", self.train_examples))
        if not self.bake.sequential:
            return [*found, ("prompt", self.train_examples)]
        return [*found, *(("prompt", [e for e in self.train_examples if e.strategy == s]) for s in STRATEGIES)]

    # The loop

    def train(self) -> Result:
        """Every stage and epoch that is left, the merge of each, and the last judgement."""
        if not self.facts:
            self.facts = self._measure_start()
        while self.standing.stage < len(self.plan):
            stage = self.stage or self._begin_stage()
            while stage.done < stage.total and not self.standing.ended_early:
                if not self.train_epoch():
                    return self._result(stopped=True)
                self._end_epoch()
            self._end_stage()
        return self._result()

    def train_epoch(self) -> bool:
        """The steps that are left of this epoch; False where a stop was asked."""
        stage = self.stage or self._begin_stage()
        end = min(stage.total, (stage.done // stage.steps_per_epoch + 1) * stage.steps_per_epoch)
        while stage.done < end:
            self._last: Seen = stage.step()
            self.standing.losses.append(self._last.loss)
            self.on_step(stage.done, stage.total)
            if self.asked is not None and (self.asked.stop or self.asked.checkpoint):
                self.keep()
                self.asked.checkpoint = False
                if self.asked.stop:
                    return False
        return True

    def validate(self) -> Judged:
        """What the model writes without the prompt to held-out questions."""
        bake = self.bake
        outputs = write(self.reader, self.language, self.held_out, bake.response_tokens, bake.eval_batch)
        return judge(self.language, self.held_out, outputs)

    def check_convergence(self, judged: Judged) -> bool:
        return check_convergence(judged.accuracy, judged.strategies, self.bake.threshold)

    def _begin_stage(self) -> Stage:
        kind, some = self.plan[self.standing.stage]
        total = self.bake.warm_up_steps if kind == "warm-up" else None
        seed = self.seed + 101 * self.standing.stage
        self.stage = Stage(self.model, self.language, some, self.bake, seed, kind, total)
        self._held_out_pairs = self._sample_held_out(some) if kind == "prompt" else []
        if kind == "prompt" and len(self.standing.kl_before) < self.standing.stage + 1:
            self.standing.kl_before.append(self.held_out_kl())
        return self.stage

    def _sample_held_out(self, some: Sequence[Example]) -> list[Pairs]:
        """Responses of the teacher as it is before this stage; sampled from the seed alone, so a resumed run has them again."""
        assert self.stage is not None
        strategies, size = {e.strategy for e in some}, self.bake.eval_batch
        mine = [e for e in self.held_out if e.strategy in strategies]
        with self.stage.lora.off():
            return [self.stage.sampled(mine[at : at + size]) for at in range(0, len(mine), size)]

    @torch.no_grad()
    def held_out_kl(self) -> float:
        """Forward KL a token to the teacher that this stage began with."""
        assert self.stage is not None
        found = [distance(self.reader, self.stage.lora, pairs) for pairs in self._held_out_pairs]
        tokens = sum(d.tokens for d in found)
        return sum(d.a_token * d.tokens for d in found) / tokens if tokens else float("nan")

    def _end_epoch(self) -> None:
        assert self.stage is not None
        standing, seen = self.standing, self._last
        loss = sum(standing.losses) / len(standing.losses)
        standing.losses = []
        standing.epoch += 1
        judged = self.validate()
        number = len(self.epochs) + 1
        epoch = Epoch(number, loss, seen.learning_rate, judged, self.held_out_kl(), seen.token_accuracy)
        self.epochs.append(epoch)
        if self.logger is not None:
            self.logger.log_baking_epoch(
                number, loss, seen.learning_rate, judged.accuracy, judged.strategies, judged.usage,
                threshold=self.bake.threshold,
            )  # fmt: skip
        self.on_epoch(epoch)
        last = standing.stage == len(self.plan) - 1  # all strategies are judged once all have been baked
        standing.ended_early = last and self.check_convergence(judged)
        self.keep()

    def _end_stage(self) -> None:
        assert self.stage is not None
        standing = self.standing
        if self.plan[standing.stage][0] == "prompt":
            with self.stage.lora.scaled(self.bake.strength):
                standing.kl_after.append(self.held_out_kl())
        # a warm-up is no baking: it is merged whole, however much of the baking is
        strength = self.bake.strength if self.plan[standing.stage][0] == "prompt" else 1.0
        standing.merged_difference = max(standing.merged_difference, self.stage.merge(strength))
        self.stage = None
        standing.stage, standing.epoch = standing.stage + 1, 0
        if standing.stage < len(self.plan):
            self.keep()

    # What it comes to

    def _measure_start(self) -> dict[str, float]:
        """Before anything is learned: the untold model, and the one that is told."""
        bake, found = self.bake, {}
        for name, prompted in (("before", False), ("teacher", True)):
            outputs = write(self.reader, self.language, self.held_out, bake.response_tokens, bake.eval_batch, prompted)
            judged = judge(self.language, self.held_out, outputs)
            found |= {f"accuracy_{name}": judged.accuracy, f"thinking_{name}": judged.usage["thinking"]}
        return found

    def _result(self, stopped: bool = False) -> Result:
        judged = self.epochs[-1].judged if stopped and self.epochs else self.validate()
        facts = dict(self.facts)
        if not stopped:
            facts |= self._final_facts(judged)
        return Result(
            judged.accuracy,
            judged.strategies,
            judged.usage,
            self.check_convergence(judged),
            self.epochs,
            facts,
            stopped,
        )

    def _final_facts(self, judged: Judged) -> dict[str, float]:
        bake, standing = self.bake, self.standing
        told = write(self.reader, self.language, self.held_out, bake.response_tokens, bake.eval_batch, prompted=True)
        found = {
            "merged_difference": standing.merged_difference,
            "unprompted_thinking": judged.usage["thinking"],
            "accuracy_prompted_again": judge(self.language, self.held_out, told).accuracy,
        }
        if standing.kl_after:
            factors = [b / max(a, 1e-12) for b, a in zip(standing.kl_before, standing.kl_after, strict=True)]
            found |= {"kl_before": standing.kl_before[0], "kl_after": standing.kl_after[-1]}
            found["kl_fell_by_factor"] = min(factors)
        return found

    def save_baked_model(self, path: str | PathLike[str], about: dict[str, Any] | None = None) -> None:
        """The merged model with its language and what is known of it."""
        loading.save(Path(path), self.model, self.language, about or {})

    # Going on

    def state(self) -> dict[str, Any]:
        assert self.stage is not None or self.standing.stage < len(self.plan)
        return {
            "standing": vars(self.standing),
            "stage": self.stage.state() if self.stage is not None else None,
            "model": self.model.state_dict() if self.stage is None else None,
            "facts": self.facts,
            "epochs": [vars(e) | {"judged": vars(e.judged)} for e in self.epochs],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on where `state()` was taken. The teacher's held-out responses are sampled again from the same bits."""
        self.standing = Standing(**{**state["standing"], "losses": list(state["standing"]["losses"])})
        self.facts = state["facts"]
        self.epochs = [Epoch(**{**e, "judged": Judged(**e["judged"])}) for e in state["epochs"]]
        if state["stage"] is None:
            self.model.load_state_dict(state["model"])
            return
        base = {
            name.replace(".base.", "."): value
            for name, value in state["stage"]["model"].items()
            if name.rpartition(".")[2] not in ("A", "B", "gain_O")
        }
        self.model.load_state_dict(base)
        self._begin_stage().load(state["stage"])


def run_step1_baking(
    model: nn.Module,
    tokenizer: Any,
    data_path: str | PathLike[str],
    output_path: str | PathLike[str],
    config: Bake | None = None,
    seed: int = 0,
    logger: WandBLogger | None = None,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> Result:
    """Read, split 90 to 10, bake, merge, save: step 1 in one call."""
    parts = files.split(files.read(Path(data_path)), seed)
    trainer = PromptBakingTrainer(model, tokenizer, parts.train, parts.val, config, seed, logger, on_epoch)
    result = trainer.train()
    trainer.save_baked_model(output_path, result.metadata())
    if logger is not None:
        logger.save_artifact(output_path, "phase3-baked-model", "baked_reasoning", result.metadata())
    return result
