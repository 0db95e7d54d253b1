"""Where a run comes from and with which config it runs, as lines for people. Pure."""

from __future__ import annotations

import json
import shlex
import time
from typing import Any

from rich.text import Text

from console.reading.view import RunView
from console.whatnow.advice import flat
from engine.protocol.spec import RunSpec

_PACKAGES = ("torch", "transformers", "vllm", "datasets", "numpy")


def provenance(spec: RunSpec, view: RunView | None = None) -> list[tuple[str, str]]:
    """What made this run, the most telling first."""
    git = spec.git
    rows = [
        ("run", spec.run_id + (f" (attempt {spec.attempt})" if spec.attempt > 1 else "")),
        ("plan", spec.plan or ""),
        ("by", f"{spec.created_by} on {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(spec.created))}"),
        ("host", spec.host + (f", {spec.gpus} GPU(s)" if spec.gpus else "")),
        ("command", shlex.join(spec.argv)),
        ("commit", str(git.get("commit", ""))[:12] + (" with changes" if git.get("dirty") else "")),
        ("tree", spec.tree),
        ("code", spec.code),
        ("config", spec.config_hash),
        ("seed", "" if spec.seed is None else str(spec.seed)),
        ("limit", "" if spec.timeout_s is None else f"{spec.timeout_s / 3600:g} h"),
        ("work", spec.work),
        ("needs", ", ".join(spec.inputs)),
        ("makes", ", ".join(o.path for o in spec.outputs)),
        ("python", _environment(view)),
    ]
    return [(name, value) for name, value in rows if value]


def _environment(view: RunView | None) -> str:
    told = next((e for e in view.events if e.get("kind") == "environment"), None) if view is not None else None
    if told is None:
        return ""
    packages = told.get("packages")
    known = packages if isinstance(packages, dict) else {}
    return "  ".join([str(told.get("python", "")), *(f"{name} {known[name]}" for name in _PACKAGES if name in known)])


def config_rows(spec: RunSpec) -> list[tuple[str, str]]:
    """Every value of the config under its dotted key."""
    return [(key, _said(value)) for key, value in flat(spec.config).items()]


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def about_text(spec: RunSpec, view: RunView) -> Text:
    """Provenance, then the config; what an override changed stands out."""
    text = Text(overflow="fold")
    for name, value in provenance(spec, view):
        text.append(f"{name:<9}", "bold")
        text.append(value + "\n")
    changed = set(spec.variant.partition("+")[2].split(",")) if "+" in spec.variant else set()
    text.append(f"\nconfig at {spec.variant}\n", "bold cyan")
    rows = config_rows(spec)
    width = min(28, max((len(key) for key, _ in rows), default=0))
    for key, value in rows:
        override = any(word.startswith(f"{key}=") for word in changed)
        text.append(f"{'*' if override else ' '} {key:<{width}}  ", "yellow" if override else "dim")
        text.append(value + "\n", "yellow" if override else "")
    text.rstrip()
    return text
