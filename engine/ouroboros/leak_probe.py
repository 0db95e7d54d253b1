"""Refuse data from which correct and wrong can be told apart without doing the arithmetic.

    python -m engine.ouroboros.leak_probe --preset smoke
    python -m engine.ouroboros.leak_probe --preset cpu

Leaves leak_probe.json with the fingerprint of the data; `train` starts only where it stands and passed for that data.
Ends with 1 where a probe leaves [probe.low, probe.high].
"""

from __future__ import annotations

import sys
from pathlib import Path

from engine import runlog
from engine.config.load import load_config, work_dir
from engine.config.ouroboros import OuroborosConfig
from engine.ouroboros import edges, probes
from engine.ouroboros.dataset import open_dataset, write_json


def probe(cfg: OuroborosConfig, out: Path) -> bool:
    """Run every probe on the prepared data, leave the findings, say whether training may start."""
    data = open_dataset(out)
    found = probes.run(data.items("train"), data.items("val"), cfg.probe.rows, cfg.seed)
    if data.choices("val").texts is not None:
        found += probes.run_choices(data.choices("train"), data.choices("val"), cfg.probe.rows // 4, cfg.seed)
    leaking = [f for f in found if f.blocking and not cfg.probe.low <= f.accuracy <= cfg.probe.high]
    for f in found:
        runlog.fact(f"probe/{f.name}", f.accuracy, n=f.items)
        print(f"{f.accuracy:.3f}  {f.name}{'   LEAKS' if f in leaking else '' if f.blocking else '   (reported only)'}")
    runlog.fact("probe/highest", max(f.accuracy for f in found if f.blocking))
    runlog.fact("probe/lowest", min(f.accuracy for f in found if f.blocking))
    runlog.fact("probe/leaks", len(leaking))
    told = {"data": data.fingerprint, "passed": not leaking, "accuracy": {f.name: f.accuracy for f in found}}
    write_json(out / "leak_probe.json", told)
    runlog.artifact(out / "leak_probe.json")
    for f in leaking[:1]:
        print(
            f"The data leaks: {f.name} tells {f.accuracy:.1%} of {f.items} held-out items apart "
            f"(allowed: {cfg.probe.low:.0%} to {cfg.probe.high:.0%}). Training will not start on it.",
            file=sys.stderr,
        )
    return not leaking


def main(argv: list[str]) -> int:
    cfg = load_config(OuroborosConfig, phase="phase7-ouroboros", argv=argv)
    return 0 if probe(cfg, work_dir("phase7-ouroboros", cfg)) else 1


if __name__ == "__main__":
    sys.exit(edges.run(main, sys.argv[1:]))
