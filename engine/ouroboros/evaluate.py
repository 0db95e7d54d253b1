"""Measure the trained energy on held-out problems, and say what it does not cover.

    python -m engine.ouroboros.evaluate --preset smoke
    python -m engine.ouroboros.evaluate --preset cpu
    python -m engine.ouroboros.evaluate --preset a100 --checkpoint path/to/best.pt --device cuda

Leaves report.json and report.md. The headline metrics (`eval/…`) are tier T1 on the test problems, which were used for
nothing before; `eval/novel_…` are those items whose equation is in no training item. Tiers are never averaged.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from engine import runlog
from engine.config.load import load_config, work_dir
from engine.config.ouroboros import OuroborosConfig
from engine.data import gsm8k
from engine.ouroboros import edges, scorer
from engine.ouroboros.choices import TASKS
from engine.ouroboros.dataset import Dataset, open_dataset, write_json, write_text
from engine.ouroboros.equations import OPERATORS
from engine.ouroboros.errors import CheckpointError
from engine.ouroboros.judge import judge_of
from engine.ouroboros.locate import judge_all
from engine.ouroboros.locate import metrics as solution_metrics
from engine.ouroboros.metrics import Scored, measure
from engine.ouroboros.options import take_option
from engine.ouroboros.pairs import Items, counterbalanced
from engine.ouroboros.prepare import true_steps
from engine.ouroboros.report import Report, Section, energy_histogram, markdown
from engine.ouroboros.scorer import Scorer, as_items
from engine.ouroboros.solutions import KINDS, Limits, corrupted, held_out
from engine.ouroboros.train import pick_device

REFERENCE = (
    "the source's earlier phases 3 and 4, on another task: E(correct) 0.009, E(wrong) 0.984, accuracy 1.00, "
    "separation 0.975"
)


@dataclass(frozen=True)
class Judged:
    items: Items
    scored: Scored

    def where(self, chosen: np.ndarray) -> Judged:
        return Judged(self.items[chosen], self.scored[chosen])


def judge(model: Scorer, items: Items) -> Judged:
    return Judged(items, Scored(model.energies(items), items.wrong, items.group, items.problem))


def limit_problems(items: Items, most: int | None) -> Items:
    if most is None:
        return items
    return items[np.isin(items.problem, np.unique(items.problem)[:most])]


class Sections:
    """Measures pools one after the other with the same settings."""

    def __init__(self, cfg: OuroborosConfig) -> None:
        self.cfg, self.found = cfg, list[Section]()

    def add(self, title: str, prefix: str, judged: Judged, note: str = "") -> None:
        e = self.cfg.evaluate
        metrics = measure(judged.scored, e.threshold, e.bootstrap, self.cfg.seed)
        problems = len(np.unique(judged.scored.problem))
        self.found.append(Section(title, prefix, len(judged.scored), problems, metrics, note))


def evaluate(cfg: OuroborosConfig, data: Dataset, model: Scorer) -> Report:
    test = judge(model, limit_problems(data.items("test"), cfg.evaluate.problems))
    trained = np.unique(data.items("train").equations.key)
    novel = ~np.isin(test.items.equations.key, trained)
    limits = data.meta["limits"]
    sections = Sections(cfg)
    span = (
        f"Operands up to {limits['operand']:,}, results up to {limits['result']:,}; threshold {cfg.evaluate.threshold}."
    )
    sections.add("T1, arithmetic of a step: all test items", "eval/", test, span)
    sections.add("T1, equations that no training item has", "eval/novel_", test.where(novel))
    sections.add("T1, equations that training items have too", "eval/seen_", test.where(~novel))
    for index, op in enumerate(OPERATORS):
        name = {"+": "add", "-": "sub", "*": "mul", "/": "div"}[op]
        sections.add(f"T1, operator {op}", f"eval/{name}_", test.where(test.items.op == index))
    kinds = data.meta["kinds"]
    for index in range(len(kinds) // 2):  # the correct kinds stand first, each with its wrong counterpart behind
        other = index + len(kinds) // 2
        chosen = np.isin(test.items.kind, [index, other])
        sections.add(f"T1, {kinds[index]!r} against {kinds[other]!r}", f"eval/kind{other}_", test.where(chosen))
    _add_choices(sections, data, model)
    _add_solutions(sections, data, model)
    if cfg.evaluate.gsm8k:
        _add_real(sections, cfg, limits, model, trained)
    about = {
        "preset": cfg.preset,
        "energy": model.config.train.energy,
        "data": f"{data.meta['source']}, seed {data.meta['seed']}, fingerprint {data.fingerprint}",
        "temperature": {task: round(value, 3) for task, value in model.temperature.items()},
        "reference": REFERENCE,
    }
    return Report(
        "Ouroboros: energies of correct and wrong steps", about, sections.found, energy_histogram(test.scored)
    )


def _add_choices(sections: Sections, data: Dataset, model: Scorer) -> None:
    """Tier T2. A model that reads no question can only be at chance here, and is shown to be."""
    stored = data.choices("test")
    items = as_items(stored.choices)
    judged = Judged(items, Scored(model.choice_energies(stored), items.wrong, items.group, items.problem))
    note = "" if model.model.text is not None else "This model reads no question: chance is all it can reach."
    for index, task in enumerate(TASKS):
        chosen = stored.choices.task == index
        sections.add(f"T2, choice of the {task}", f"eval/t2_{task}_", judged.where(chosen), note)


def _add_solutions(sections: Sections, data: Dataset, model: Scorer) -> None:
    """Whole solutions of the test problems, each kind of error against the clean ones; T0 is decided by comparing."""
    cfg, judge_steps = sections.cfg, judge_of(model, data)
    e = cfg.evaluate
    limits = Limits(data.meta["limits"]["operand"], data.meta["limits"]["result"])
    truths = held_out(data.folder / "problems.jsonl", "test", e.solutions, limits)
    if not truths:
        return
    clean = judge_all(judge_steps, truths, e.threshold)
    for kind, given in corrupted(truths, cfg.seed, limits).items():
        if not given:
            continue
        wrong = judge_all(judge_steps, given, e.threshold)
        found = solution_metrics(clean, wrong, e.threshold, e.bootstrap, cfg.seed)
        prefix = f"eval/solution_{kind.replace(' ', '_')}_"
        title = f"{KINDS[kind]}, whole solutions: {kind}, against the same without"
        sections.found.append(Section(title, prefix, 2 * len(given), len(given), found))


def _add_real(
    sections: Sections, cfg: OuroborosConfig, limits: dict[str, int], model: Scorer, trained: np.ndarray
) -> None:
    """The steps of GSM8K's official test split that lie inside the limits, where $FRACTAL_DATA has them."""
    real = gsm8k.load("test")
    if real is None or cfg.data.source == "gsm8k":
        return
    span = cfg.data.model_copy(update={"max_operand": limits["operand"], "max_result": limits["result"]})
    steps = true_steps(real.problems, span)
    rng = np.random.default_rng([cfg.seed, 6])
    items = counterbalanced(steps.equations, steps.problem, rng, limits["operand"], limits["result"])
    judged = judge(model, items)
    share = len(steps.equations) / (len(steps.equations) + steps.outside)
    note = (
        f"{share:.1%} of the annotations are binary whole-number steps inside the limits; the others are not covered."
    )
    sections.add("T1, steps of the real GSM8K test split", "eval/gsm8k_", judged, note)
    novel = ~np.isin(items.equations.key, trained)
    sections.add("T1, steps of the real GSM8K test split, novel equations", "eval/gsm8k_novel_", judged.where(novel))
    runlog.fact("eval/gsm8k_coverage", share)


