"""Train the energy; a flat loop in the order it happens.

    python -m engine.ouroboros.train --preset smoke
    python -m engine.ouroboros.train --preset cpu
    python -m engine.ouroboros.train --preset cpu train.energy=mse        # the source's head and loss
    torchrun --nproc-per-node 8 -m engine.ouroboros.train --preset h100

Needs what `prepare` and `leak_probe` left. Leaves ckpt.pt (to go on from), best.pt (weights with the least validation
loss, calibrated) and train.json.
Guarantees: an interrupted run goes on from its last checkpoint and ends with the same bits (CPU, one thread); SIGUSR2
writes a checkpoint; SIGINT and SIGTERM write one and end with 130; a loss that is no number ends the run, naming the step.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine import runlog
from engine.config.load import load_config, work_dir
from engine.config.ouroboros import OuroborosConfig
from engine.config.ouroboros import Train as TrainConfig
from engine.ouroboros import calibrate, checkpoint, edges
from engine.ouroboros.batches import ChoiceTable, Table, share_of, some_rows, training_choices, training_rows
from engine.ouroboros.choices import TASKS
from engine.ouroboros.dataset import Dataset, open_dataset, write_json
from engine.ouroboros.equations import width_for
from engine.ouroboros.errors import Refused
from engine.ouroboros.losses import finite, loss_of
from engine.ouroboros.model import Batch, Ouroboros, energy
from engine.ouroboros.muon import Muon
from engine.training.asked import Asked


def rate(cfg: TrainConfig, step: int) -> float:
    """The share of the learning rate at a step: warm-up, flat, then a straight line down."""
    warm = min(1.0, (step + 1) / max(1, cfg.warmup))
    done = step / cfg.iters
    fall = 1.0 if done < cfg.flat_share else (1 - done) / (1 - cfg.flat_share)
    return warm * max(cfg.min_lr_share, fall)


def require_probe(data: Dataset) -> None:
    """Training starts on data that the leak probe passed, and on no other."""
    path = data.folder / "leak_probe.json"
    run = "run the step `leak_probe` (python -m engine.ouroboros.leak_probe)"
    if not path.exists():
        raise Refused(f"{path} is not there: training starts only on probed data; {run}")
    probe = json.loads(path.read_text(encoding="utf-8"))
    if probe["data"] != data.fingerprint:
        raise Refused(f"{path} speaks of other data ({probe['data']}, here {data.fingerprint}); {run}")
    if not probe["passed"]:
        raise Refused(f"{path}: the data leaks, training on it would learn the leak; mend the data and prepare again")


def pick_device(name: str) -> torch.device:
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def average_gradients(model: torch.nn.Module, world: int) -> None:
    """The mean over all processes, in one message; a parameter that this step did not use counts as zero."""
    used = [p for p in model.parameters() if p.requires_grad]
    flat = torch.cat([torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in used])
    torch.distributed.all_reduce(flat)
    flat /= world
    for p, gradient in zip(used, flat.split([p.numel() for p in used]), strict=True):
        p.grad = gradient.view_as(p)


@dataclass(frozen=True)
class Validation:
    """What is looked at during training: the same items each time, by task."""

    batches: dict[str, list[Batch]]

    def measure(self, model: torch.nn.Module, cfg: OuroborosConfig, group_size: int) -> dict[str, float]:
        """Losses add up over the tasks; energies of T1 have the plain names, those of T2 carry theirs."""
        found = {"val/loss": 0.0}
        for task, batches in self.batches.items():
            outputs = [(model(b), b) for b in batches]
            items = sum(len(b) for b in batches)
            for output, b in outputs:
                judged = _judged(cfg.train.energy, output, b)
                loss = loss_of(cfg.train.energy, *judged, group_size, cfg.train.rank_weight)
                found["val/loss"] += float(loss) * len(b) / items
            e = torch.cat([energy(output, b) for output, b in outputs])
            wrong = torch.cat([b.wrong_B for b in batches])
            name = "val/" if task == "result" else f"val/{task}_"
            found[name + "energy_correct"] = float(e[~wrong].mean())
            found[name + "energy_wrong"] = float(e[wrong].mean())
            found[name + "accuracy"] = float(((e > cfg.evaluate.threshold) == wrong).float().mean())
        return found


def optimizers_of(model: torch.nn.Module, cfg: TrainConfig, fused: bool) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the blocks where it is asked for; AdamW for the rest."""
    named = list(model.named_parameters())
    matrices = [p for n, p in named if p.ndim == 2 and "blocks." in n] if cfg.optimizer == "muon" else []
    taken = {id(p) for p in matrices}
    rest = [p for _, p in named if id(p) not in taken]
    decay = cfg.weight_decay if cfg.optimizer == "adamw" else 0.0
    found: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(rest, lr=cfg.lr, betas=(0.9, 0.95), weight_decay=decay, fused=fused)
    ]
    return found + ([Muon(matrices, lr=cfg.muon_lr, weight_decay=cfg.weight_decay)] if matrices else [])


