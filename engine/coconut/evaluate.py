"""Judge a trained model: on the test set and the four out-of-distribution sets, or on the laptop's task.

    python -m engine.coconut.evaluate --variant m3 --preset cpu

Guarantees: as many thoughts as the checkpoint's own stage had in training; every share with its interval and its pool.
"""

from __future__ import annotations

import sys
from pathlib import Path

from engine import runlog
from engine.coconut.answers import Interval
from engine.coconut.errors import said_once
from engine.coconut.train import Told, told
from engine.data.prosqa import OOD_SETS


def main(argv: list[str]) -> None:
    this = told(argv)
    from engine.coconut import build

    build.set_threads(this.cfg)
    if this.cfg.task == "trees":
        on_trees(this)
    else:
        on_prosqa(this)


def tell(name: str, share: Interval, pool: str) -> None:
    runlog.fact(name, share.value, low=share.low, high=share.high, n=share.n, pool=pool)


def on_trees(this: Told) -> None:
    """Fresh problems that no other step has drawn."""
    import torch

    from engine.coconut import train_trees
    from engine.coconut.answers import interval

    cfg = this.cfg
    model = train_trees.read(cfg, this.variant, train_trees.checkpoint_path(this.out, this.variant, cfg.seed))
    forest = train_trees.forest_of(cfg)
    fresh = torch.Generator().manual_seed(cfg.data.seed + 1)
    right = train_trees.right(model, forest, forest.problems(cfg.trees.test_rows, fresh), this.variant)
    share = interval(int(right.sum()), len(right))
    tell("eval/accuracy", share, "trees")
    runlog.log(step=0, **{"eval/test_accuracy": share.value})
    print(f"{this.variant.name}: {share.value:.4f} [{share.low:.4f}, {share.high:.4f}] of {share.n} fresh problems")


def on_prosqa(this: Told) -> None:
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
    runlog.fact("eval/stage", saved.stage)
    with joined(cfg.device) as ranks:
        model.to(ranks.device)
        for pool in ("test", *OOD_SETS):
            samples = corpus.read(cfg.data, pool, this.out)
            rows = cfg.data.ood_rows if pool in OOD_SETS else cfg.data.test_rows
            result = score(model, samples[:rows], tokens, variant, saved.stage, cfg, ranks)
            if ranks.first:
                tell_pool(pool, result.accuracy, result.hops, result.chain)


def best_checkpoint(this: Told) -> Path:
    return this.out / this.variant.name / f"seed{this.variant.seed}" / "best.pt"


def tell_pool(pool: str, accuracy: Interval, hops: dict[int, Interval], chain: Interval | None) -> None:
    """A pool's facts: all together, by hops, and the chain where it means something."""
    name = "eval/accuracy" if pool == "test" else f"eval/{pool}_accuracy"
    tell(name, accuracy, pool)
    for count, share in hops.items():
        tell(f"{name}/hops{count}", share, pool)
    if chain is not None:
        tell(f"eval/{pool}_chain_match" if pool != "test" else "eval/chain_match", chain, pool)
    print(f"{pool}: {accuracy.value:.3f} [{accuracy.low:.3f}, {accuracy.high:.3f}] of {accuracy.n}; by hops: "
          + ", ".join(f"{count}: {share.value:.3f}" for count, share in hops.items()))  # fmt: skip


if __name__ == "__main__":
    with said_once():
        main(sys.argv[1:])
