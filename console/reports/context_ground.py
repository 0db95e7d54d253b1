"""Reads what the context page is written from: phases, runs, plans, machines, models, notes. Decides nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from console.rental.burning import burning
from console.reports.context_page import Ground, Place, active_of, spent_words
from console.runs.again import newest_variant
from console.runs.spending import Spent
from console.standing import PhaseStanding
from console.store import RunRow
from console.whatnow.gather import advice_for
from console.whatnow.rules import rules_of
from console.words import ago, duration, sign, usd
from engine.config.errors import ConfigError
from engine.protocol.durable import read_json
from engine.protocol.plan_status import plan_said
from remote.cloud.cloud_paths import CloudPaths

if TYPE_CHECKING:
    from console.workspace import Workspace

_RUNS = 60
_PLANS = 5
_VARIANTS = 8
_MODELS = 12


def ground_of(space: Workspace, phase: str | None = None) -> Ground:
    """The whole project as it stands; `phase` names the active one where the evidence would say another."""
    tree = space.tree()
    standings = [space.standing(p, space.choose(p), tree) for p in space.project.phases.phases.values()]
    runs = space.store.runs(space.project.name, limit=_RUNS)
    active = next((s for s in standings if s.phase.phase == phase), None) if phase else active_of(standings, runs)
    variant = ""
    if active is not None:
        resolved = newest_variant(space, active.phase)
        active, variant = space.standing(active.phase, resolved, tree), resolved.variant
        standings = [active if s.phase.phase == active.phase.phase else s for s in standings]
    every = space.store.money.spent(space.project.name, time.time())
    spent = every.get(active.phase.phase, Spent()) if active else Spent()
    return Ground(
        project=space.project.name,
        folder=str(space.project.folder),
        standings=standings,
        active=active,
        variant=variant,
        others=_others(space, active, variant),
        runs=runs,
        plans=_plans(space),
        hosts=_hosts(space),
        rented=_rented(space),
        models=_models(space),
        notes=space.store.notes.find(project=space.project.name),
        advice=_advice(space, runs),
        spent=spent_words(spent),
    )


def _others(space: Workspace, active: PhaseStanding | None, variant: str) -> list[list[str]]:
    """The other variants of the phase that have run, the newest first."""
    rows = space.store.runs(space.project.name, active.phase.phase, limit=_RUNS) if active else []
    newest: dict[str, RunRow] = {}
    for row in rows:
        if row.variant != variant:
            newest.setdefault(row.variant, row)
    now = time.time()
    return [
        [f"`{v}`", sign(r.state), r.step, ago(r.created, now), r.run_id] for v, r in list(newest.items())[:_VARIANTS]
    ]


def _plans(space: Workspace) -> list[dict[str, str]]:
    """The newest plans that are not over."""
    found = []
    for plan_id in reversed(space.root.plan_ids()[-50:]):
        paths = space.root.plan(plan_id)
        plan, said = read_json(paths.plan) or {}, plan_said(paths)
        if plan.get("project") == space.project.name and not said.is_done:
            why = str(said.progress.get("reason", ""))
            found.append({"plan": plan_id, "phase": str(plan.get("phase")), "outcome": said.outcome, "why": why})
    return found[:_PLANS]


def _hosts(space: Workspace) -> list[Place]:
    from engine.config.hosts import read_hosts

    files = [space.project.configs / "hosts.yaml", space.root.path / "hosts.yaml"]
    try:
        named = read_hosts(files)
    except ConfigError as error:
        return [Place("local", "this machine"), Place("?", str(error))]
    return [Place("local", "this machine"), *(Place(n.name, f"ssh {n.entry.ssh}") for n in named.values())]


def _rented(space: Workspace) -> str:
    now = burning(CloudPaths(space.root.path / "cloud"), time.time())
    if not now.is_known:
        return "**The ledger of rented machines can't be read: look at `fractal-console instances list`.**"
    if not now.count:
        return "Nothing is rented."
    return (
        f"**{now.count} rented, {usd(now.usd_per_h)}/h, {usd(now.cost_usd)} so far, ends in {duration(now.ends_in_s)}; "
        f"guard {now.guard}.** Look: `fractal-console instances list`"
    )


def _models(space: Workspace) -> list[list[str]]:
    """The newest models; the champions among them are named as such."""
    models = space.registry.models()[:_MODELS]
    champions = {p.model_id for phase in {m.phase for m in models} for p in space.registry.promotions(phase)[:1]}
    return [[m.phase, m.name, m.session_id, "yes" if m.model_id in champions else ""] for m in models]


def _advice(space: Workspace, runs: list[RunRow]) -> dict[str, str]:
    rules = rules_of(space.project.configs)
    wrong = [r for r in runs if r.state in ("failed", "lost") and not r.unreadable][:8]
    found = {r.run_id: advice_for(space.paths(r.run_id), rules) for r in wrong}
    return {run_id: f"{a.says} {a.do[0] if a.do else ''}".strip() for run_id, a in found.items() if a is not None}