def train(cfg: OuroborosConfig, out: Path, data_folder: Path | None = None, model_name: str = "ouroboros") -> int:
    """`data_folder`: where the prepared data lies, if not in `out`."""
    t = cfg.train
    # ---- device and processes
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if t.threads is not None:
        torch.set_num_threads(t.threads)
    device = pick_device(t.device)
    if world > 1:
        torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    autocast = torch.autocast(device.type, torch.bfloat16) if t.dtype == "bfloat16" else nullcontext()

    # ---- data
    data = open_dataset(data_folder or out)
    require_probe(data)
    limits = data.meta["limits"]
    width = width_for(limits["operand"], limits["result"])
    vocabulary = data.meta["choices"]["vocabulary"]
    table, val = Table(data.items("train"), width, device), Table(data.items("val"), width, device)
    # The generative energy learns from correct steps, of which there are many more than stand in quads.
    choices = open_choices(data, "train", width, device)
    steps = open_choices(data, "steps", width, device) if t.energy == "generative" else None
    validation = Validation(
        {"result": [val.batch(some_rows(val, t.eval_items, cfg.seed))]} | _choice_batches(data, cfg, device)
    )

    # ---- model
    torch.manual_seed(cfg.seed)
    model = Ouroboros(cfg.model, width, t.energy == "generative", vocabulary).to(device)
    stepped: torch.nn.Module = torch.compile(model) if t.compile else model  # type: ignore[assignment]
    optimizers = optimizers_of(model, t, fused=device.type in ("cuda", "cpu"))
    base_rates = [[g["lr"] for g in o.param_groups] for o in optimizers]
    parameters = sum(p.numel() for p in model.parameters())
    print(f"{parameters:,} parameters on {device}, {table.size:,} training items, {world} process(es)")

    # ---- where to begin
    marks = {"data": data.fingerprint, "config": cfg.model_dump(mode="json")}
    state = _resumable(out / "ckpt.pt", marks, t.iters)
    first, best_loss, bad, spent = 0, math.inf, 0, 0.0
    best: dict[str, Any] = {}
    if state is not None:
        model.load_state_dict(state["model"])
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        first, best_loss, bad, best, spent = (state[n] for n in ("step", "best_loss", "bad", "best", "cpu_s"))
        print(f"going on from step {first} of {out / 'ckpt.pt'}")

    def write_checkpoint(step: int) -> None:
        if rank:
            return
        saved = {"model": model.state_dict(), "optimizers": [o.state_dict() for o in optimizers], "step": step}
        cpu_s = spent + time.process_time() - started
        saved |= {"best_loss": best_loss, "bad": bad, "best": best, "cpu_s": cpu_s}
        checkpoint.save(out / "ckpt.pt", saved | marks)
        runlog.checkpoint(out / "ckpt.pt", step=step)

    # ---- the loop
    asked = Asked()
    started, clock = time.process_time(), time.perf_counter()
    positions_seen, stopped_early, step = 0, False, first
    group = 1 if t.energy == "generative" else table.group_size
    for step in range(first, t.iters):
        share = rate(t, step)
        for optimizer, bases in zip(optimizers, base_rates, strict=True):
            for param_group, base in zip(optimizer.param_groups, bases, strict=True):
                param_group["lr"] = base * share
        if cfg.model.dropout:
            torch.manual_seed(cfg.seed * 1_000_003 + step)
        model.train()
        rows = share_of(training_rows(table, t.energy, t.batch, cfg.seed, step), rank, world, group)
        micro = [
            (table.batch(share_of(rows, part, t.accumulate, group)), 1 / t.accumulate) for part in range(t.accumulate)
        ]
        if choices is not None:
            # Two iterations from the quads, two from all steps; within each pair both tasks have their turn.
            source = steps if steps is not None and step // 2 % 2 else choices
            chosen = training_choices(source, t.energy, t.choices_batch, cfg.seed, step)
            chosen = share_of(chosen, rank, world, group)
            micro += [
                (source.batch(p), len(p) / len(chosen)) for p in source.micro_batches(chosen, t.token_budget, group)
            ]
        total = torch.zeros((), device=device)
        for batch, weight in micro:
            with autocast:
                loss = loss_of(t.energy, stepped(batch), batch, table.group_size, t.rank_weight) * weight
            loss.backward()
            total += loss.detach()
            positions_seen += batch.positions
        if world > 1:
            average_gradients(model, world)
        if t.clip is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), t.clip)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        # ---- validation
        if (step + 1) % t.eval_every == 0 or step + 1 == t.iters:
            if not finite(total):
                raise Refused(
                    f"the loss is {float(total)} at step {step}: lower the learning rate (train.lr, train.muon_lr)"
                )
            model.eval()
            with torch.no_grad(), autocast:
                seen = validation.measure(model, cfg, val.group_size)
            seconds = time.perf_counter() - clock
            seen |= {"train/loss": float(total), "train/lr_share": share}
            seen["train/positions_per_s"] = positions_seen * world / seconds
            runlog.log(step=step + 1, **seen)
            runlog.progress(step + 1, t.iters)
            cpu_s = spent + time.process_time() - started
            if rank == 0:
                print(_line(step + 1, seen, cpu_s), flush=True)
            if seen["val/loss"] < best_loss:
                best_loss, bad = seen["val/loss"], 0
                best = {n: v.detach().cpu().clone() for n, v in model.state_dict().items()}
            else:
                bad += 1
            stopped_early = t.patience is not None and bad >= t.patience
        if asked.checkpoint or asked.stop or (t.checkpoint_every and (step + 1) % t.checkpoint_every == 0):
            write_checkpoint(step + 1)
            asked.checkpoint = False
        if asked.stop:
            print(f"stopped at step {step + 1} as asked; {out / 'ckpt.pt'} holds it", file=sys.stderr)
            return 130
        if stopped_early:
            print(f"no better validation loss in {bad} evaluations: ending at step {step + 1}")
            break

    # ---- the end
    write_checkpoint(t.iters)
    if rank == 0:
        cpu_s = spent + time.process_time() - started
        model.load_state_dict(best)
        model.eval()
        with torch.no_grad():
            calibrating = {"result": [val.batch(some_rows(val, val.size, cfg.seed))]}
            calibrating |= _choice_batches(data, cfg, device, most=None)
            warmth = {task: calibrate.temperature([(model(b), b) for b in bs]) for task, bs in calibrating.items()}
        saved = {"model": best, "temperature": warmth, "width": width, "vocabulary": vocabulary, "step": step + 1}
        checkpoint.save(out / "best.pt", saved | {"tokenizer": data.meta["choices"]["tokenizer"]} | marks)
        told = {
            "parameters": parameters,
            "steps": step + 1,
            "best_val_loss": best_loss,
            **{f"temperature_{task}": value for task, value in warmth.items()},
            "cpu_s": round(cpu_s, 1),
            "energy": t.energy,
            "stopped_early": stopped_early,
        }
        write_json(out / "train.json", told)
        for name, value in told.items():
            runlog.fact(f"train/{name}", value)
        runlog.artifact(out / "best.pt")
        runlog.artifact(out / "ckpt.pt")
        runlog.artifact(out / "train.json")
        runlog.model(
            name=f"{model_name}-{cfg.preset}",
            model_type=f"ouroboros-{t.energy}",
            path=out / "best.pt",
            metadata=told | {"data": data.fingerprint, "seed": cfg.seed},
        )
        print(f"best validation loss {best_loss:.4f}, temperature {warmth['result']:.2f}, {cpu_s:.0f} CPU-seconds")
    if world > 1:
        torch.distributed.destroy_process_group()
    return 0


