"""Refuse data from which correct and wrong can be told apart without doing the arithmetic.

    python -m engine.ouroboros.leak_probe --preset smoke
    python -m engine.ouroboros.leak_probe --preset cpu

Leaves leak_probe.json with the fingerprint of the data; `train` starts only where it stands and passed for that data.
Ends with 1 where a probe leaves [probe.low, probe.high].
"""

from __future__ import annotations

import sys

from engine import runlog
from engine.config.load import load_config, work_dir
from engine.config.ouroboros import OuroborosConfig
from engine.ouroboros import edges, probes
from engine.ouroboros.dataset import open_dataset, write_json


def main(argv: list[str]) -> int:
    cfg = load_config(OuroborosConfig, phase="phase7-ouroboros", argv=argv)
    out = work_dir("phase7-ouroboros", cfg)
    data = open_dataset(out)
    found = probes.run(data.items("train"), data.items("val"), cfg.probe.rows, cfg.seed)
    leaking = [f for f in found if not cfg.probe.low <= f.accuracy <= cfg.probe.high]
    for f in found:
        runlog.fact(f"probe/{f.name}", f.accuracy, n=f.items)
        print(f"{f.accuracy:.3f}  {f.name}{'   LEAKS' if f in leaking else ''}")
    runlog.fact("probe/highest", max(f.accuracy for f in found))
    runlog.fact("probe/lowest", min(f.accuracy for f in found))
    runlog.fact("probe/leaks", len(leaking))
    passed = not leaking
    write_json(
        out / "leak_probe.json",
        {"data": data.fingerprint, "passed": passed, "accuracy": {f.name: f.accuracy for f in found}},
    )
    runlog.artifact(out / "leak_probe.json")
    if not passed:
        print(
            f"The data leaks: {leaking[0].name} tells {leaking[0].accuracy:.1%} of {leaking[0].items} held-out items apart "
            f"(allowed: {cfg.probe.low:.0%} to {cfg.probe.high:.0%}). Training will not start on it.",
            file=sys.stderr,
        )
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(edges.run(main, sys.argv[1:]))
