"""Addition modulo 59 from half of the table: how many steps until the other half is right? One optimizer, one seed a call.

    .venv/bin/python -m tests.bench.mugrokfast.ablation --optimizer mugrokfast --seed 0 --cpu-s 60

One layer of 128, batches of 512, weight decay 1.0, validated every 25 steps, ended at 95 % or at the CPU budget.
"""

from __future__ import annotations

import argparse
import time

import torch
import torch.nn.functional as F

from engine.config.mugrokfast import MuGrokfastConfig
from engine.quietstar.body import Body, Size
from engine.training.mugrokfast.groups import param_groups
from engine.training.mugrokfast.optimizer import MuGrokfast

P = 59
KINDS = {"adamw": (False, 0.0), "grokfast": (False, 2.0), "muon": (True, 0.0), "mugrokfast": (True, 0.2),
         "mugrokfast-strong": (True, 2.0)}  # fmt: skip


def make_optimizer(kind: str, model: Body, decay: float) -> MuGrokfast:
    """All four from one class: without matrices it is AdamW, without lambda it is Muon."""
    matrices, weight = KINDS[kind]
    config = MuGrokfastConfig(muon_lr=2e-3, adamw_lr=1e-3, grokfast_lambda=weight, weight_decay=decay, betas=(0.9, 0.98),
                              ns_dtype="float32", qk_clip_threshold=None)  # fmt: skip
    return MuGrokfast(param_groups(model, config, adamw=() if matrices else ("",)), config)


def main() -> None:
    words = argparse.ArgumentParser()
    words.add_argument("--optimizer", choices=KINDS, required=True)
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--cpu-s", type=float, default=60)
    words.add_argument("--decay", type=float, default=1.0)
    said = words.parse_args()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(said.seed)
    pairs = torch.cartesian_prod(torch.arange(P), torch.arange(P))[torch.randperm(P * P, generator=generator)]
    rows = torch.cat([pairs, torch.full((len(pairs), 1), P)], 1)
    answers = pairs.sum(1) % P
    cut = len(rows) // 2
    model = Body(Size(vocabulary=P + 1, width=128, layers=1, heads=4), generator)
    optimizer = make_optimizer(said.optimizer, model, said.decay)
    began, step, best = time.process_time(), 0, 0.0
    while best < 0.95 and time.process_time() - began < said.cpu_s:
        batch = torch.randint(cut, (512,), generator=generator)
        loss = F.cross_entropy(model(rows[batch]).logits[:, -1], answers[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        if step % 25 == 0:
            with torch.no_grad():
                right = model(rows[cut:]).logits[:, -1].argmax(-1) == answers[cut:]
            best = max(best, right.float().mean().item())
    said_best = "reached" if best >= 0.95 else f"not reached, best {best:.2f}"
    spent = time.process_time() - began
    print(
        f"{said.optimizer:18s} seed {said.seed} decay {said.decay:g}: {step:5d} steps {spent:5.1f} CPU s, 95 % {said_best}"
    )


if __name__ == "__main__":
    main()
