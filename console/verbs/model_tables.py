"""What can be asked of the registry and done to it, as rows to print: list, show, compare, promote, verify, handoff.

    table = ACTIONS[args.action](registry, args)        # args: an argparse namespace with the attributes each names
    print(words.table(table.columns, table.rows)); return table.code

Decides nothing: what may be promoted or handed over is the registry's. A refusal is a table with its reasons and code 1;
a model that does not exist is a `RegistryError`.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from engine.registry.model import Model, Refused, RegistryError
from engine.registry.registry import Registry


@dataclass(frozen=True)
class Table:
    """Rows for people, the same for programs (`--json`), and the exit code."""

    columns: list[str]
    rows: list[list[str]]
    data: Any = None
    note: str = ""
    """A line below the rows: what follows from them, or what to type next."""
    code: int = field(default=0)


def list_models(registry: Registry, args: argparse.Namespace) -> Table:
    """`args.phase`, `args.model_type`: None for all."""
    found = registry.models(args.phase, args.model_type)
    champions = {name for phase in {m.phase for m in found} if (name := _champion_id(registry, phase))}
    rows = [
        [
            "★" if m.model_id in champions else "",
            *(m.model_id, m.model_type, m.step, m.preset or "–", "–" if m.seed is None else str(m.seed)),
            *(m.run_state or "–", size_said(m.size_bytes), when_said(m.created_at)),
        ]
        for m in found
    ]
    columns = ["", "model", "type", "step", "preset", "seed", "run", "size", "made (UTC)"]
    note = "" if found else "no model is registered yet; one is as soon as a run says runlog.model(…)"
    return Table(columns, rows, [_told(m) | {"champion": m.model_id in champions} for m in found], note)


def show_model(registry: Registry, args: argparse.Namespace) -> Table:
    """`args.model`: everything known of it, with its lineage."""
    model = registry.model(args.model)
    rows = [[name, said] for name, said in _about(model) if said]
    if _champion_id(registry, model.phase) == model.model_id:
        rows.append(["champion", f"of {model.phase}"])
    rows += [
        ["parent" if a.depth == 1 else f"ancestor {a.depth}", _ancestor(a)] for a in registry.lineage(model.model_id)
    ]
    rows += [["child", child.model_id] for child in registry.children(model.model_id)]
    rows += [[f"gate {g.gate}", f"{g.state} {g.because}".strip()] for g in registry.gates(model.model_id)]
    rows += [[name, number_said(value)] for name, value in sorted(model.metrics.items())]
    return Table(["", ""], rows, _told(model))


def compare_models(registry: Registry, args: argparse.Namespace) -> Table:
    """`args.model`, `args.other`: each metric of both and the change from the first to the second."""
    first, second = registry.model(args.model), registry.model(args.other)
    found = registry.compare(first.model_id, second.model_id)
    rows = [[d.name, number_said(d.first), number_said(d.second), _change(d.change)] for d in found]
    note = "" if first.config_hash == second.config_hash else "the two were made by different configs"
    data = [{"metric": d.name, "first": d.first, "second": d.second, "change": d.change} for d in found]
    return Table(["metric", first.name, second.name, "change"], rows, data, note)


def promote_model(registry: Registry, args: argparse.Namespace) -> Table:
    """`args.model`, `args.gates` (the phase's gates as judged now, `GateFinding`s), `args.by`, `args.reason`."""
    try:
        made = registry.promote(args.model, args.gates, args.by, args.reason or "")
    except Refused as refusal:
        return _refused(refusal)
    note = f"{made.model_id} is the champion of {made.phase}"
    return Table(
        ["phase", "model", "sha256", "by"],
        [[made.phase, made.model_id, made.sha256[:16], made.promoted_by]],
        made.__dict__,
        note,
    )


def verify_models(registry: Registry, args: argparse.Namespace) -> Table:
    """`args.model`: one model, or None for every one; code 1 where a file is not what was registered."""
    found = [registry.model(args.model)] if args.model else registry.models()
    checked = [(m, registry.verify(m.model_id)) for m in found]
    rows = [["✓" if v.ok else "✗", m.model_id, v.because] for m, v in checked]
    bad = sum(not v.ok for _, v in checked)
    note = f"{bad} of {len(checked)} files are not what was registered" if bad else _whole(len(checked))
    data = [{"model": m.model_id, "ok": v.ok, "because": v.because} for m, v in checked]
    return Table(["", "model", "because"], rows, data, note, 1 if bad else 0)


def hand_over(registry: Registry, args: argparse.Namespace) -> Table:
    """`args.model`, `args.to` (a phase), `args.gates`; without a model the list of hand-offs (to `args.to`, if given)."""
    if not args.model:
        return _hand_offs(registry, args.to)
    if not args.to:
        raise RegistryError("say to which phase the model goes: --to phase4")
    try:
        made = registry.hand_off(args.model, args.to, args.gates)
    except Refused as refusal:
        return _refused(refusal)
    note = f"{made.source_model_id} may go on to {made.target_phase}"
    return Table(
        ["from", "to", "model", "status"],
        [[made.source_phase, made.target_phase, made.source_model_id, made.status]],
        made.__dict__,
        note,
    )


ACTIONS: dict[str, Callable[[Registry, argparse.Namespace], Table]] = {
    "list": list_models,
    "show": show_model,
    "compare": compare_models,
    "promote": promote_model,
    "verify": verify_models,
    "handoff": hand_over,
}


def _hand_offs(registry: Registry, target_phase: str | None) -> Table:
    found = registry.hand_offs(target_phase)
    rows = [
        [
            *(when_said(h.at), h.source_phase, h.target_phase, h.source_model_id, h.status),
            "; ".join(h.validation["problems"]) or h.target_model_id or "",
        ]
        for h in found
    ]
    columns = ["at (UTC)", "from", "to", "model", "status", "because"]
    return Table(columns, rows, [h.__dict__ for h in found])


def _refused(refusal: Refused) -> Table:
    return Table(["refused"], [[str(refusal)]], {"refused": str(refusal)}, code=1)


def _champion_id(registry: Registry, phase: str) -> str | None:
    newest = next(iter(registry.promotions(phase)), None)
    return None if newest is None else newest.model_id


def _about(m: Model) -> list[tuple[str, str]]:
    state = f"{m.run_state} {m.run_reason}".strip() or "its end is not known"
    return [
        *(("model", m.model_id), ("type", m.model_type), ("phase", m.phase), ("step", m.step)),
        *(("run", f"{m.session_id}, {state}"), ("preset", m.preset), ("seed", "" if m.seed is None else str(m.seed))),
        *(("file", m.path), ("size", size_said(m.size_bytes)), ("sha256", m.sha256 or "unknown")),
        *(("parameters", f"{m.parameters:,}" if m.parameters else ""), ("made (UTC)", when_said(m.created_at))),
        ("tags", " ".join(m.tags)),
    ]


def _ancestor(ancestor: Any) -> str:
    return ancestor.model.model_id if ancestor.model else f"{ancestor.said} (not in the registry)"


def _told(model: Model) -> dict[str, Any]:
    """For programs: every field, and the metrics as one."""
    return {**model.__dict__, "metrics": model.metrics}


def size_said(size_bytes: int | None) -> str:
    if size_bytes is None:
        return "–"
    size = float(size_bytes)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def when_said(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(at))


def number_said(value: float | None) -> str:
    """`–` for what was never measured, `NaN` for what was and is none."""
    if value is None:
        return "–"
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else str(value)
    return f"{int(value):,}" if value.is_integer() and abs(value) < 1e15 else f"{value:.4g}"


def _change(value: float | None) -> str:
    return number_said(value) if value is None or not value > 0 else f"+{number_said(value)}"


def _whole(count: int) -> str:
    return "the file is whole" if count == 1 else f"{count} files are whole"
