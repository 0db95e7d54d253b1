"""Evidence of a run that is over, as JSON for the index and back."""

from __future__ import annotations

from typing import Any

from engine.protocol.evidence import Evidence, Summary


def frozen(evidence: Evidence) -> dict[str, Any]:
    """Evidence as JSON."""
    body = dict(evidence.__dict__)
    body["metrics"] = {name: list(s.__dict__.values()) for name, s in evidence.metrics.items()}
    return body


def thawed(body: dict[str, Any]) -> Evidence:
    """Evidence from what `frozen` made of it."""
    metrics = {name: Summary(*values) for name, values in body["metrics"].items()}
    return Evidence(**{**body, "metrics": metrics})
