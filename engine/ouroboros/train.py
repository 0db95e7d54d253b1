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
import signal
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch.nn.parallel import DistributedDataParallel

from engine import runlog
from engine.config.load import load_config, work_dir
from engine.config.ouroboros import OuroborosConfig
from engine.config.ouroboros import Train as TrainConfig
from engine.ouroboros import calibrate, checkpoint, edges
from engine.ouroboros.batches import Table, share_of, some_rows, training_rows
from engine.ouroboros.dataset import Dataset, open_dataset, write_json
from engine.ouroboros.equations import width_for
from engine.ouroboros.errors import Refused
from engine.ouroboros.losses import finite, loss_of
from engine.ouroboros.model import Ouroboros, energy
from engine.ouroboros.muon import Muon


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


def build_model(cfg: OuroborosConfig, data: Dataset) -> Ouroboros:
    limits = data.meta["limits"]
    width = width_for(limits["operand"], limits["result"])
    return Ouroboros(cfg.model, width, cfg.train.energy == "generative")


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


class Asked:
    """What signals ask for, looked at between steps."""

    def __init__(self) -> None:
        self.checkpoint = self.stop = False
        signal.signal(signal.SIGUSR2, self._on_checkpoint)
        signal.signal(signal.SIGINT, self._on_stop)
        signal.signal(signal.SIGTERM, self._on_stop)

    def _on_checkpoint(self, *_: object) -> None:
        self.checkpoint = True

    def _on_stop(self, *_: object) -> None:
        self.stop = True


def train(cfg: OuroborosConfig, out: Path) -> int:
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
    data = open_dataset(out)
    require_probe(data)
    limits = data.meta["limits"]
    width = width_for(limits["operand"], limits["result"])
    table, val = Table(data.items("train"), width, device), Table(data.items("val"), width, device)
    val_batch = val.batch(some_rows(val, t.eval_items, cfg.seed))

    # ---- model
    torch.manual_seed(cfg.seed)
    model = build_model(cfg, data).to(device)
    stepped: torch.nn.Module = torch.compile(model) if t.compile else model  # type: ignore[assignment]
    if world > 1:
        stepped = DistributedDataParallel(stepped, device_ids=[device.index] if device.type == "cuda" else None)
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
        rows = share_of(training_rows(table, t.energy, t.batch, cfg.seed, step), rank, world, group)
        model.train()
        total = 0.0
        for part in range(t.accumulate):
            batch = table.batch(share_of(rows, part, t.accumulate, group))
            last = part == t.accumulate - 1
            with autocast, nullcontext() if last or world == 1 else stepped.no_sync():  # type: ignore[operator]
                loss = loss_of(t.energy, stepped(batch), batch, table.group_size, t.rank_weight) / t.accumulate
                loss.backward()
            total = total + loss.detach()
            positions_seen += len(batch) * (width + (t.energy != "generative"))
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
                output = model(val_batch)
                val_loss = float(
                    loss_of(t.energy, *_judged(t.energy, output, val_batch), val.group_size, t.rank_weight)
                )
                e = energy(output, val_batch)
            wrong = val_batch.wrong_B
            seconds = time.perf_counter() - clock
            seen = {
                "train/loss": float(total),
                "val/loss": val_loss,
                "val/energy_correct": float(e[~wrong].mean()),
                "val/energy_wrong": float(e[wrong].mean()),
                "val/accuracy": float(((e > cfg.evaluate.threshold) == wrong).float().mean()),
                "train/lr_share": share,
                "train/positions_per_s": positions_seen * world / seconds,
            }
            runlog.log(step=step + 1, **seen)
            runlog.progress(step + 1, t.iters)
            cpu_s = spent + time.process_time() - started
            print(_line(step + 1, seen, cpu_s), flush=True)
            if val_loss < best_loss:
                best_loss, bad = val_loss, 0
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
            everything = val.batch(some_rows(val, val.size, cfg.seed))
            warmth = calibrate.temperature(model(everything), everything)
        checkpoint.save(
            out / "best.pt", {"model": best, "temperature": warmth, "width": width, "step": step + 1} | marks
        )
        told = {
            "parameters": parameters,
            "steps": step + 1,
            "best_val_loss": best_loss,
            "temperature": warmth,
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
            name=f"ouroboros-{cfg.preset}",
            model_type=f"ouroboros-{t.energy}",
            path=out / "best.pt",
            metadata=told | {"data": data.fingerprint, "seed": cfg.seed},
        )
        print(f"best validation loss {best_loss:.4f}, temperature {warmth:.2f}, {cpu_s:.0f} CPU-seconds")
    if world > 1:
        torch.distributed.destroy_process_group()
    return 0


def _judged(name: str, output: torch.Tensor, batch: Any) -> tuple[torch.Tensor, Any]:
    """What the loss looks at on validation: the generative one has no target on a wrong item."""
    if name != "generative":
        return output, batch
    right = ~batch.wrong_B
    kept = (batch.op_B, batch.a_BW, batch.b_BW, batch.claimed_BW, batch.wrong_B)
    return output[right], type(batch)(*(field[right] for field in kept))


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
    return f"step {step:5}  {losses}  {energies}  accuracy {seen['val/accuracy']:.3f}  {cpu_s:.0f} CPU-s"


def main(argv: list[str]) -> int:
    cfg = load_config(OuroborosConfig, phase="phase7-ouroboros", argv=argv)
    return train(cfg, work_dir("phase7-ouroboros", cfg))


if __name__ == "__main__":
    sys.exit(edges.run(main, sys.argv[1:]))
