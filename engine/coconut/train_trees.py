"""Train a variant on the laptop's task; `engine.coconut.train` calls this where the config's task is `trees`.

Guarantees: the same seed gives the same run; the next stage comes by mastery and never by time; the accuracy that counts is the
last stage's, on fresh problems, since below it the last step names the answer.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from engine import runlog
from engine.coconut import checkpoint
from engine.coconut.answers import interval
from engine.coconut.layout import NO_LABEL
from engine.coconut.model import PAUSE_KEY, Coconut
from engine.coconut.trees import EdgeGPT2, Forest, Problems
from engine.config.coconut import CoconutConfig, Variant


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    accuracy: float
    steps: int
    stage: int
    cpu_s: float
    model: Coconut


def forest_of(cfg: CoconutConfig) -> Forest:
    return Forest(cfg.trees.depth, cfg.trees.symbols)


def make_model(cfg: CoconutConfig, variant: Variant) -> Coconut:
    """A fresh model; the seed is the config's."""
    torch.manual_seed(cfg.seed)
    forest = forest_of(cfg)
    body = EdgeGPT2(forest, cfg.body.width, cfg.body.layers, cfg.body.heads, cfg.body.dropout, cfg.body.init_std)
    return Coconut(body, variant.feedback_mode, forest.latent, forest.start)


def is_staged(variant: Variant) -> bool:
    """Whether a run starts with words.

    A fixed thought can't hold a layer of nodes, so it never masters the stage that asks for the next: such a control is trained
    on the answer from the first step, like the pause tokens of the paper.
    """
    return variant.coconut and variant.curriculum and variant.feedback_mode == "continuous"


def rate(step: int, settled: int | None, cfg: CoconutConfig, staged: bool) -> float:
    """The share of the full learning rate: a warm-up, then full, then a fall once settled (or over a run without stages)."""
    trees = cfg.trees
    if step < trees.warmup:
        return (step + 1) / trees.warmup
    if not staged:
        return max(0.05, 1 - step / trees.max_steps)
    return 1.0 if settled is None else max(0.05, 1 - (step - settled) / trees.final_steps)


def train(cfg: CoconutConfig, variant: Variant) -> Outcome:
    """The loop, in the order it happens."""
    trees, forest = cfg.trees, forest_of(cfg)
    frontier = trees.supervision == "frontier" and variant.coconut
    model = make_model(cfg, variant)
    optimizer = torch.optim.AdamW(model.parameters(), lr=trees.lr, betas=(0.9, 0.98), weight_decay=trees.weight_decay)
    fresh = torch.Generator().manual_seed(cfg.seed + 1)
    held = torch.Generator().manual_seed(cfg.seed + 2)
    coin = random.Random(cfg.seed)
    staged = is_staged(variant)
    stage = 0 if staged else forest.depth
    settled: int | None = None
    began = time.process_time()
    step, accuracy = 0, float("nan")
    while step < trees.max_steps and (settled is None or step < settled + trees.final_steps):
        # ---- one batch of fresh problems, now and then from another stage
        at = coin.randint(0, forest.depth) if staged and coin.random() < trees.replay else stage
        batch = forest.batch(forest.problems(trees.batch, fresh), at, variant, frontier, fresh)
        loss = model(batch) / (batch.targets_BT != NO_LABEL).sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), trees.clip)
        for group in optimizer.param_groups:
            group["lr"] = trees.lr * rate(step, settled, cfg, staged)
        optimizer.step()
        optimizer.zero_grad()
        step += 1

        # ---- fresh problems decide about the next stage and about the end
        if step % trees.eval_every == 0 or step == trees.max_steps:
            mastered = mastery(model, forest, forest.problems(trees.eval_rows, held), stage, variant, frontier, held)
            accuracy = answers_right(model, forest, forest.problems(trees.eval_rows, held), variant)
            spent = time.process_time() - began
            runlog.log(
                step=step,
                **{"train/loss": loss.item(), "train/stage": stage, "train/mastery": mastered, "train/cpu_s": spent},
                **{"eval/accuracy": accuracy},
            )
            runlog.progress(step, trees.max_steps)
            print(f"step {step}  {spent:.0f} CPU s  stage {stage}  loss {loss.item():.3f}  "
                  f"mastery {mastered:.3f}  accuracy {accuracy:.3f}", flush=True)  # fmt: skip
            if stage < forest.depth and mastered >= trees.mastery:
                stage += 1
            elif stage == forest.depth and trees.stop_at is not None and accuracy >= trees.stop_at:
                break
            elif staged and settled is None and stage == forest.depth and accuracy >= trees.settle_at:
                settled = step
    spent = time.process_time() - began
    tested = torch.Generator().manual_seed(cfg.data.seed)
    accuracy = answers_right(model, forest, forest.problems(trees.test_rows, tested), variant)
    return Outcome(accuracy, step, stage, spent, model)