def open_choices(data: Dataset, split: str, width: int, device: torch.device) -> ChoiceTable | None:
    """The choices of a split, where they were prepared with contexts."""
    stored = data.choices(split)
    return None if stored.texts is None else ChoiceTable(stored.choices, stored.texts, width, device)


def _choice_batches(
    data: Dataset, cfg: OuroborosConfig, device: torch.device, most: int | None = 256
) -> dict[str, list[Batch]]:
    """Validation choices by task, in micro-batches; at most `most` items of each."""
    limits = data.meta["limits"]
    table = open_choices(data, "val", width_for(limits["operand"], limits["result"]), device)
    found: dict[str, list[Batch]] = {}
    for task in table.tasks if table else []:
        assert table is not None
        rows = np.flatnonzero(table.choices.task == task)[:most]
        parts = table.micro_batches(rows, cfg.train.token_budget, table.group_size)
        found[TASKS[task]] = [table.batch(part) for part in parts]
    return found


def _judged(name: str, output: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, Batch]:
    """What the loss looks at on validation: the generative one has no target on a wrong item."""
    if name != "generative":
        return output, batch
    right = ~batch.wrong_B
    return output[right], batch[right]


def _resumable(path: Path, marks: dict[str, Any], iters: int) -> dict[str, Any] | None:
    """An unfinished checkpoint of this very config and data; anything else is said and left behind."""
    if not path.exists():
        return None
    state = checkpoint.load(path)
    for name, value in marks.items():
        if state[name] != value:
            print(f"{path} is of another {name}: training begins anew and will replace it")
            return None
    if state["step"] >= iters:
        print(f"{path} is finished: training begins anew and will replace it")
        return None
    return state


def _line(step: int, seen: dict[str, float], cpu_s: float) -> str:
    losses = f"loss {seen['train/loss']:.4f}  val {seen['val/loss']:.4f}"
    energies = f"E(correct) {seen['val/energy_correct']:.3f}  E(wrong) {seen['val/energy_wrong']:.3f}"
    accuracy = f"accuracy {seen['val/accuracy']:.3f}"
    for task in TASKS:
        if f"val/{task}_accuracy" in seen:
            accuracy += f"  {task} {seen[f'val/{task}_accuracy']:.3f}"
    return f"step {step:5}  {losses}  {energies}  {accuracy}  {cpu_s:.0f} CPU-s"


def main(argv: list[str]) -> int:
    cfg = load_config(OuroborosConfig, phase="phase7-ouroboros", argv=argv)
    return train(cfg, work_dir("phase7-ouroboros", cfg))


if __name__ == "__main__":
    sys.exit(edges.run(main, sys.argv[1:]))
