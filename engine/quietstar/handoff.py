"""The chain of models 2 → 3 → 4, validated by the registry: present, unchanged, with their parents, tested for theatre.

    python -m engine.quietstar.handoff --preset cpu

Leaves handoff.json and, in the work folder, registry.db with the three models and both hand-offs, refused ones too. A refusal
says its reasons and ends with 1.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from engine import runlog
from engine.config.load import load_config, work_dir
from engine.config.quietstar import QuietstarConfig
from engine.protocol.case import FAILED, PASSED
from engine.quietstar import antitheater, model_file, names
from engine.quietstar.errors import edge
from engine.registry.model import GateFinding, Refused, verify_file
from engine.registry.registry import Registry

_FROM, _TO = "phase2", "phase4"


def run(cfg: QuietstarConfig, work: Path) -> int:
    registry = Registry(work / "registry.db")
    try:
        problems = hand_over(registry, cfg, work)
        told = {
            "status": "refused" if problems else "accepted",
            "because": problems,
            "hand_offs": [vars(made) for made in registry.hand_offs()],
        }
    finally:
        registry.close()
    (work / "handoff.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    runlog.fact("handoff/status", told["status"])
    runlog.artifact(work / "handoff.json")
    for problem in problems:
        print(f"refused: {problem}", file=sys.stderr)
    if not problems:
        print(f"{names.ENHANCED} is handed to {_TO}, with its parents")
    return int(bool(problems))


def hand_over(registry: Registry, cfg: QuietstarConfig, work: Path) -> list[str]:
    """Register the chain and offer it on; why not, if not."""
    told = antitheater.read_finding(work)
    found = register(registry, cfg, work)
    gates = [*judged(told, work), parents_whole(registry, found["enhanced"])]
    problems = []
    for model_id, target, passed in ((found["champion"], names.PHASE, []), (found["enhanced"], _TO, gates)):
        try:
            registry.hand_off(model_id, target, passed)
        except Refused as refused:
            problems.append(str(refused))
    return problems


def register(registry: Registry, cfg: QuietstarConfig, work: Path) -> dict[str, str]:
    """The files that are there, each naming its parents as the step did that made it; their ids."""
    chain = (
        ("champion", _FROM, "champion", names.CHAMPION, "champion"),
        ("baked", names.PHASE, "baked_reasoning", names.BAKED, "bake"),
        ("enhanced", names.PHASE, "reasoning_enhanced", names.ENHANCED, "rl"),
    )
    found = {}
    for word, phase, model_type, file, step in chain:
        if word == "baked" and not (work / file).exists():
            continue  # then the enhanced model's parent is missing, and the registry says so
        about = model_file.about(work / file, step)
        name = f"{Path(file).stem}-{cfg.preset}"
        found[word] = registry.register_model(phase, step, model_type, work / file, about, name=name)
    return found


def judged(told: dict[str, Any], work: Path) -> list[GateFinding]:
    """The gates that a model must have passed to leave this phase."""
    now = model_file.sha256(work / names.ENHANCED)
    same = now == told["enhanced_sha256"]
    changed = (
        f"{names.ENHANCED} has changed since it was tested: sha256 is {now[:12]}…, was {told['enhanced_sha256'][:12]}…"
    )
    tested = GateFinding("tested file", PASSED if same else FAILED, "" if same else changed)
    if not told["required"]:
        return [tested]
    failed = [name for name, test in told["thinker"]["tests"].items() if not test["passed"]]
    why = f"its answers do not need its thoughts: {', '.join(failed)} failed" if failed else ""
    return [tested, GateFinding("anti-theater", FAILED if failed else PASSED, why)]


def parents_whole(registry: Registry, model_id: str) -> GateFinding:
    """Is every model that this one came from still the file that was registered?"""
    known = [a.model for a in registry.lineage(model_id) if a.model is not None]
    broken = [why.because for why in map(verify_file, known) if not why.ok]
    return GateFinding("parents", FAILED if broken else PASSED, "; ".join(broken))


def main(argv: list[str]) -> int:
    cfg = load_config(QuietstarConfig, phase=names.PHASE, argv=argv)
    return run(cfg, work_dir(names.PHASE, cfg))


if __name__ == "__main__":
    sys.exit(edge(main, sys.argv[1:]))
