"""Step 1: bake the prompt into the champion's weights.

    python -m engine.quietstar.bake --preset smoke
    python -m engine.quietstar.bake --preset cpu

Needs what `champion` and `data` left. Leaves phase3_baked_model.pt, baking.json and bake-checkpoint.pt; tells the registry.
Guarantees: an interrupted run goes on from its checkpoint and says so; one of other settings, data or champion is refused;
SIGUSR2 writes a checkpoint, SIGINT and SIGTERM write one and end with 130; a loss that is no number ends it, its batch kept.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from engine import runlog
from engine.config.load import load_config, work_dir
from engine.config.quietstar import QuietstarConfig
from engine.quietstar import examples, loading, marks, model_file, names
from engine.quietstar.baking import Epoch, PromptBakingTrainer, Result
from engine.quietstar.errors import NotANumber, edge
from engine.quietstar.logger import WandBLogger
from engine.quietstar.report import show_configuration, show_epoch, show_result
from engine.quietstar.stage import LossIsNone
from engine.training.asked import Asked


def main(argv: list[str]) -> int:
    cfg = load_config(QuietstarConfig, phase=names.PHASE, argv=argv)
    if cfg.bake.threads is not None:
        torch.set_num_threads(cfg.bake.threads)
    return run(cfg, work_dir(names.PHASE, cfg))


def run(cfg: QuietstarConfig, work: Path) -> int:
    begun = time.process_time()
    here = marks.flat(cfg.bake.model_dump(mode="json"), "bake") | {"seed": cfg.seed}
    loaded = loading.load(work / names.CHAMPION, "champion", device_of(cfg))
    parts = examples.split(examples.read(work / names.EXAMPLES), cfg.seed)
    for name, path in (("champion", names.CHAMPION), ("examples", names.EXAMPLES)):
        here[name] = model_file.sha256(work / path)
    for free in ("bake.threads", "bake.eval_batch"):  # no result depends on them
        del here[free]
    # inside a run the console's sink carries W&B; by hand a run's own settings say whether
    logger = WandBLogger(
        mode=cfg.wandb.mode, config=cfg.model_dump(mode="json"), tags=["phase3", "step1", "prompt-baking"]
    )
    show_configuration(cfg.bake, loaded, work, device_of(cfg))
    trainer = PromptBakingTrainer(
        loaded.model, loaded.language, parts.train, parts.val, cfg.bake, cfg.seed, logger, asked=Asked(),
        on_step=lambda done, total: runlog.progress(done, total),
    )  # fmt: skip
    trainer.on_epoch = lambda epoch: on_epoch(epoch, cfg)
    trainer.keep = lambda: keep(trainer, work, here)
    state = marks.read(work / names.BAKE_CHECKPOINT, here)
    if state is not None:
        trainer.load(state)
        print(f"goes on from epoch {len(trainer.epochs)} ({names.BAKE_CHECKPOINT})", flush=True)
    try:
        result = trainer.train()
    except LossIsNone as error:
        raise not_a_number(error, work, len(trainer.epochs) + 1) from None
    if result.stopped:
        print(f"stopped as asked; {names.BAKE_CHECKPOINT} holds where it stands", file=sys.stderr)
        return 130
    finish(cfg, work, trainer, result, here["champion"], time.process_time() - begun)
    logger.finish()
    return 0


def device_of(cfg: QuietstarConfig) -> str:
    return cfg.bake.device if cfg.bake.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"


def on_epoch(epoch: Epoch, cfg: QuietstarConfig) -> None:
    runlog.log(step=epoch.number, **{"bake/held_out_kl": epoch.kl})
    if epoch.token_accuracy is not None:
        runlog.log(step=epoch.number, **{"bake/token_accuracy": epoch.token_accuracy})
    show_epoch(epoch, cfg.bake)


def keep(trainer: PromptBakingTrainer, work: Path, here: dict[str, Any]) -> None:
    path = work / names.BAKE_CHECKPOINT
    marks.save(path, here, trainer.state())
    runlog.checkpoint(path, trainer.stage.done if trainer.stage is not None else 0)


def not_a_number(error: LossIsNone, work: Path, epoch: int) -> NotANumber:
    path = work / names.BAKE_BAD_BATCH
    pairs = vars(error.pairs) if error.pairs is not None else None
    model_file.write(path, {"epoch": epoch, "examples": [asdict(e) for e in error.examples], "pairs": pairs})
    return NotANumber(
        f"the loss in epoch {epoch} is {error.value}; its batch is in {path}, the weights are those before it. "
        "Lower bake.optimizer.muon_lr, or look at the batch"
    )


def finish(
    cfg: QuietstarConfig, work: Path, trainer: PromptBakingTrainer, result: Result, champion: str, cpu_s: float
) -> None:
    """Model, facts, baking.json; the checkpoint has done its work."""
    about = result.metadata() | {
        "made_by": "bake",
        "mode": cfg.bake.mode,
        "strength": cfg.bake.strength,
        "seed": cfg.seed,
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
        "parents": [champion],
    }
    path = work / names.BAKED
    trainer.save_baked_model(path, about)
    runlog.fact("baking/converged", int(result.converged))
    for name, value in (result.facts | {"accuracy": result.final_accuracy, "cpu_s": round(cpu_s, 1)}).items():
        runlog.fact(f"bake/{name}", value)
    (work / "baking.json").write_text(json.dumps(about | {"cpu_s": cpu_s}, indent=2), encoding="utf-8")
    runlog.artifact(path)
    runlog.model("phase3-baked-model", "baked_reasoning", path, about)
    (work / names.BAKE_CHECKPOINT).unlink(missing_ok=True)
    show_result(result, cfg.bake, path, cpu_s)


if __name__ == "__main__":
    sys.exit(edge(main, sys.argv[1:]))
