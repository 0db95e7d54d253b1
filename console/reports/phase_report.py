"""The report of a phase: goal, gates with evidence and because, results over seeds, charts, provenance, costs, notes. Pure."""

from __future__ import annotations

import time

from console.comparing.curves import metrics_of_sides, overlay
from console.comparing.sides import Mean, Side, colours_of, mean_of
from console.reading.view import gate_lines_for, gated_first
from console.reports.document import Block, Code, Document, Figure, Heading, Prose, Table
from console.reports.gathered import Gathered, StepGround
from console.reports.log import notes_lines
from console.words import duration, number, sign, usd
from engine.protocol.checks import Check

_MOST_CHARTS_A_STEP = 6
_SEEDS_HEAD = ("", "value", "mean over seeds", "95 % interval", "lowest", "highest")
_TELLING = ("python", "torch", "transformers", "datasets", "vllm", "numpy", "tokenizers", "peft", "cuda")
"""Packages that change results; a report names these, the evidence has all."""


def phase_report(g: Gathered, now: float) -> Document:
    """Everything about one phase at one variant, for somebody who was not there."""
    s = g.standing
    page = Document(
        f"{g.phase.phase} — {g.phase.title}",
        f"{sign(s.state)} at {g.resolved.variant} · {s.checks_passed} of {s.checks} checks · {_stamp(now)}",
    )
    page.section("Goal", Prose(g.phase.goal))
    page.section("Gates", *_gates(g))
    page.section("Results", *_results(g))
    page.section("Charts", *_charts(g))
    page.section("Steps and costs", *_steps(g))
    page.section("Provenance", _provenance(g), _packages(g))
    page.section("Config", Code(_yaml(g.resolved.config), "yaml"))
    page.section("Notes and learnings", Prose("\n".join(notes_lines(g.notes))))
    return page


def _gates(g: Gathered) -> list[Block]:
    blocks: list[Block] = []
    for gate in g.standing.gates:
        title = f" — {gate.gate.title}" if gate.gate.title else ""
        blocks.append(
            Heading(f"{gate.gate.gate}{title}: {sign(gate.state)} ({gate.passed} of {len(gate.verdicts)})", 3)
        )
        rows = [
            [sign(v.state), f"`{v.text}`", v.because, v.run_id or "", _stamp(v.when) if v.when else ""]
            for v in gate.verdicts
        ]
        blocks.append(Table(["verdict", "check", "because", "run", "when"], rows))
    return blocks


def _results(g: Gathered) -> list[Block]:
    """Final values of each step; the mean with its interval where several seeds have run."""
    blocks: list[Block] = []
    for ground in g.steps:
        side = Side(ground.step, ground.step, tuple(ground.family))
        names = gated_first(sorted({n for m in side.members for n in m.finals}), _checks(g))
        asked = {c["name"] for c in _checks(g) if c.get("kind") == "compare"}
        rows = [
            [f"**{row[0]}**" if name in asked else row[0], *row[1:]]
            for name in names
            if (row := _final_row(name, side, ground)) is not None
        ]
        several = side.is_band
        if rows:
            blocks.append(Heading(f"{ground.step}" + (f", {len(side.members)} seeds" if several else ""), 3))
            head = (
                ["", "value", "mean over seeds", "95 % interval", "lowest", "highest"]
                if several
                else ["", "value", "interval"]
            )
            blocks.append(Table(head, rows))
    if g.phase.reference:
        blocks.append(Heading("Published figures, for comparison (never evidence)", 3))
        blocks.append(Table(["", "value", "source"], [[r.name, str(r.value), r.source] for r in g.phase.reference]))
    return blocks


def _final_row(name: str, side: Side, ground: StepGround) -> list[str] | None:
    own = ground.own.finals.get(name)
    if isinstance(own, str) and len(own) > 60:
        return None  # a text, not a result
    shown = (
        number(own) if isinstance(own, (int, float)) and not isinstance(own, bool) else str("" if own is None else own)
    )
    if not side.is_band:
        return [name, shown, _fact_interval(name, ground)]
    values = side.values(name)
    mean = mean_of(values)
    if mean is None:
        return [name, shown, "", "", "", ""]
    return [name, shown, number(mean.mean), _interval(mean), number(min(values)), number(max(values))]


