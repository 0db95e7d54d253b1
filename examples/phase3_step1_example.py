"""Step 1 of phase 3 by hand: a champion, reasoning examples, the prompt baked in, what it is worth, where it lies.

.venv/bin/python examples/phase3_step1_example.py                    # cpu: a minute, nothing downloaded
.venv/bin/python examples/phase3_step1_example.py --preset smoke     # seconds: shows that it works
.venv/bin/python examples/phase3_step1_example.py --wandb            # and an offline W&B run beside it
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch

from engine.config.layers import resolve
from engine.config.quietstar import QuietstarConfig
from engine.quietstar import champion, examples, loading, names
from engine.quietstar.baking import run_step1_baking
from engine.quietstar.data import make
from engine.quietstar.errors import edge
from engine.quietstar.logger import WandBLogger
from engine.quietstar.report import show_configuration, show_epoch, show_result

ROOT = Path(__file__).parents[1]


def main(argv: list[str]) -> int:
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--preset", default="cpu", choices=("smoke", "cpu"))
    words.add_argument("--folder", type=Path, default=Path("work/phase3-example"))
    words.add_argument("--wandb", action="store_true")
    said = words.parse_args(argv)
    torch.set_num_threads(1)
    cfg = QuietstarConfig.model_validate(resolve(ROOT / "configs", names.PHASE, said.preset))
    folder: Path = said.folder
    folder.mkdir(parents=True, exist_ok=True)
    begun = time.process_time()

    if not (folder / names.CHAMPION).exists():
        print("There is no champion here yet: one is trained from scratch.", flush=True)
        champion.from_scratch(cfg, folder)
    loaded = loading.load(folder / names.CHAMPION, "champion")
    print(f"Loaded model from {folder / names.CHAMPION}")
    examples.write(folder / names.EXAMPLES, make(cfg.data, cfg.seed))
    show_configuration(cfg.bake, loaded, folder, "cpu")

    logger = WandBLogger(config=cfg.bake.model_dump(mode="json"), tags=["phase3", "step1"]) if said.wandb else None
    result = run_step1_baking(
        loaded.model, loaded.language, folder / names.EXAMPLES, folder / names.BAKED, cfg.bake, cfg.seed, logger,
        on_epoch=lambda epoch: show_epoch(epoch, cfg.bake),
    )  # fmt: skip
    show_result(result, cfg.bake, folder / names.BAKED, time.process_time() - begun)
    if logger is not None:
        logger.finish()
    return 0


if __name__ == "__main__":
    sys.exit(edge(main, sys.argv[1:]))
