"""Train one model of the comparison.

python -m engine.coconut.train --variant m3 --preset cpu           # the laptop's task, about a minute
python -m engine.coconut.train --variant m1 --preset smoke         # ProsQA's format, a tiny model, seconds
torchrun --nproc-per-node 4 -m engine.coconut.train --variant m3 --preset h100
python -m engine.coconut.train --variant m3 --preset h100 resume=work/…/last.pt
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from engine.config.coconut import PHASE, VARIANTS, CoconutConfig, Variant, load_variant, variant_name
from engine.config.errors import ConfigError
from engine.config.load import load_config, work_dir


@dataclass(frozen=True)
class Told:
    """What the command line and the files say."""

    cfg: CoconutConfig
    variant: Variant
    out: Path


def told(argv: list[str]) -> Told:
    """The config of a step that is about one variant; `--variant` is part of the step, so it stands inside a run too."""
    rest = list(argv)
    named = None
    if "--variant" in rest:
        at = rest.index("--variant")
        if at + 1 >= len(rest):
            raise ConfigError("--variant needs a name, such as: --variant m3")
        named = variant_name(rest[at + 1])
        del rest[at : at + 2]
    cfg = load_config(CoconutConfig, PHASE, rest)
    variant = load_variant(named or cfg.variant, cfg.change | {"seed": cfg.seed})
    return Told(cfg, variant, work_dir(PHASE, cfg))


def best_checkpoint(this: Told) -> Path:
    """Where training leaves the model that later steps take."""
    return this.out / this.variant.name / f"seed{this.cfg.seed}" / "best.pt"


def told_all(argv: list[str], names: tuple[str, ...] = VARIANTS) -> list[Told]:
    """What a step is told about several variants; about the one that `--variant` names, if it does."""
    if "--variant" in argv:
        return [told(argv)]
    cfg = load_config(CoconutConfig, PHASE, argv)
    out = work_dir(PHASE, cfg)
    return [Told(cfg, load_variant(name, cfg.change | {"seed": cfg.seed}), out) for name in names]


def main(argv: list[str]) -> None:
    this = told(argv)
    from engine.coconut import build

    build.set_threads(this.cfg)
    if this.cfg.task == "trees":
        train_on_trees(this)
    else:
        train_on_prosqa(this)


def train_on_trees(this: Told) -> None:
    from engine import runlog
    from engine.coconut import train_trees

    path = best_checkpoint(this)
    outcome = train_trees.train(this.cfg, this.variant)
    train_trees.keep(outcome, this.cfg, this.variant, path)
    runlog.artifact(path)
    train_trees.report(outcome, this.cfg, this.variant, path)


def train_on_prosqa(this: Told) -> None:
    from engine.coconut import corpus, train_prosqa
    from engine.coconut.ranks import joined

    with joined(this.cfg.device) as ranks:
        if ranks.first and corpus.is_generated(this.cfg.data, "train"):
            corpus.make_missing(this.cfg.data, this.out)
        ranks.wait()
        train_prosqa.train(this.cfg, this.variant, this.out, ranks)


if __name__ == "__main__":
    from engine.coconut.errors import said_once

    with said_once():
        main(sys.argv[1:])
