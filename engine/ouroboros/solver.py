"""A small language model that writes solutions, trained on the spot: where the errors of tier T3 come from on a laptop.

It learns to write the equations of a story and its answer (`15+4=19`, newline, `#### 19`), is stopped long before it can do it
well, and then solves problems that it never saw. Its errors are its own: nobody chose their kind. Synthetic all the same, and far
from those of a large model; the report says so.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from engine import runlog
from engine.coconut.generate import drawn, generate
from engine.coconut.gpt2 import GPT2
from engine.coconut.layout import NO_LABEL, Row, collate, labels
from engine.coconut.model import Coconut
from engine.config.ouroboros import Organic
from engine.data import arithmetic
from engine.ouroboros.tokenizers import DigitBpe, train_bpe

_ANNOTATION = re.compile(r"<<(.*?)>>")
_POOL = 4  # batches that are sorted by length together


@dataclass(frozen=True)
class Story:
    """A problem as the solver sees it."""

    id: str
    question: str
    solution: str
    answer: str


@dataclass(frozen=True)
class Stories:
    """No question stands on both sides."""

    train: list[Story]
    held_out: list[Story]


def stories(cfg: Organic, seed: int) -> Stories:
    """Short problems of the project's own; the templates (chains of turns) of the held-out ones are never trained on."""
    limits = arithmetic.Limits(cfg.max_operand, cfg.max_result)
    made = [json.loads(arithmetic.to_json(p)) for p in arithmetic.problems(seed, cfg.problems, cfg.templates, limits)]
    short = [row for row in made if row["answer"].count("<<") <= cfg.most_steps]
    chains = sorted({row["template"] for row in short})
    random.Random(seed).shuffle(chains)
    kept = set(chains[: max(1, round(cfg.held_out_share * len(chains)))])
    train = [_story(row) for row in short if row["template"] not in kept]
    held_out = [_story(row) for row in short if row["template"] in kept]
    random.Random(seed + 1).shuffle(held_out)
    return Stories(train, held_out[: cfg.held_out])


def _story(row: dict[str, str]) -> Story:
    answer = row["answer"].rpartition("#### ")[2]
    return Story(row["id"], row["question"], "\n".join([*_ANNOTATION.findall(row["answer"]), f"#### {answer}"]), answer)


@dataclass(frozen=True)
class Solver:
    """A trained model with its words."""

    model: Coconut
    tokenizer: DigitBpe
    cfg: Organic

    @property
    def end(self) -> int:
        return self.tokenizer.size

    def row(self, story: Story, said: bool) -> Row:
        *prefix, opening = self.tokenizer.encode(story.question + "\n").ids
        words = [*self.tokenizer.encode(story.solution).ids, self.end] if said else []
        return Row(tuple(prefix), 0, (opening, *words), (*words, NO_LABEL))

    def solve(self, asked: Sequence[Story], seed: int) -> list[list[str]]:
        """`candidates` solutions for each story, drawn by chance."""
        prompts = [self.row(story, said=False) for story in asked for _ in range(self.cfg.candidates)]
        pick = drawn(torch.Generator().manual_seed(seed), self.cfg.temperature)
        lines = generate(self.model, prompts, self.end, self.cfg.most_tokens, 64, end_at_once=True, pick=pick)
        texts = [self.tokenizer.decode([i for i in line if i != self.end]) for line in lines]
        return [texts[i : i + self.cfg.candidates] for i in range(0, len(texts), self.cfg.candidates)]


def train(cfg: Organic, told: Sequence[Story], seed: int) -> Solver:
    """A fresh solver after `iters` batches."""
    torch.manual_seed(seed)
    tokenizer = train_bpe([s.question for s in told], cfg.vocabulary)
    body = GPT2(tokenizer.size + 1, cfg.dim, cfg.layers, cfg.heads, context=512, std=0.1)
    solver = Solver(Coconut(body), tokenizer, cfg)
    rows = [solver.row(story, said=True) for story in told]
    optimizer = torch.optim.AdamW(body.parameters(), lr=cfg.lr, betas=(0.9, 0.98))
    rng = random.Random(seed)
    waiting: list[list[Row]] = []
    for step in range(cfg.iters):
        if not waiting:
            pool = sorted(rng.sample(rows, min(len(rows), _POOL * cfg.batch)), key=lambda row: row.length)
            waiting = [pool[i : i + cfg.batch] for i in range(0, len(pool), cfg.batch)]
            rng.shuffle(waiting)
        batch = waiting.pop()
        loss = solver.model(collate(batch, solver.end)) / labels(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(body.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = cfg.lr * min(1.0, (step + 1) / 50) * max(0.05, 1 - step / cfg.iters)
        optimizer.step()
        optimizer.zero_grad()
        if (step + 1) % 50 == 0 or step + 1 == cfg.iters:
            runlog.log(step=step + 1, **{"solver/loss": loss.item()})
            runlog.progress(step + 1, cfg.iters)
            print(f"solver step {step + 1:5}  loss {loss.item():.3f}", flush=True)
    return solver
