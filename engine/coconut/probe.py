"""Look into a trained model's thoughts: which nodes of the graph they hold, and what breaks when they are broken.

    python -m engine.coconut.probe --variant m3 --preset cpu

Writes, for each thought and each distance from the question's root, the share of the head's probability over the graph's
nodes that lies there, beside what an even spread would put there (`probe/thought1_depth1`, `…_even`); and the accuracy with
thoughts replaced by noise of the same length, by zero, or by another problem's thoughts (`corrupt/noise`, …).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from engine import runlog
from engine.coconut.answers import interval
from engine.coconut.errors import said_once
from engine.coconut.evaluate import best_checkpoint, tell
from engine.coconut.train import Told, told
from engine.data.prosqa import Sample


@dataclass(frozen=True)
class Held:
    """What the thoughts of a set of problems hold: [thought, depth] shares, measured and even."""

    share_LD: Tensor
    even_LD: Tensor


def held(logits_LBN: Tensor, depth_BN: Tensor, depths: int) -> Held:
    """Mean probability over the graph's nodes by distance from the root.

    `depth_BN` is the distance, 0 for nodes that do not follow from the root, -1 for names that are not in the graph.
    """
    present_BN = depth_BN >= 0
    weight = logits_LBN.masked_fill(~present_BN, -torch.inf).softmax(-1)
    at = torch.stack([(depth_BN == d).to(weight.dtype) for d in range(1, depths + 1)])
    share = torch.einsum("lbn,dbn->lbd", weight, at).mean(1)
    even = (at.sum(-1) / present_BN.sum(-1)).mean(-1).expand(share.shape)
    return Held(share, even)


def corruptions(seed: int) -> dict[str, Callable[[int, Tensor], Tensor] | None]:
    """Ways to break thoughts. `swap` gives each problem its neighbour's."""
    generator = torch.Generator().manual_seed(seed)

    def noise(_: int, thought: Tensor) -> Tensor:
        drawn = torch.randn(thought.shape, generator=generator).to(thought)
        return drawn * (thought.norm(dim=-1, keepdim=True) / drawn.norm(dim=-1, keepdim=True))

    return {
        "none": None,
        "noise": noise,
        "zero": lambda _, thought: torch.zeros_like(thought),
        "swap": lambda _, thought: thought.roll(1, 0),
    }


def main(argv: list[str]) -> None:
    this = told(argv)
    from engine.coconut import build

    build.set_threads(this.cfg)
    if not this.variant.coconut:
        print(f"{this.variant.name} has no thoughts to look into")
        return
    if this.cfg.task == "trees":
        on_trees(this)
    else:
        on_prosqa(this)


def tell_held(found: Held, pool: str) -> None:
    for thought, (shares, evens) in enumerate(zip(found.share_LD.tolist(), found.even_LD.tolist(), strict=True), 1):
        for depth, (share, even) in enumerate(zip(shares, evens, strict=True), 1):
            runlog.fact(f"probe/thought{thought}_depth{depth}", share, pool=pool)
            runlog.fact(f"probe/thought{thought}_depth{depth}_even", even, pool=pool)
        print(f"thought {thought}: " + "  ".join(f"depth {d}: {s:.2f} (even {e:.2f})"
              for d, (s, e) in enumerate(zip(shares, evens, strict=True), 1)))  # fmt: skip


def tell_broken(kind: str, right: int, n: int, pool: str) -> None:
    share = interval(right, n)
    tell(f"corrupt/{kind}", share, pool)
    print(f"thoughts {kind}: {share.value:.4f} [{share.low:.4f}, {share.high:.4f}] of {n}")


def on_trees(this: Told) -> None:
    from engine.coconut import train_trees

    cfg = this.cfg
    model = train_trees.read(cfg, this.variant, train_trees.checkpoint_path(this.out, this.variant, cfg.seed))
    forest = train_trees.forest_of(cfg)
    problems = forest.problems(cfg.trees.test_rows, torch.Generator().manual_seed(cfg.data.seed + 2))
    with torch.no_grad():
        said = problems.root_B.new_empty(len(problems.root_B), 0)
        state = model.think(forest.rows(problems, said, forest.depth, this.variant))
        logits = torch.stack([model.body.logits(t)[:, : forest.symbols] for t in state.thoughts])
    depth = torch.full((len(problems.root_B), forest.symbols), -1)
    depth.scatter_(1, problems.edges_BE2.flatten(1), 0)
    for d in range(forest.depth):
        depth.scatter_(1, problems.layers_BDW[:, d], d + 1)
    tell_held(held(logits, depth, forest.depth), "trees")
    for kind, change in corruptions(cfg.seed).items():
        right = train_trees.right(model, forest, problems, this.variant, change)
        tell_broken(kind, int(right.sum()), len(right), "trees")


def on_prosqa(this: Told) -> None:
    from engine.coconut import build, checkpoint, corpus
    from engine.coconut.ranks import Ranks
    from engine.coconut.scoring import score

    cfg, variant = this.cfg, this.variant
    path = best_checkpoint(this)
    saved = checkpoint.load(path)
    checkpoint.refuse_other(saved, variant, cfg.body.model_dump(), path)
    tokens = build.make_tokens(cfg.body)
    model = build.make_model(cfg, variant, tokens)
    checkpoint.fill(model, saved)
    model.to(cfg.device).eval()
    samples = corpus.read(cfg.data, "test", this.out)[: cfg.data.test_rows]
    thoughts = prosqa_thoughts(this, model, samples, tokens, saved.stage)
    if thoughts is None:
        print(f"the best model stands at stage {saved.stage} and has no thoughts to look into")
        return
    tell_held(thoughts, "test")
    for kind, change in corruptions(cfg.seed).items():
        result = score(model, samples, tokens, variant, saved.stage, cfg, Ranks(device=cfg.device), change)
        tell_broken(kind, sum(result.right), len(result.right), "test")


def prosqa_thoughts(this: Told, model, samples: list[Sample], tokens, stage: int) -> Held | None:  # type: ignore[no-untyped-def]
    """What the thoughts hold of each problem's species, read at the first token of each name."""
    from engine.coconut.layout import collate, prompt_row
    from engine.coconut.tokens import encode_sample
    from engine.data.prosqa import SPECIES
    from engine.data.prosqa_checker import Told as ToldFacts
    from engine.data.prosqa_checker import distances, read_question

    first = torch.tensor([tokens.encode(" " + name)[0] for name in SPECIES])
    logits, depths = [], []
    for start in range(0, len(samples), this.cfg.eval_batch):
        part = samples[start : start + this.cfg.eval_batch]
        rows = [prompt_row(encode_sample(tokens, s), tokens, this.variant, stage) for s in part]
        if not rows[0].thoughts:
            return None
        batch = collate(rows, tokens.eos, model.body.context).to(this.cfg.device)
        with torch.no_grad():
            thoughts = torch.stack(model.think(batch).thoughts)
            logits.append(model.body.logits(thoughts)[..., first.to(thoughts.device)].float().cpu())
        for sample in part:
            facts = read_question(sample.question)
            assert isinstance(facts, ToldFacts)
            far = distances(facts, facts.person)
            depths.append([far.get(name, 0 if name in facts.names else -1) for name in SPECIES])
    return held(torch.cat(logits, 1), torch.tensor(depths), 6)


if __name__ == "__main__":
    with said_once():
        main(sys.argv[1:])
