"""The champion of the cpu preset, from scratch: told to think, it thinks, and mostly wrongly; untold, it answers at once.

Two thirds of its sequences are prompted and hold a thought, of which a third is right and the others follow permutations
that are not this world's; the answer is always true. So it has learned what a thought is and that a right one helps, and its
likeliest thought is wrong: baking has a behaviour to carry over, and reward has something to mend.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from engine import runlog
from engine.config.quietstar_rl import Pretrain
from engine.quietstar import task
from engine.quietstar.body import Body, Size
from engine.quietstar.task import Problems, World


@dataclass(frozen=True)
class Pretrained:
    body: Body
    facts: dict[str, float]


def pretrain(cfg: Pretrain, seed: int, log_every: int = 100) -> Pretrained:
    world, rng = World(seed), np.random.default_rng([seed, 1])
    size = Size(len(task.WORDS), cfg.width, cfg.layers, cfg.heads, context=cfg.context)
    body = Body(size, torch.Generator().manual_seed(seed))
    optimizers = _optimizers(body, cfg)
    begun = time.process_time()
    for step in range(cfg.steps):
        loss = _loss(body, world, world.problems(rng, cfg.batch, "train"), rng, cfg)
        loss.backward()
        for optimizer, rate in optimizers:
            optimizer.param_groups[0]["lr"] = rate * _share(step, cfg.steps)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if (step + 1) % log_every == 0 or step + 1 == cfg.steps:
            runlog.log(step=step + 1, **{"champion/loss": float(loss.detach())})
            runlog.progress(step + 1, cfg.steps)
            print(
                f"step {step + 1:5}  loss {float(loss.detach()):.3f}  {time.process_time() - begun:.0f} CPU-s",
                flush=True,
            )
    return Pretrained(body, measure(body, world, seed))


def _optimizers(body: Body, cfg: Pretrain) -> list[tuple[torch.optim.Optimizer, float]]:
    matrices = [p for p in body.blocks.parameters() if p.ndim == 2]
    rest = [p for p in body.parameters() if all(p is not m for m in matrices)]
    return [
        (torch.optim.Muon(matrices, lr=cfg.muon_lr, weight_decay=0.01, adjust_lr_fn="original"), cfg.muon_lr),
        (torch.optim.AdamW(rest, lr=cfg.lr, betas=(0.9, 0.95), weight_decay=0.0, fused=True), cfg.lr),
    ]


def _share(step: int, steps: int) -> float:
    """Of the rate: a short rise, flat, and a straight line down."""
    return min(1.0, (step + 1) / 30, (steps - step) / (0.4 * steps))


def _loss(body: Body, world: World, problems: Problems, rng: np.random.Generator, cfg: Pretrain) -> Tensor:
    """The mean over the tokens of thoughts and answers; questions are random and can't be learned."""
    thinking = round(len(problems) * cfg.prompted)
    right = rng.random(thinking) < cfg.right_thoughts
    total = _said(body, *thinking_texts(world, problems[:thinking], right)) + _said(
        body, *direct_texts(world, problems[thinking:])
    )
    tokens = thinking * (task.THOUGHT_LENGTH + 4) + (len(problems) - thinking) * 2
    return total / tokens


def thinking_texts(world: World, problems: Problems, right: NDArray[np.bool_]) -> tuple[Tensor, int]:
    """Prompt, question, thought, answer; and where the thought begins."""
    prompt = np.tile(task.PROMPT_IDS, (len(problems), 1))
    parts = [prompt, problems.question_ids(), world.thought_ids(problems, right), world.answer_ids(problems)]
    return torch.from_numpy(np.concatenate(parts, axis=1)), len(task.PROMPT_IDS) + task.QUESTION_LENGTH


def direct_texts(world: World, problems: Problems) -> tuple[Tensor, int]:
    """Question and answer; and where the answer begins."""
    return torch.from_numpy(np.concatenate([problems.question_ids(), world.answer_ids(problems)], axis=1)), (
        task.QUESTION_LENGTH
    )


def _said(body: Body, ids_BT: Tensor, begins: int) -> Tensor:
    logits = body(ids_BT[:, :-1]).logits[:, begins - 1 :]
    return F.cross_entropy(logits.flatten(0, 1), ids_BT[:, begins:].flatten(), reduction="sum")


@torch.no_grad()
def measure(body: Body, world: World, seed: int, count: int = 1024) -> dict[str, float]:
    """On held-out problems: how it answers at once, after a right and after a wrong thought."""
    problems = world.problems(np.random.default_rng([seed, 2]), count, "val")
    answer = torch.from_numpy(world.answer_ids(problems))[:, 0]

    def accuracy(ids: Tensor, begins: int, ahead: int) -> float:
        said = body(ids[:, : begins + ahead]).logits[:, -1].argmax(dim=-1)
        return float((said == answer).float().mean())

    thought = task.THOUGHT_LENGTH + 2
    return {
        "accuracy_direct": accuracy(*direct_texts(world, problems), 0),
        "accuracy_after_right_thought": accuracy(*thinking_texts(world, problems, np.ones(count, bool)), thought),
        "accuracy_after_wrong_thought": accuracy(*thinking_texts(world, problems, np.zeros(count, bool)), thought),
    }
