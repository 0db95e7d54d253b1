"""Small models of the task, taught what a test needs them to know."""

from __future__ import annotations

import copy

import numpy as np
import torch
import torch.nn.functional as F

from engine.config.quietstar_rl import AntiTheater, Rl
from engine.quietstar import exam, task
from engine.quietstar.body import Body, Size
from engine.quietstar.learner import Batch, Learner
from engine.quietstar.reference import Frozen
from engine.quietstar.rl_setup import optimizer_of
from engine.quietstar.rl_texts import TaskTexts
from engine.quietstar.task import World
from engine.quietstar.theater import Trial
from engine.quietstar.thinker import Thinker

CPU = torch.device("cpu")
RL = Rl(positions="answer", batch=16, thoughts=3, thought_tokens=4, ahead=2, episodes=8, warmup=2)
TESTS = AntiTheater(items=128, bootstrap=200)


def body(seed: int = 0, width: int = 64) -> Body:
    size = Size(len(task.WORDS), width=width, layers=2, heads=4, context=64)
    return Body(size, torch.Generator().manual_seed(seed))


def taught(right_thoughts: float, steps: int, seed: int = 0) -> Body:
    """A body that thinks unprompted; so many of its thoughts are right, and its answers are always true."""
    model, world, rng = body(seed), World(seed), np.random.default_rng(seed)
    matrices = [p for p in model.blocks.parameters() if p.ndim == 2]
    rest = [p for p in model.parameters() if all(p is not m for m in matrices)]
    optimizers = [
        torch.optim.Muon(matrices, lr=0.02, weight_decay=0.0, adjust_lr_fn="original"),
        torch.optim.AdamW(rest, lr=5e-3, betas=(0.9, 0.95), weight_decay=0.0),
    ]
    for step in range(steps):
        problems = world.problems(rng, 96, "train")
        parts = [problems.question_ids(), world.thought_ids(problems, rng.random(96) < right_thoughts)]
        ids = torch.from_numpy(np.concatenate([*parts, world.answer_ids(problems)], axis=1))
        begins = task.QUESTION_LENGTH
        logits = model(ids[:, :-1]).logits[:, begins - 1 :]
        F.cross_entropy(logits.flatten(0, 1), ids[:, begins:].flatten()).backward()
        for optimizer, rate in zip(optimizers, (0.02, 5e-3), strict=True):
            optimizer.param_groups[0]["lr"] = rate * min(1.0, 2 * (1 - step / steps))
            optimizer.step()
            optimizer.zero_grad()
    return model


def thinker(made: Body, plain_share: float = 0.05) -> Thinker:
    """`plain_share`: how much of an answer comes from the prediction without a thought."""
    found = Thinker(copy.deepcopy(made), task.THINK_ID, task.END_ID)
    torch.nn.init.constant_(found.mixing.mlp[-1].bias, float(np.log(plain_share / (1 - plain_share))))
    return found


def frozen(made: Body) -> Frozen:
    with torch.random.fork_rng():
        return Frozen(made, task.THINK_ID, task.END_ID)


def texts(cfg: Rl = RL, seed: int = 0) -> TaskTexts:
    return TaskTexts(seed, cfg, "val", CPU)


def trial(original: Body | None = None, items: int = 128) -> Trial:
    batches: list[Batch] = texts().held_out(items)
    right = torch.zeros(items) if original is None else exam.direct(frozen(original).thinker, batches)
    return Trial(batches, right, RL.thought_tokens, RL.ahead)


def learner(made: Body, cfg: Rl = RL) -> tuple[Learner, Frozen]:
    """And the frozen model that it is held to."""
    baked = frozen(made)
    torch.manual_seed(0)
    new = thinker(made, 0.5)
    return Learner(new, baked.talk, optimizer_of(new, cfg), cfg, 0.1, torch.Generator(), 0), baked
