"""The one training loop of both bodies: epochs over problem-balanced batches, a checkpoint after each.

Everything random is drawn anew from seed and epoch, so that a training that was interrupted and resumed at its last checkpoint
is bit for bit the uninterrupted one (on a CPU). Asked to stop, it keeps the place inside the epoch, generator state included.
"""

from __future__ import annotations

import hashlib
import math
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine import runlog
from engine.config.verify import Critic as CriticConfig
from engine.verify.critic import checkpoint
from engine.verify.critic.batches import collate, encode_all, epoch_batches
from engine.verify.critic.calibrate import Calibration, cross_fitted, fit
from engine.verify.critic.items import Item, Sides
from engine.verify.critic.losses import fault_loss, loss_of
from engine.verify.critic.measure import Interval, accuracy, auc_within_problems, gain_of_pick
from engine.verify.critic.score import energies

_WARM_UP = 0.05


@dataclass
class Epoch:
    """What one epoch reached on the validation problems."""

    epoch: int
    loss: float
    auc: Interval
    accuracy: float
    """Of verdicts at one half, energies calibrated on other validation problems."""
    energy_pass: float
    energy_fail: float
    gain: float = float("nan")
    """Points of the critic's pick over a random one, on the validation problems."""
    calibration: Calibration = field(default_factory=Calibration)
    """Fitted on all of the validation problems: for what comes after training."""


@dataclass
class Trained:
    """A finished training."""

    epochs: list[Epoch]
    best: Path
    strange_losses: int
    cpu_s: float

    @property
    def best_epoch(self) -> Epoch:
        return max(self.epochs, key=lambda e: (e.auc.value, -e.epoch))


def train(body: Any, sides: Sides, cfg: CriticConfig, work: Path, seed: int, stopped: Callable[[], bool]) -> Trained:
    """Train, going on where an earlier try ended. `stopped` is asked between batches; then `Interrupted` is raised."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    body.to(device)
    learning = [p for p in body.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=cfg.lr, betas=(0.9, 0.98), weight_decay=cfg.weight_decay)
    problems = encode_all(sides.train, body.encode)
    made_with = {**body.identity(), **told(cfg, seed, sides)}
    history: list[Epoch] = []
    strange, step, spent_before, start_cpu = 0, 0, 0.0, time.process_time()

    # ---- resume ----
    first, inside = 1, None
    resumed = checkpoint.latest(work)
    if resumed is not None:
        state = checkpoint.load(resumed, made_with)
        body.load_state_dict(state["body"], strict=False)
        optimizer.load_state_dict(state["optimizer"])
        history = [_epoch_from(e) for e in state["history"]]
        strange, step, first = state["strange_losses"], state["step"], len(history) + 1
        inside, spent_before = state["inside"], state["cpu_s"]
        print(f"going on from {resumed.name}")

    def spent() -> float:
        return spent_before + time.process_time() - start_cpu

    for epoch in range(first, cfg.epochs + 1):
        # ---- one epoch ----
        torch.manual_seed(seed * 1009 + epoch)
        batches = epoch_batches(problems, cfg.group, cfg.token_budget, random.Random(f"{seed}|{epoch}"))
        body.train()
        total, tokens, began, done_batches = 0.0, 0, time.perf_counter(), 0
        if inside is not None:
            done_batches, total = inside["batches"], inside["total"]
            torch.set_rng_state(inside["rng"])
            inside = None
        for at, members in enumerate(batches[done_batches:], done_batches):
            if stopped():
                place = {"batches": at, "total": total, "rng": torch.get_rng_state()}
                kept = checkpoint.save_interrupted(
                    work,
                    _state(body, optimizer, history, strange, step, spent(), place),
                    {"identity": made_with, "epoch": epoch},
                )
                raise Interrupted(f"stopped in epoch {epoch} as asked; {kept} holds it, start again to go on")
            for group in optimizer.param_groups:
                group["lr"] = cfg.lr * warmth((epoch - 1 + at / len(batches)) / cfg.epochs)
            batch = collate(members, device)
            with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
                logit_B, fault_BT = body.look(batch.ids_BT, batch.length_B)
            loss = loss_of(logit_B, batch.failed_B, batch.group_B, cfg)
            if cfg.locate and fault_BT is not None:
                loss = loss + cfg.locate * fault_loss(fault_BT, batch.differs_BT)
            optimizer.zero_grad(set_to_none=True)
            if torch.isfinite(loss):
                loss.backward()
                torch.nn.utils.clip_grad_norm_(learning, 1.0)
                optimizer.step()
                total += loss.item()
            else:
                strange += 1
            step += 1
            tokens += batch.tokens
            if step % 10 == 0:
                runlog.log(step=step, **{"train/loss": loss.item(), "train/lr": optimizer.param_groups[0]["lr"]})
                runlog.log(step=step, **{"train/tokens_per_s": tokens / (time.perf_counter() - began)})
            runlog.progress(epoch - 1 + (at + 1) / len(batches), cfg.epochs, unit="epochs")

        # ---- validate, keep ----
        reached = validate(body, sides.val, epoch, total / max(1, len(batches)), seed, device)
        history.append(reached)
        runlog.log(step=step, **_shown(reached))
        print(
            f"epoch {epoch}: loss {reached.loss:.4f}, AUC within problems {reached.auc.value:.3f} "
            f"[{reached.auc.low:.3f}, {reached.auc.high:.3f}], accuracy {reached.accuracy:.3f}, gain {100 * reached.gain:+.1f}"
        )
        state = _state(body, optimizer, history, strange, step, spent(), None)
        about = {"identity": made_with, "epoch": epoch, "val_auc": reached.auc.value}
        place = checkpoint.save(work, epoch, state, about)
        runlog.checkpoint(place, step=step)

    done = Trained(history, Path(), strange, spent())
    done.best = checkpoint.folder_of(work, done.best_epoch.epoch)
    return done


class Interrupted(Exception):
    """Training was asked to stop and has kept its place."""


def _state(
    body: Any, optimizer: Any, history: list[Epoch], strange: int, step: int, cpu_s: float, inside: Any
) -> dict[str, Any]:
    """All that going on needs. `inside`: the place in an unfinished epoch."""
    return {
        "body": _learned(body),
        "optimizer": optimizer.state_dict(),
        "history": [asdict(e) for e in history],
        "strange_losses": strange,
        "step": step,
        "cpu_s": cpu_s,
        "inside": inside,
    }


def told(cfg: CriticConfig, seed: int, sides: Sides) -> dict[str, Any]:
    """What decides a training beside its body: going on with anything else would be another one under the old one's name."""
    digest = hashlib.sha256()
    for side in (sides.train, sides.val):
        for item in side:
            digest.update(f"{item.key}\0{item.text}\0{item.code}\0{item.failed}\1".encode("utf-8", "surrogatepass"))
        digest.update(b"\2")
    return {**cfg.model_dump(exclude={"threads"}), "seed": seed, "programs": digest.hexdigest()[:16]}


