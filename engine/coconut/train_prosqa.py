"""Train a variant on ProsQA as the source does; `engine.coconut.train` calls this where the config's task is `prosqa`.

Guarantees: the source's loop (AdamW at a constant rate, losses averaged over a micro-batch's labels, a new optimizer every
epoch unless told otherwise, a step after every `gradient_accumulation_steps` and after the last micro-batch); the same seed
gives the same order on any number of processes; a run resumed after an epoch goes on as if it had never stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import torch
from torch import nn

from engine import runlog
from engine.coconut import build, checkpoint, corpus
from engine.coconut.curriculum import stage_of
from engine.coconut.layout import Row, buckets, collate, labels, training_row
from engine.coconut.model import PAUSE_KEY, Coconut
from engine.coconut.ranks import Ranks, unsynced
from engine.coconut.scoring import Score, score
from engine.coconut.tokens import Encoded, Tokens, encode_sample, refuse_ragged_pieces
from engine.config.coconut import CoconutConfig, Variant
from engine.data.prosqa import Sample

MILESTONES = (10, 14, 50)
"""Epochs whose validation accuracy later gates ask for."""


@dataclass
class Outcome:
    """What a run came to."""

    model: Coconut
    best: float
    epochs: int
    best_stage: int = -1
    """A later stage's model is better than any earlier one's: only the last stage's does without words."""
    history: list[Score] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Corpus:
    """What is trained on, as ids, and what validates."""

    train: list[Encoded]
    valid: list[Sample]


def read_corpus(cfg: CoconutConfig, tokens: Tokens, out: Path) -> Corpus:
    """The training problems as ids; in what a preset generates, as many as it asks for."""
    train = corpus.read(cfg.data, "train", out)[: cfg.data.train_rows]
    refuse_ragged_pieces(tokens, train[0])
    return Corpus([encode_sample(tokens, s) for s in train], corpus.read(cfg.data, "valid", out)[: cfg.data.valid_rows])


def new_optimizer(model: nn.Module, variant: Variant) -> torch.optim.AdamW:
    """The source's: everything decays, norms and biases too."""
    return torch.optim.AdamW(model.parameters(), lr=variant.lr, weight_decay=variant.weight_decay)


def epoch_rows(samples: list[Encoded], tokens: Tokens, variant: Variant, epoch: int) -> list[Row]:
    """An epoch's rows in its order; epoch and seed alone decide, so that any epoch can be the first."""
    order = list(range(len(samples)))
    Random(f"{variant.seed} order {epoch}").shuffle(order)
    rng = Random(f"{variant.seed} stages {epoch}")
    stage = stage_of(epoch, variant)
    return [training_row(samples[i], tokens, variant, stage, rng) for i in order]


def micro_batches(rows: list[Row], size: int) -> Iterator[list[Row]]:
    return (rows[start : start + size] for start in range(0, len(rows), size))


def train(cfg: CoconutConfig, variant: Variant, out: Path, ranks: Ranks) -> Outcome:
    """The loop, in the order it happens."""
    tokens = build.make_tokens(cfg.body)
    data = read_corpus(cfg, tokens, out)
    model = build.make_model(cfg, variant, tokens).to(ranks.device)
    folder = out / variant.name / f"seed{variant.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    outcome = Outcome(model, -1.0, 0)
    optimizer = new_optimizer(model, variant)

    # ---- go on from a named checkpoint; nothing resumes by itself
    if cfg.resume is not None:
        saved = checkpoint.load(Path(cfg.resume), ranks.device)
        checkpoint.refuse_other(saved, variant, cfg.body.model_dump(), Path(cfg.resume))
        checkpoint.fill(model, saved)
        outcome.epochs, outcome.best, outcome.best_stage = saved.epochs, saved.best, saved.best_stage
        if saved.optimizer is not None:
            optimizer.load_state_dict(saved.optimizer)
        if saved.rng is not None:
            torch.set_rng_state(saved.rng.cpu())
        runlog.note(f"resumed {cfg.resume} after epoch {saved.epochs}")
        print(f"going on after epoch {saved.epochs} of {cfg.resume}")

    pause_before = pause_of(model)
    replica = ranks.wrap(model)
    steps_per_epoch = math.ceil(
        math.ceil(len(data.train) / variant.batch_size_training) / variant.gradient_accumulation_steps
    )
    for epoch in range(outcome.epochs, variant.num_epochs):
        stage = stage_of(epoch, variant)
        if variant.reset_optimizer == "epoch" or (
            variant.reset_optimizer == "stage" and epoch > 0 and stage != stage_of(epoch - 1, variant)
        ):
            optimizer = new_optimizer(model, variant)

        # ---- one epoch
        rows = epoch_rows(data.train, tokens, variant, epoch)
        batches = list(micro_batches(rows, variant.batch_size_training))
        began, seen, step = time.monotonic(), 0, epoch * steps_per_epoch
        total, count = 0.0, 0
        for at, micro in enumerate(batches):
            closes = (at + 1) % variant.gradient_accumulation_steps == 0 or at == len(batches) - 1
            loss = micro_backward(replica, micro, tokens, variant, cfg, ranks, closes)
            total, count, seen = total + loss, count + 1, seen + sum(row.length for row in micro)
            if closes:
                optimizer.step()
                optimizer.zero_grad()
                step += 1
                mean = ranks.sum(total) / count
                outcome.losses.append(mean)
                speed = seen / (time.monotonic() - began)
                runlog.log(step=step, **{"train/loss": mean, "train/stage": stage, "train/tokens_per_s": speed})
                runlog.progress(step, steps_per_epoch * variant.num_epochs)
                total, count = 0.0, 0
        outcome.epochs = epoch + 1

        # ---- validate by the model's own words, choose by accuracy
        if (epoch + 1) % cfg.eval_every_epochs == 0 or epoch + 1 == variant.num_epochs:
            result = score(model, data.valid, tokens, variant, stage, cfg, ranks)
            outcome.history.append(result)
            if ranks.first:
                say_epoch(epoch, step, stage, outcome.losses[-1], result)
            here = (min(stage, variant.last_stage), result.accuracy.value)
            better = here > (outcome.best_stage, outcome.best)
            if better:
                outcome.best_stage, outcome.best = here
            if ranks.first:
                keep(folder, model, optimizer, variant, cfg, outcome, stage, better)
        ranks.wait()
    if ranks.first:
        report(outcome, variant, cfg, folder, pause_before)
    return outcome