def _interval(mean: Mean) -> str:
    if mean.half is None:
        return ""
    return f"{number(mean.mean - mean.half)} to {number(mean.mean + mean.half)} (n = {mean.count})"


def _fact_interval(name: str, ground: StepGround) -> str:
    low, high = ground.evidence.bound(name, "lower"), ground.evidence.bound(name, "upper")
    return f"{number(low)} to {number(high)}" if low is not None and high is not None else ""


def _charts(g: Gathered) -> list[Block]:
    from console.charts.svg import chart_svg
    from console.charts.thresholds import Threshold

    blocks: list[Block] = []
    checks = _checks(g)
    for ground in g.steps:
        side = Side(":".join(ground.own.family), _side_name(ground), tuple(ground.family))
        drawn = [
            n for n in metrics_of_sides([side]) if any(m.series[n].count > 1 for m in side.members if n in m.series)
        ]
        for name in gated_first(drawn, checks)[:_MOST_CHARTS_A_STEP]:
            over = overlay(name, [side])
            lines = [Threshold(t.value, t.label, t.op) for t in gate_lines_for(checks, [name])]
            title = f"{ground.step}: {name}"
            svg = chart_svg(
                over.series,
                title=title,
                thresholds=lines,
                bands=over.bands,
                colours=colours_of([side]),
                width=460,
                height=260,
            )
            blocks.append(Figure(title, svg))
    return blocks


def _side_name(ground: StepGround) -> str:
    if len(ground.family) > 1:
        return f"mean of {len(ground.family)} seeds"
    return ground.spec.variant


def _steps(g: Gathered) -> list[Block]:
    rows, guessed, took, paid = [], 0.0, 0.0, 0.0
    costs = {ground.own.row.run_id: ground.own.usd for ground in g.steps}
    for s in g.standing.steps:
        estimate = s.step.estimate.get(g.standing.preset)
        seconds = s.run.seconds if s.run is not None else None
        cost = costs.get(s.run.run_id, 0.0) if s.run is not None else 0.0
        guessed, took, paid = guessed + (estimate.usd if estimate else 0.0), took + (seconds or 0.0), paid + cost
        rows.append(
            [
                *(sign(s.state), s.step.step, s.step.title, s.run.run_id if s.run else ""),
                *(duration(seconds), duration(estimate.minutes * 60) if estimate else ""),
                *(usd(cost), usd(estimate.usd) if estimate else "", s.why if s.state != "succeeded" else ""),
            ]
        )
    rows.append(["", "together", "", "", duration(took), "", usd(paid), usd(guessed), ""])
    head = ["state", "step", "what", "run", "took", "estimate", "cost", "estimate", "because"]
    every = g.spent
    said = f"All {every.runs} runs of the phase, failed ones too: {duration(every.seconds)}, {usd(every.usd)}."
    return [Table(head, rows), Prose(said)]


def _provenance(g: Gathered) -> Table:
    rows = []
    for ground in g.steps:
        s = ground.spec
        commit = str(s.git.get("commit", ""))[:10] + (" with changes" if s.git.get("dirty") else "")
        hashes = (commit or "–", s.tree, s.code, s.config_hash)
        rows.append([ground.step, s.run_id, *hashes, str(s.seed), s.host, s.created_by, _stamp(s.created)])
    return Table(["step", "run", "commit", "tree", "code", "config", "seed", "host", "by", "created"], rows)


def _packages(g: Gathered) -> Table:
    """One row per set of packages that steps ran with."""
    found: dict[tuple[str, ...], list[str]] = {}
    for ground in g.steps:
        known = ground.evidence.packages
        words = tuple(f"{name} {known[name]}" for name in _TELLING if name in known)
        if words:
            found.setdefault(words, []).append(ground.step)
    return Table(["steps", "packages"], [[", ".join(steps), ", ".join(words)] for words, steps in found.items()])


def _checks(g: Gathered) -> list[Check]:
    return [c for gate in g.phase.gates for c in gate.compiled(g.standing.preset)]


def _yaml(config: dict[str, object]) -> str:
    import yaml

    return str(yaml.safe_dump(config, sort_keys=False, allow_unicode=True))


def _stamp(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))
