"""The model that phase 3 starts from: phase 2's champion, or one made here.

    python -m engine.quietstar.champion --preset smoke
    python -m engine.quietstar.champion --preset cpu

Leaves phase2_champion_model.pt and tells the registry of it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from engine import runlog
from engine.config.load import load_config, work_dir
from engine.config.quietstar import QuietstarConfig
from engine.quietstar import model_file
from engine.quietstar.errors import edge
from engine.quietstar.names import CHAMPION, PHASE
from engine.quietstar.pretrain import pretrain


def main(argv: list[str]) -> int:
    cfg = load_config(QuietstarConfig, phase=PHASE, argv=argv)
    torch.set_num_threads(1)
    return from_scratch(cfg, work_dir(PHASE, cfg))


def from_scratch(cfg: QuietstarConfig, out: Path) -> int:
    """Our own body, pre-trained on the state-tracking task."""
    made = pretrain(cfg.pretrain, cfg.seed)
    parameters = sum(p.numel() for p in made.body.parameters())
    about = {"made_by": "champion", "task": "state-tracking", "seed": cfg.seed, "parameters": parameters, **made.facts}
    model_file.save(out / CHAMPION, made.body, about)
    for name, value in (made.facts | {"parameters": parameters}).items():
        runlog.fact(f"champion/{name}", value)
    runlog.artifact(out / CHAMPION)
    runlog.model(f"phase2-champion-{cfg.preset}", "champion", out / CHAMPION, about)
    print(f"{CHAMPION}: {parameters:,} parameters; " + ", ".join(f"{k} {v:.3f}" for k, v in made.facts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(edge(main, sys.argv[1:]))