def micro_backward(
    replica: nn.Module,
    micro: list[Row],
    tokens: Tokens,
    variant: Variant,
    cfg: CoconutConfig,
    ranks: Ranks,
    closes: bool,
) -> float:
    """Gradients of a micro-batch's mean loss, in length-sorted parts; this rank's share of the loss."""
    mine = ranks.share(micro)
    # A rank that has no row of the last, short micro-batch still takes part in the exchange: with one that counts for nothing.
    counts = float(bool(mine))
    parts = buckets(mine or micro[:1], cfg.bucket_parts)
    scale = labels(micro) * variant.gradient_accumulation_steps
    context = replica.module.body.context if hasattr(replica, "module") else replica.body.context
    total = 0.0
    for at, part in enumerate(parts):
        batch = collate(part, tokens.eos, context).to(ranks.device)
        with unsynced(replica, closes and at == len(parts) - 1):
            with torch.autocast(ranks.device.split(":")[0], torch.bfloat16, enabled=variant.bf16):
                loss = replica(batch)
            # Several ranks' gradients are averaged, so each counts for as many.
            (loss * (counts * ranks.world / scale)).backward()
        total += counts * loss.item()
    return total / labels(micro)


def pause_of(model: Coconut) -> torch.Tensor | None:
    pause = getattr(model, PAUSE_KEY, None)
    return None if pause is None else pause.detach().clone()


def say_epoch(epoch: int, step: int, stage: int, loss: float, result: Score) -> None:
    """The epoch for the chart, the gates and the reader."""
    said = {"eval/accuracy": result.accuracy.value, "eval/stage": stage}
    if result.chain is not None:
        said["eval/chain_match"] = result.chain.value
    runlog.log(step=step, **said)
    if epoch + 1 in MILESTONES:
        accuracy = result.accuracy
        runlog.fact(
            f"val/accuracy_epoch_{epoch + 1}",
            accuracy.value,
            low=accuracy.low,
            high=accuracy.high,
            n=accuracy.n,
            pool="valid",
        )
    print(
        f"epoch {epoch + 1}  stage {stage}  loss {loss:.4f}  validation accuracy {result.accuracy.value:.3f}",
        flush=True,
    )


def keep(
    folder: Path,
    model: Coconut,
    optimizer: torch.optim.Optimizer,
    variant: Variant,
    cfg: CoconutConfig,
    outcome: Outcome,
    stage: int,
    better: bool,
) -> None:
    """The last state always, the best one by validation accuracy."""
    saved = checkpoint.Saved(
        variant=variant.model_dump(),
        body=cfg.body.model_dump(),
        epochs=outcome.epochs,
        stage=stage,
        model=model.state_dict(),
        optimizer=optimizer.state_dict(),
        rng=torch.get_rng_state(),
        best=outcome.best,
        best_stage=outcome.best_stage,
    )
    checkpoint.save(folder / "last.pt", saved)
    runlog.checkpoint(folder / "last.pt", step=outcome.epochs)
    if better:
        saved.optimizer, saved.rng = None, None
        checkpoint.save(folder / "best.pt", saved)


def report(
    outcome: Outcome, variant: Variant, cfg: CoconutConfig, folder: Path, pause_before: torch.Tensor | None
) -> None:
    """The facts that gates read, and the best model for the registry."""
    n = outcome.history[-1].accuracy.n if outcome.history else 0
    runlog.fact("train/best_accuracy", outcome.best, n=n, pool="valid")
    runlog.fact("train/best_stage", outcome.best_stage)
    runlog.fact("train/epochs", outcome.epochs)
    runlog.fact("train/no_nan", all(math.isfinite(loss) for loss in outcome.losses))
    if pause_before is not None:
        after = pause_of(outcome.model)
        runlog.fact("train/pause_moved", bool((after != pause_before).any()))
    best = folder / "best.pt"
    if best.exists():
        runlog.artifact(best)
        meta = {"variant": variant.name, "seed": variant.seed, "accuracy": outcome.best, "data": cfg.data.source}
        runlog.model(
            name=f"prosqa/{variant.name}/seed{variant.seed}", model_type=variant.kind, path=best, metadata=meta
        )
    print(f"{variant.name}: best validation accuracy {outcome.best:.3f} in {outcome.epochs} epochs")