def publish(report: Report, pool: str) -> None:
    """Facts with intervals for every section; metrics of the same names, for gates that bind to metrics.

    Metrics named `eval/…` without more are of tier T1 on test.npz; two facts say so, and the gate asks for them.
    """
    runlog.fact("eval/tier", "T1", pool=pool)
    runlog.fact("eval/file", "test.npz", pool=pool)
    for section in report.sections:
        for name, m in section.metrics.items():
            runlog.fact(section.prefix + name, m.value, low=m.low, high=m.high, n=section.items, pool=pool)
        runlog.fact(section.prefix + "items", section.items, pool=pool)
        runlog.log(**{section.prefix + name: m.value for name, m in section.metrics.items()})


def main(argv: list[str]) -> int:
    path, argv = take_option(argv, "--checkpoint")
    device, argv = take_option(argv, "--device")
    cfg = load_config(OuroborosConfig, phase="phase7-ouroboros", argv=argv)
    out = work_dir("phase7-ouroboros", cfg)
    if cfg.train.threads is not None:
        torch.set_num_threads(cfg.train.threads)
    data = open_dataset(out)
    model = scorer.load(Path(path) if path else out / "best.pt", pick_device(device or cfg.train.device))
    if path is None and model.data != data.fingerprint:
        raise CheckpointError(
            f"{out / 'best.pt'} was trained on other data ({model.data}, here {data.fingerprint}); train again"
        )
    report = evaluate(cfg, data, model)
    publish(report, pool=f"test-{data.fingerprint}")
    write_json(out / "report.json", report.to_json())
    text = markdown(report)
    write_text(out / "report.md", text)
    print(text)
    runlog.artifact(out / "report.json")
    runlog.artifact(out / "report.md")
    return 0


if __name__ == "__main__":
    sys.exit(edges.run(main, sys.argv[1:]))
