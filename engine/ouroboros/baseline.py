"""The source's own head and loss, trained and measured on the same data, to compare with.

    python -m engine.ouroboros.baseline --preset smoke
    python -m engine.ouroboros.baseline --preset cpu

An MLP D -> D/2 -> 1 on a marker, E(correct) to 0 and E(wrong) to 1 by mean squared error, on the counterbalanced items. It
leaves source/ (its own checkpoint) and baseline.json, and facts named `source/…`: never a metric of the gate.
"""

from __future__ import annotations

import sys
from pathlib import Path

from engine import runlog
from engine.config.load import load_config, work_dir
from engine.config.ouroboros import OuroborosConfig
from engine.ouroboros import edges, scorer
from engine.ouroboros.dataset import open_dataset, write_json
from engine.ouroboros.evaluate import judge, limit_problems
from engine.ouroboros.metrics import measure
from engine.ouroboros.train import pick_device, train


def with_its_head(cfg: OuroborosConfig) -> OuroborosConfig:
    changed = cfg.train.model_copy(update={"energy": cfg.baseline.energy, "iters": cfg.baseline.iters})
    return cfg.model_copy(update={"train": changed})


def run(cfg: OuroborosConfig, out: Path) -> int:
    folder = out / "source"
    folder.mkdir(exist_ok=True)
    ended = train(with_its_head(cfg), folder, data_folder=out, model_name="ouroboros-source-head")
    if ended:
        return ended
    items = limit_problems(open_dataset(out).items("test"), cfg.evaluate.problems)
    judged = judge(scorer.load(folder / "best.pt", pick_device(cfg.train.device)), items)
    found = measure(judged.scored, cfg.evaluate.threshold, cfg.evaluate.bootstrap, cfg.seed)
    for name, m in found.items():
        runlog.fact(f"source/{name}", m.value, low=m.low, high=m.high, n=len(items))
        print(f"{m.value:7.3f}  ({m.low:.3f} … {m.high:.3f})  source/{name}")
    write_json(out / "baseline.json", {name: vars(m) for name, m in found.items()})
    runlog.artifact(out / "baseline.json")
    return 0


def main(argv: list[str]) -> int:
    cfg = load_config(OuroborosConfig, phase="phase7-ouroboros", argv=argv)
    return run(cfg, work_dir("phase7-ouroboros", cfg))


if __name__ == "__main__":
    sys.exit(edges.run(main, sys.argv[1:]))
