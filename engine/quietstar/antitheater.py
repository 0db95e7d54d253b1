"""The three tests of the enhanced model, on a split that nothing was chosen by, and of a theatrical control that must fail.

    python -m engine.quietstar.antitheater --preset cpu

Needs the champion, the baked and the enhanced model. Leaves antitheater.json and antitheater.md. Ends well whatever the tests
say: the gate judges the figures.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch

from engine import runlog
from engine.config.load import load_config, work_dir
from engine.config.quietstar import QuietstarConfig
from engine.quietstar import model_file, names, rl_setup, theater
from engine.quietstar.control import make_theatrical
from engine.quietstar.errors import edge
from engine.quietstar.theater import Finding

_CONTROL_BATCHES = 10_000_000  # the control learns from batches that no episode had


def run(cfg: QuietstarConfig, work: Path) -> int:
    setup = rl_setup.build(cfg, work)
    device = setup.thinker.reader.table.weight.device
    trial = setup.trial(cfg.antitheater.final_items, cfg.rl, final=True)
    enhanced = rl_setup.load_enhanced(work / names.ENHANCED, device)
    found = theater.examine(enhanced, setup.baked.talk, trial, cfg.antitheater, cfg.seed)
    control = make_theatrical(
        rl_setup.load_enhanced(work / names.ENHANCED, device),
        enhanced,
        lambda step: setup.texts.batch(_CONTROL_BATCHES + step),
        cfg.antitheater.control_steps,
        trial.thought_tokens,
        trial.ahead,
    )
    performed = theater.examine(control, setup.baked.talk, trial, cfg.antitheater, cfg.seed)
    _tell(found, performed)
    told = {
        "enhanced_sha256": model_file.sha256(work / names.ENHANCED),
        "required": cfg.antitheater.required,
        "thinker": found.to_json(),
        "control": performed.to_json(),
    }
    (work / "antitheater.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    (work / "antitheater.md").write_text(markdown(found, performed), encoding="utf-8")
    runlog.artifact(work / "antitheater.json")
    runlog.artifact(work / "antitheater.md")
    return 0


def _tell(found: Finding, performed: Finding) -> None:
    for verdict in found.tests:
        e = verdict.estimate
        runlog.fact(f"antitheater/{verdict.name}", e.value, low=e.low, high=e.high)
        print(f"{verdict.name}: {e}, {'passed' if verdict.passed else 'FAILED'} {verdict.note}".rstrip())
    for name, value in found.accuracy.items():
        runlog.fact(f"antitheater/accuracy_{name}", value)
    runlog.fact("antitheater/passed", int(found.passed))
    for verdict in performed.tests:
        runlog.fact(f"antitheater/control_{verdict.name}", verdict.estimate.value)
    runlog.fact("antitheater/control_tests_failed", len(performed.failed))
    print(f"the theatrical control fails {len(performed.failed)} of 3: {', '.join(performed.failed) or 'none'}")


def markdown(found: Finding, performed: Finding) -> str:
    lines = [
        "# Do the answers need the thoughts?",
        "",
        "| test | thinker | needs | theatrical control |",
        "|---|---|---|---|",
    ]
    for mine, other in zip(found.tests, performed.tests, strict=True):
        needs = f"> {mine.threshold}" + (", interval above 0" if mine.must_be_above_zero else "")
        lines.append(f"| {mine.name} | {_cell(mine)} | {needs} | {_cell(other)} |")
    lines += ["", "| accuracy | thinker | theatrical control |", "|---|---|---|"]
    lines += [f"| {name} | {value:.3f} | {performed.accuracy[name]:.3f} |" for name, value in found.accuracy.items()]
    lines += ["", *(f"- {v.name}: {v.note}" for v in found.tests if v.note)]
    lines += ["", f"Intervals: 95 %, paired bootstrap over {found.tests[0].estimate.problems} problems."]
    return "\n".join(lines) + "\n"


def _cell(verdict: theater.Verdict) -> str:
    return f"{verdict.estimate} {'passed' if verdict.passed else 'failed'}"


def read_finding(work: Path) -> dict[str, Any]:
    """What this step left, or a ModelFileError."""
    path = work / "antitheater.json"
    if not path.exists():
        raise model_file.ModelFileError(
            f"{path} is not there: run the step `antitheater` (python -m engine.quietstar.antitheater)"
        )
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value


def main(argv: list[str]) -> int:
    cfg = load_config(QuietstarConfig, phase=names.PHASE, argv=argv)
    if cfg.rl.threads is not None:
        torch.set_num_threads(cfg.rl.threads)
    return run(cfg, work_dir(names.PHASE, cfg))


if __name__ == "__main__":
    sys.exit(edge(main, sys.argv[1:]))
