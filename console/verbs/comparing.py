"""The verb `compare`: runs side by side on a plain terminal, as JSON, CSV or SVG."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from console.comparing import export
from console.comparing.load import MOST, Loader
from console.comparing.sides import Side, sides_of
from console.comparing.tables import about_rows, config_differences, final_rows, final_words
from console.errors import UserError
from console.runs.index import RunIndex
from console.runs.query import parse, resolved
from console.verbs.common import print_json, workspace
from console.words import coloured, table
from console.workspace import Workspace


def compare(arguments: argparse.Namespace) -> int:
    space = workspace()
    space.refresh()
    index = RunIndex(space.store)
    run_ids = _run_ids(space, index, arguments)
    needs_curves = bool(arguments.points or arguments.svg or arguments.out)
    members = Loader(space.root, index).members(run_ids, needs_curves)
    sides = sides_of(members, by_family=not arguments.each)
    baseline = _baseline(space, sides, arguments.baseline)
    _answer(sides, baseline, arguments)
    index.close()
    return 0


def _run_ids(space: Workspace, index: RunIndex, arguments: argparse.Namespace) -> list[str]:
    found = [space.find_run(word).run_id for word in arguments.runs]
    if arguments.query:
        found += index.ids(resolved(parse(arguments.query), index.names()), space.project.name)
    found = list(dict.fromkeys(found))
    if not found:
        raise UserError(
            "no run meets this query" if arguments.query else "compare what? Name runs, or ask: compare --query 'tag:x'"
        )
    if len(found) > MOST:
        print(f"fractal-console: {len(found)} runs; the first {MOST} are compared", file=sys.stderr)
    return found[:MOST]


def _baseline(space: Workspace, sides: Sequence[Side], word: str | None) -> str | None:
    """The side that a run is on."""
    if word is None:
        return None
    run_id = space.find_run(word).run_id
    found = next((s.key for s in sides if any(m.row.run_id == run_id for m in s.members)), None)
    if found is None:
        raise UserError(f"{run_id} is not among the compared runs, so it can't be their baseline")
    return found


def _answer(sides: Sequence[Side], baseline: str | None, arguments: argparse.Namespace) -> None:
    if arguments.json:
        print_json(export.to_json(sides, baseline))
    elif arguments.csv:
        print(export.runs_csv(sides), end="")
    elif arguments.points:
        sys.stdout.writelines(export.points_csv(sides))
    elif arguments.svg:
        sys.stdout.write(_one_svg(sides, arguments.svg, arguments.time))
    elif arguments.out:
        files = export.write(Path(arguments.out), sides, baseline, "time" if arguments.time else "step")
        print(f"{len(files)} files in {arguments.out}: {', '.join(f.name for f in files)}")
    else:
        _print(sides, baseline)


def _one_svg(sides: Sequence[Side], metric: str, by_time: bool) -> str:
    from console.comparing.curves import metrics_of_sides
    from engine.config.errors import nearest

    known = metrics_of_sides(sides)
    if metric not in known:
        raise UserError(
            f"none of these runs has points of {metric!r}{nearest(metric, known)}. They have: {', '.join(known)}"
        )
    return export.charts_svg(sides, "time" if by_time else "step", [metric])[metric]


def _print(sides: Sequence[Side], baseline: str | None) -> None:
    head = ["", *(s.name + (" (baseline)" if s.key == baseline else "") for s in sides)]
    differences = config_differences(sides)
    rows = [[name, *values] for name, values in about_rows(sides)]
    rows += [[row.key, *row.values] for row in differences]
    print(table(rows, head))
    if not differences:
        print(coloured("their configs are the same", "dim"))
    finals = final_rows(sides, baseline)
    if finals:
        print()
        print(table([[f.name, *(final_words(f, i) for i in range(len(sides)))] for f in finals], ["final", *head[1:]]))