@torch.no_grad()
def mastery(
    model: Coconut,
    forest: Forest,
    problems: Problems,
    stage: int,
    variant: Variant,
    frontier: bool,
    generator: torch.Generator,
) -> float:
    """Share of problems whose first word after the thoughts is right: a node of the next layer, or of the path, or the answer."""
    if not variant.coconut:
        return answers_right(model, forest, problems, variant)
    batch = forest.batch(problems, stage, variant, frontier, generator)
    said = model.body.logits(model.think(batch).hidden_BTD[:, 0]).argmax(-1)
    if stage == forest.depth:
        return (said == problems.answer_B).float().mean().item()
    layer = problems.layers_BDW[:, stage]
    good = layer if frontier else layer[:, :1]
    return (said[:, None] == good).any(1).float().mean().item()


@torch.no_grad()
def answers_right(model: Coconut, forest: Forest, problems: Problems, variant: Variant, change=None) -> float:  # type: ignore[no-untyped-def]
    """Accuracy as it counts: all thoughts, no words given, the model's own chain where it has one."""
    return right(model, forest, problems, variant, change).float().mean().item()


@torch.no_grad()
def right(model: Coconut, forest: Forest, problems: Problems, variant: Variant, change=None) -> Tensor:  # type: ignore[no-untyped-def]
    """Which problems are answered right."""
    thoughts = forest.depth if variant.coconut else 0
    said = problems.root_B.new_empty(len(problems.root_B), 0)
    for _ in range((forest.depth if variant.cot else 0) + 1):
        batch = forest.rows(problems, said, thoughts, variant)
        word = model.body.logits(model.think(batch, change).hidden_BTD[:, -1]).argmax(-1)
        said = torch.cat([said, word[:, None]], 1)
    return said[:, -1] == problems.answer_B


def keep(outcome: Outcome, cfg: CoconutConfig, variant: Variant, path: Path) -> None:
    """The trained model on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    saved = checkpoint.Saved(
        variant=variant.model_dump(),
        body=cfg.body.model_dump(),
        epochs=0,
        stage=cfg.trees.depth,
        model=outcome.model.state_dict(),
        optimizer=None,
        rng=None,
        best=outcome.accuracy,
        best_stage=cfg.trees.depth,
    )
    checkpoint.save(path, saved)


def read(cfg: CoconutConfig, variant: Variant, path: Path) -> Coconut:
    """A kept model of this variant."""
    saved = checkpoint.load(path)
    checkpoint.refuse_other(saved, variant, cfg.body.model_dump(), path)
    model = make_model(cfg, variant)
    checkpoint.fill(model, saved)
    return model.eval()


def pause_moved(model: Coconut, cfg: CoconutConfig, variant: Variant) -> bool | None:
    """Whether the vector in the place of thoughts is another than at the start; None in modes without one."""
    now = getattr(model, PAUSE_KEY, None)
    return None if now is None else bool((now != getattr(make_model(cfg, variant), PAUSE_KEY)).any())


def report(outcome: Outcome, cfg: CoconutConfig, variant: Variant, path: Path) -> None:
    """The facts that gates read, and the model for the registry."""
    n = cfg.trees.test_rows
    span = interval(round(outcome.accuracy * n), n)
    runlog.fact("eval/accuracy", outcome.accuracy, low=span.low, high=span.high, n=n, pool="trees")
    runlog.fact("train/steps", outcome.steps)
    runlog.fact("train/stage_reached", outcome.stage)
    runlog.fact("train/cpu_s", outcome.cpu_s)
    moved = pause_moved(outcome.model, cfg, variant)
    if moved is not None:
        runlog.fact("train/pause_moved", moved)
    runlog.fact("train/no_nan", all(bool(p.isfinite().all()) for p in outcome.model.parameters()))
    meta = {"variant": variant.name, "seed": cfg.seed, "accuracy": outcome.accuracy, "steps": outcome.steps}
    runlog.model(name=f"trees/{variant.name}/seed{cfg.seed}", model_type=variant.kind, path=path, metadata=meta)
    print(f"{variant.name}: {outcome.accuracy:.4f} [{span.low:.4f}, {span.high:.4f}] of {n} fresh problems, "
          f"{outcome.steps} steps, stage {outcome.stage}, {outcome.cpu_s:.0f} CPU s")  # fmt: skip