def warmth(progress: float) -> float:
    """The learning rate's course: up in the first twentieth, then down a cosine to a tenth."""
    if progress < _WARM_UP:
        return max(0.02, progress / _WARM_UP)
    along = (progress - _WARM_UP) / (1 - _WARM_UP)
    return 0.1 + 0.45 * (1 + math.cos(math.pi * along))


def validate(body: Any, val: list[Item], epoch: int, loss: float, seed: int, device: str) -> Epoch:
    """Energies of the held-out problems."""
    logit = energies(body, val, device)
    failed, tasks = np.array([i.failed for i in val]), [i.task_id for i in val]
    energy = 1 / (1 + np.exp(-cross_fitted(logit, failed, tasks, seed)))
    auc = auc_within_problems(tasks, -logit, failed, seed)
    gain = gain_of_pick(tasks, -logit, failed)
    right, passing, failing = accuracy(energy, failed), _mean(energy[~failed]), _mean(energy[failed])
    return Epoch(epoch, loss, auc, right, passing, failing, gain, fit(logit, failed))


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _shown(e: Epoch) -> dict[str, float]:
    return {
        "val/auc_within_problem": e.auc.value,
        "val/accuracy": e.accuracy,
        "val/gain": e.gain,
        "val/energy_pass": e.energy_pass,
        "val/energy_fail": e.energy_fail,
        "train/epoch_loss": e.loss,
    }


def _learned(body: Any) -> dict[str, torch.Tensor]:
    """Weights that training changes: frozen ones come from the model's own files."""
    learns = {name for name, p in body.named_parameters() if p.requires_grad}
    return {name: value for name, value in body.state_dict().items() if name in learns}


def _epoch_from(kept: dict[str, Any]) -> Epoch:
    return Epoch(**{**kept, "auc": Interval(**kept["auc"]), "calibration": Calibration(**kept["calibration"])})
