"""Verbs over many runs: runs, tag, note, notes."""

from __future__ import annotations

import argparse
import time

from console.errors import UserError
from console.launch.resolved import whoami
from console.reports.log import notes_log
from console.runs.index import RunIndex, RunLine, Sort
from console.runs.notes import Note, tag_changes
from console.runs.query import Query, Term, full_name, parse, resolved
from console.store import RunRow
from console.verbs.common import print_json, up_to_date, workspace
from console.words import STYLES, ago, coloured, duration, number, sign, table, usd
from console.workspace import Workspace
from engine.config.errors import ConfigError


def runs(arguments: argparse.Namespace) -> int:
    space = up_to_date()
    index = RunIndex(space.store)
    query = resolved(parse(arguments.query), index.names())
    if arguments.phase:
        query = Query((Term("phase", "=", (space.phase(arguments.phase).phase,)), *query.terms))
    sort = Sort(full_name(arguments.sort, index.names()), arguments.reverse)
    project = None if arguments.all else space.project.name
    ids = index.ids(query, project, sort, arguments.n or None)
    asked = list(dict.fromkeys([*query.asked, *Query((Term(sort.field, ":", ()),)).asked]))
    found = index.lines(ids, asked)
    lines = [found[i] for i in ids if i in found]
    if arguments.json:
        print_json([line.to_json() for line in lines])
    elif not lines:
        print("no run meets this query" if arguments.query else "no runs yet. Start one: fractal-console run PHASE")
    else:
        print(_run_table(lines, asked))
        left_out = index.count(query, project) - len(lines)
        if left_out:
            print(coloured(f"{left_out} more: -n {len(lines) + left_out}", "dim"))
    index.close()
    return 0


def _run_table(lines: list[RunLine], asked: list[str]) -> str:
    now = time.time()
    optional = {
        "cost": any(line.usd for line in lines),
        "tags": any(line.tags for line in lines),
        "notes": any(line.notes for line in lines),
    }
    head = ["state", "run", "phase", "step", "preset", "host", "created", "took", *asked]
    head += [name for name, worth in optional.items() if worth] + ["because"]
    return table([_cells(line, asked, optional, now) for line in lines], head, [STYLES.get(x.row.state) for x in lines])


def _cells(line: RunLine, asked: list[str], optional: dict[str, bool], now: float) -> list[str]:
    r = line.row
    cells = [sign(r.state), r.run_id, r.phase, r.step, r.variant, r.host, ago(r.created, now), duration(r.seconds)]
    cells += [shown_value(line.values.get(name)) for name in asked]
    said = {"cost": usd(line.usd), "tags": " ".join(line.tags), "notes": str(line.notes or "")}
    return [*cells, *(said[name] for name, worth in optional.items() if worth), r.reason]


def shown_value(value: object) -> str:
    """A config value or a metric as people read it."""
    if value is None:
        return ""
    return number(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)


def tag(arguments: argparse.Namespace) -> int:
    add, remove = tag_changes([*arguments.add, *(f"-{t}" for t in arguments.remove)])
    if not add and not remove:
        raise UserError("nothing to do: --add TAG or --remove TAG")
    space = workspace()
    rows = [space.find_run(word) for word in arguments.runs]
    space.store.notes.tag([r.run_id for r in rows], add, remove, whoami(), time.time())
    tags = {r.run_id: space.store.notes.tags(r.run_id) for r in rows}
    if arguments.json:
        print_json(tags)
    else:
        print(table([[run_id, " ".join(words) or "no tags"] for run_id, words in tags.items()]))
    return 0


def note(arguments: argparse.Namespace) -> int:
    space = workspace()
    phase, row = about(space, arguments.about)
    kind = "learning" if arguments.learning else "note"
    words = " ".join(arguments.words)
    project = space.project.name if row is None else row.project
    n = space.store.notes.add(kind, project, phase, row.run_id if row else None, words, whoami(), time.time())
    if arguments.json:
        print_json({"n": n, "kind": kind, "phase": phase, "run": row and row.run_id})
    else:
        print(f"{kind} {n} on {phase if row is None else row.run_id}")
    return 0


def about(space: Workspace, word: str) -> tuple[str, RunRow | None]:
    """The phase that a word names, or the phase and the run."""
    try:
        return space.phase(word).phase, None
    except ConfigError as no_phase:
        try:
            row = space.find_run(word)
        except UserError as no_run:
            raise UserError(f"{no_phase}; and {no_run}") from None
        return row.phase, row


def notes(arguments: argparse.Namespace) -> int:
    space = workspace()
    log = space.store.notes
    if arguments.withdraw is not None:
        gone = log.withdraw(arguments.withdraw, time.time())
        print(f"withdrawn: {gone.kind} {gone.n}, “{gone.body}”")
        return 0
    phase = space.phase(arguments.phase).phase if arguments.phase else None
    run_id = space.find_run(arguments.run).run_id if arguments.run else None
    project = None if arguments.all or run_id else space.project.name
    found = log.find(arguments.words, project, phase, run_id, withdrawn=arguments.export)
    if arguments.json:
        print_json([n.__dict__ for n in found])
    elif arguments.export:
        print(notes_log(found), end="")
    elif not found:
        print(
            "no notes" + (" hold these words" if arguments.words else ". Write one: fractal-console note PHASE WORDS")
        )
    else:
        print(_note_table(found))
    return 0


def _note_table(found: list[Note]) -> str:
    now = time.time()
    return table([[str(n.n), n.kind, ago(n.at, now), n.who, n.run_id or n.phase, n.body] for n in found])
