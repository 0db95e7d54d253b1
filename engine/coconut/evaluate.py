"""Judge trained models: on the test set and the four out-of-distribution sets, or on the laptop's task.

    python -m engine.coconut.evaluate --preset cpu                  # every model that is there, beside each other
    python -m engine.coconut.evaluate --variant m3 --preset cpu

Guarantees: as many thoughts as the checkpoint's own stage had in training; every share with its interval and its pool; models
are compared problem by problem. Writes evaluation.json and evaluation.md.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from engine import runlog
from engine.coconut.answers import Interval, difference, interval
from engine.coconut.errors import said_once
from engine.coconut.train import Told, best_checkpoint, told_all
from engine.config.coconut import SHORT
from engine.data.prosqa import OOD_SETS

AGAINST_M3 = ("m1", "m2", "m4", "m4b")


@dataclass
class Judged:
    """One model: its shares by name, and which problems of the main pool it had right."""

    shares: dict[str, Interval] = field(default_factory=dict)
    pools: dict[str, str] = field(default_factory=dict)
    right: list[bool] = field(default_factory=list)

    def put(self, name: str, share: Interval, pool: str) -> None:
        self.shares[name], self.pools[name] = share, pool


def main(argv: list[str]) -> None:
    from engine.coconut import build

    asked = told_all(argv)
    build.set_threads(asked[0].cfg)
    present = [this for this in asked if len(asked) == 1 or best_checkpoint(this).exists()]
    if not present:
        present = asked[:1]  # whose error says what is missing
    judged = {short_name(this): judge(this) for this in present}
    if os.environ.get("RANK", "0") != "0":
        return  # under torchrun every rank has the scores, and one tells them
    for name, one in judged.items():
        tell_model(name, one)
    if len(asked) == 1:
        for name, share in next(iter(judged.values())).shares.items():
            tell(f"eval/{name}", share, next(iter(judged.values())).pools[name])
    gaps = {
        f"m3_over_{other}": difference(judged["m3"].right, judged[other].right)
        for other in AGAINST_M3
        if {"m3", other} <= judged.keys()
    }
    for name, gap in gaps.items():
        tell(f"eval/{name}", gap, "test" if asked[0].cfg.task == "prosqa" else "trees")
    write(asked[0].out, judged, gaps)


def short_name(this: Told) -> str:
    return next((short for short, full in SHORT.items() if full == this.variant.name), this.variant.name)


def judge(this: Told) -> Judged:
    return on_trees(this) if this.cfg.task == "trees" else on_prosqa(this)


def tell(name: str, share: Interval, pool: str) -> None:
    runlog.fact(name, share.value, low=share.low, high=share.high, n=share.n, pool=pool)


def on_trees(this: Told) -> Judged:
    """Fresh problems that no other step has drawn, the same for every model."""
    import torch

    from engine.coconut import train_trees

    cfg = this.cfg
    model = train_trees.read(cfg, this.variant, best_checkpoint(this))
    forest = train_trees.forest_of(cfg)
    fresh = torch.Generator().manual_seed(cfg.data.seed + 1)
    right = train_trees.right(model, forest, forest.problems(cfg.trees.test_rows, fresh), this.variant).tolist()
    judged = Judged(right=right)
    judged.put("accuracy", interval(sum(right), len(right)), "trees")
    return judged


def on_prosqa(this: Told) -> Judged:
    """Every pool with the best checkpoint."""
    from engine.coconut import build, checkpoint, corpus
    from engine.coconut.ranks import joined
    from engine.coconut.scoring import score

    cfg, variant = this.cfg, this.variant
    path = best_checkpoint(this)
    saved = checkpoint.load(path)
    checkpoint.refuse_other(saved, variant, cfg.body.model_dump(), path)
    tokens = build.make_tokens(cfg.body)
    model = build.make_model(cfg, variant, tokens)
    checkpoint.fill(model, saved)
    runlog.fact(f"eval/{short_name(this)}/stage", saved.stage)
    judged = Judged()
    with joined(cfg.device) as ranks:
        model.to(ranks.device)
        for pool in ("test", *OOD_SETS):
            rows = cfg.data.ood_rows if pool in OOD_SETS else cfg.data.test_rows
            samples = corpus.read(cfg.data, pool, this.out)[:rows]
            result = score(model, samples, tokens, variant, saved.stage, cfg, ranks)
            name = "accuracy" if pool == "test" else f"{pool}_accuracy"
            judged.put(name, result.accuracy, pool)
            for count, share in result.hops.items():
                judged.put(f"{name}/hops{count}", share, pool)
            if result.chain is not None:
                judged.put(f"{pool}_chain_match", result.chain, pool)
            if pool == "test":
                judged.right = result.right
    return judged


def tell_model(name: str, judged: Judged) -> None:
    """A model's facts, and a line a share for the reader."""
    for what, share in judged.shares.items():
        tell(f"eval/{name}/{what}", share, judged.pools[what])
        print(f"{name} {what}: {share.value:.4f} [{share.low:.4f}, {share.high:.4f}] of {share.n}")


def write(out: Path, judged: dict[str, Judged], gaps: dict[str, Interval]) -> None:
    """The same for those who read files."""
    table: dict[str, Any] = {
        name: {what: asdict(share) | {"pool": one.pools[what]} for what, share in one.shares.items()}
        for name, one in judged.items()
    }
    text = json.dumps({"models": table, "differences": {name: asdict(gap) for name, gap in gaps.items()}}, indent=1)
    (out / "evaluation.json").write_text(text, encoding="utf-8")
    lines = ["| model | what | share | 95 % | of |", "|---|---|---|---|---|"]
    lines += [
        f"| {name} | {what} | {share.value:.4f} | {share.low:.4f} to {share.high:.4f} | {share.n} |"
        for name, one in judged.items()
        for what, share in one.shares.items()
    ]
    lines += [
        f"| {name} | same problems | {gap.value:+.4f} | {gap.low:+.4f} to {gap.high:+.4f} | {gap.n} |"
        for name, gap in gaps.items()
    ]
    (out / "evaluation.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for name in ("evaluation.json", "evaluation.md"):
        runlog.artifact(out / name)


if __name__ == "__main__":
    with said_once():
        main(sys.argv[1:])
