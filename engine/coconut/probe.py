"""Look into a trained model's thoughts: which nodes of the graph they hold, and what breaks when they are broken.

    python -m engine.coconut.probe --preset cpu                     # M3 and, beside it, M4b
    python -m engine.coconut.probe --variant m3 --preset cpu

For each thought and each distance from the question's root, the share of the head's probability over the graph's
nodes that lies there, beside what an even spread would put there (`probe/m3/thought1_depth1`, `…_even`); and the accuracy with
thoughts replaced by noise of the same length, by zero, or by another problem's thoughts (`corrupt/m3/noise`, …), with what M3
loses by the last, problem by problem (`probe/accuracy_lost_by_swapping`). A pause can lose nothing by swapping: it stands
beside M3 as a check of the probe. Writes probe.json.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from engine import runlog
from engine.coconut.answers import difference, interval
from engine.coconut.errors import said_once
from engine.coconut.evaluate import short_name, tell
from engine.coconut.train import Told, best_checkpoint, told_all
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


@dataclass
class Looked:
    """What was found in one model."""

    held: Held
    right: dict[str, list[bool]]
    """Which problems it has right with each corruption."""
    pool: str


def main(argv: list[str]) -> None:
    from engine.coconut import build

    asked = told_all(argv, ("prosqa_coconut_1gpu", "prosqa_m4b_shared"))
    build.set_threads(asked[0].cfg)
    found: dict[str, Any] = {}
    for this in asked:
        if not this.variant.coconut:
            print(f"{this.variant.name} has no thoughts to look into")
            continue
        if len(asked) > 1 and this is not asked[0] and not best_checkpoint(this).exists():
            continue
        looked = on_trees(this) if this.cfg.task == "trees" else on_prosqa(this)
        if looked is None:
            print(f"the best model of {this.variant.name} stands at a stage without thoughts")
            continue
        found[short_name(this)] = tell_looked(short_name(this), looked)
    (asked[0].out / "probe.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    runlog.artifact(asked[0].out / "probe.json")


def tell_looked(name: str, looked: Looked) -> dict[str, Any]:
    """Facts, lines, and the same as JSON."""
    thoughts = []
    pairs = zip(looked.held.share_LD.tolist(), looked.held.even_LD.tolist(), strict=True)
    for thought, (shares, evens) in enumerate(pairs, 1):
        for depth, (share, even) in enumerate(zip(shares, evens, strict=True), 1):
            runlog.fact(f"probe/{name}/thought{thought}_depth{depth}", share, pool=looked.pool)
            runlog.fact(f"probe/{name}/thought{thought}_depth{depth}_even", even, pool=looked.pool)
        line = (f"depth {d}: {s:.2f} (even {e:.2f})" for d, (s, e) in enumerate(zip(shares, evens, strict=True), 1))
        print(f"{name} thought {thought}: " + "  ".join(line))
        thoughts.append({"share": shares, "even": evens})
    broken = {}
    for kind, right in looked.right.items():
        share = interval(sum(right), len(right))
        tell(f"corrupt/{name}/{kind}", share, looked.pool)
        print(f"{name} thoughts {kind}: {share.value:.4f} [{share.low:.4f}, {share.high:.4f}] of {share.n}")
        broken[kind] = asdict(share)
    lost = difference(looked.right["none"], looked.right["swap"])
    where = "probe/accuracy_lost_by_swapping"
    tell(where if name == "m3" else f"{where}/{name}", lost, looked.pool)
    return {"thoughts_by_depth": thoughts, "accuracy": broken, "lost_by_swapping": asdict(lost), "pool": looked.pool}


def on_trees(this: Told) -> Looked:
    from engine.coconut import train_trees

    cfg = this.cfg
    model = train_trees.read(cfg, this.variant, best_checkpoint(this))
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
    right = {
        kind: train_trees.right(model, forest, problems, this.variant, change).tolist()
        for kind, change in corruptions(cfg.seed).items()
    }
    return Looked(held(logits, depth, forest.depth), right, "trees")


def on_prosqa(this: Told) -> Looked | None:
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
        return None
    ranks = Ranks(device=cfg.device)
    right = {
        kind: score(model, samples, tokens, variant, saved.stage, cfg, ranks, change).right
        for kind, change in corruptions(cfg.seed).items()
    }
    return Looked(thoughts, right, "test")


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
