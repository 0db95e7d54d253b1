"""A comparison as files and text for others: CSV of the runs and of the points, JSON, an SVG per metric. Pure but for `write`."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from console.comparing.curves import metrics_of_sides, overlay
from console.comparing.sides import Side, colours_of
from console.comparing.tables import config_differences, final_rows


def runs_csv(sides: Sequence[Side]) -> str:
    """A line a run: who it is, its config (the keys that differ somewhere first), its final values."""
    members = [(side, m) for side in sides for m in side.members]
    differing = [row.key for row in config_differences(sides) if not row.key.startswith("(")]
    keys = list(dict.fromkeys([*differing, *(key for _, m in members for key in m.config)]))
    finals = sorted({name for _, m in members for name in m.finals})
    head = ["run", "side", "phase", "step", "variant", "seed", "host", "state", "created", "seconds", "usd", "tags"]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*head, *(f"cfg.{key}" for key in keys), *finals])
    for side, m in members:
        r = m.row
        about = [r.run_id, side.name, r.phase, r.step, r.variant, _plain(r.seed), r.host, r.state, r.created]
        about += [_plain(r.seconds), round(m.usd, 4), " ".join(m.tags)]
        writer.writerow([*about, *(_plain(m.config.get(k)) for k in keys), *(_plain(m.finals.get(n)) for n in finals)])
    return out.getvalue()


def _plain(value: Any) -> Any:
    return "" if value is None else value


def points_csv(sides: Sequence[Side]) -> Iterator[str]:
    """A line a point, run by run, for any plotting program; in pieces, since it may be long."""
    yield "run,side,seed,metric,step,seconds,value\n"
    for side in sides:
        for m in side.members:
            who = _joined([m.row.run_id, side.name, _plain(m.row.seed)])
            for name, series in m.series.items():
                columns = series.columns()
                start = m.row.started if m.row.started is not None else series.first_time or 0.0
                head = f"{who},{_joined([name])}"
                for step, at, value in zip(
                    columns.steps.view.tolist(),
                    columns.times.view.tolist(),
                    columns.raw.values.view.tolist(),
                    strict=True,
                ):
                    yield f"{head},{step:g},{at - start:.3f},{value:.9g}\n"


def _joined(words: Sequence[Any]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(words)
    return out.getvalue()


def to_json(sides: Sequence[Side], baseline: str | None) -> dict[str, Any]:
    """Everything that the screen shows but the curves."""
    return {
        "sides": [{"name": s.name, "key": s.key, "runs": [_member(m) for m in s.members]} for s in sides],
        "baseline": next((s.name for s in sides if s.key == baseline), None),
        "differences": [
            {"key": row.key, "values": dict(zip((s.name for s in sides), row.values, strict=True))}
            for row in config_differences(sides)
        ],
        "finals": [
            {
                "name": row.name,
                "sides": {
                    side.name: {
                        "mean": _number(mean.mean if mean else None),
                        "half": _number(mean.half if mean else None),
                        "n": mean.count if mean else 0,
                        "from_baseline": _number(away),
                    }
                    for side, mean, away in zip(sides, row.means, row.from_baseline, strict=True)
                },
            }
            for row in final_rows(sides, baseline)
        ],
    }


def _member(m: Any) -> dict[str, Any]:
    finals = {name: _number(v) if isinstance(v, float) else v for name, v in m.finals.items()}
    return {**m.row.__dict__, "config": m.config, "finals": finals, "usd": m.usd, "tags": list(m.tags)}


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def charts_svg(sides: Sequence[Side], x_name: str = "step", metrics: Sequence[str] | None = None) -> dict[str, str]:
    """An SVG per metric."""
    from console.charts.svg import chart_svg

    colours = colours_of(sides)
    made = {}
    for name in metrics_of_sides(sides) if metrics is None else metrics:
        over = overlay(name, sides)
        if over.series:
            made[name] = chart_svg(over.series, title=name, bands=over.bands, colours=colours, x_name=x_name)
    return made


def file_name(metric: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", metric).strip("-.") + ".svg"


def write(folder: Path, sides: Sequence[Side], baseline: str | None, x_name: str = "step") -> list[Path]:
    """The whole comparison into a folder; the files, in the order of their worth."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"comparison.json": json.dumps(to_json(sides, baseline), indent=1), "runs.csv": runs_csv(sides)}
    texts |= {file_name(name): svg for name, svg in charts_svg(sides, x_name).items()}
    for name, text in texts.items():
        (folder / name).write_text(text)
    with open(folder / "points.csv", "w") as file:
        file.writelines(points_csv(sides))
    return [folder / name for name in (*texts, "points.csv")]
