"""Train the critic on labelled programs, split by problem; started again, it goes on after its last checkpoint.

python -m engine.verify.train_critic --preset smoke
python -m engine.verify.train_critic --phase phase11-code-verifier --preset a100
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

from engine import runlog
from engine.protocol.durable import write_json
from engine.verify.rows import read
from engine.verify.step import begin, run


def main(argv: list[str]) -> None:
    step = begin(argv)
    import torch

    from engine.verify.critic.items import distinct, items_of, require_both_kinds, split_by_problem
    from engine.verify.critic.leak_probe import probe_auc
    from engine.verify.critic.loop import Interrupted, train
    from engine.verify.critic.make import fresh_body
    from engine.verify.too_small import fits_or_says

    cfg = step.cfg.critic
    if cfg.threads is not None:
        torch.set_num_threads(cfg.threads)
    everything = items_of(list(read(step.work / step.cfg.files.train_labeled)))
    items = distinct(everything)
    require_both_kinds(items)
    sides = split_by_problem(items, cfg.val_share, step.cfg.seed)
    print(
        f"{len(everything)} programs, {len(items)} distinct; {len(sides.train)} to learn from, {len(sides.val)} to validate on"
    )
    body = fresh_body(cfg, sides.train, step.cfg.seed)
    asked = _Asked()
    try:
        with fits_or_says("this critic's batches", "lower critic.token_budget or critic.max_length"):
            done = train(body, sides, cfg, step.work, step.cfg.seed, lambda: asked.stop)
    except Interrupted as stopped:
        print(stopped, file=sys.stderr)
        sys.exit(130)
    probe = probe_auc(sides.train, sides.val, step.cfg.seed)
    best = done.best_epoch
    told = {
        "best": str(done.best.relative_to(step.work)),
        "identity": body.identity(),
        "vocabulary": list(getattr(getattr(body, "vocabulary", None), "words", [])),
        "epochs": [{"epoch": e.epoch, "loss": e.loss, "auc": e.auc.value, "accuracy": e.accuracy} for e in done.epochs],
        "calibration": vars(best.calibration),
        "val_auc_within_problem": vars(best.auc),
        "leak_probe_auc": vars(probe),
        "train_problems": sorted({i.task_id for i in sides.train}),
        "val_problems": sorted({i.task_id for i in sides.val}),
        "cpu_s": round(done.cpu_s, 1),
    }
    write_json(step.work / "critic.json", told)
    _report(step.work, done, best, probe, sides, len(everything), len(items), told)


def commoner(items: list[Any]) -> float:
    """The accuracy of always giving the commoner verdict: below it an accuracy says nothing."""
    failed = sum(item.failed for item in items) / max(1, len(items))
    return max(failed, 1 - failed)


class _Asked:
    """Whether somebody asked to stop (SIGINT, SIGTERM); looked at between batches."""

    def __init__(self) -> None:
        self.stop = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_stop)

    def _on_stop(self, *_: object) -> None:
        self.stop = True


def _report(
    work: Path, done: Any, best: Any, probe: Any, sides: Any, rows: int, distinct: int, told: dict[str, Any]
) -> None:
    auc = {"low": best.auc.low, "high": best.auc.high, "n": best.auc.n}
    runlog.fact("critic/val_auc_within_problem", best.auc.value, **auc, pool="validation")
    runlog.fact("critic/val_accuracy", best.accuracy, pool="validation")
    runlog.fact("critic/val_majority", commoner(sides.val), pool="validation")
    runlog.fact("critic/val_energy_pass", best.energy_pass, pool="validation")
    runlog.fact("critic/val_energy_fail", best.energy_fail, pool="validation")
    runlog.fact("critic/leak_probe_auc", probe.value, low=probe.low, high=probe.high, n=probe.n, pool="validation")
    runlog.fact("critic/problems_in_two_splits", sides.in_two_splits())
    runlog.fact("critic/strange_losses", done.strange_losses)
    runlog.fact("critic/rows", rows)
    runlog.fact("critic/distinct_programs", distinct)
    runlog.fact("critic/best_epoch", best.epoch)
    runlog.artifact(work / "critic.json")
    about = {"val_auc_within_problem": best.auc.value, "val_accuracy": best.accuracy, "identity": told["identity"]}
    runlog.model(name="critic", model_type="critic", path=done.best, metadata=about)
    print(
        f"best epoch {best.epoch}: AUC within problems {best.auc.value:.3f}; the leak probe reaches {probe.value:.3f}; "
        f"accuracy {best.accuracy:.3f}, always the commoner verdict {commoner(sides.val):.3f}"
    )


if __name__ == "__main__":
    run(main)
