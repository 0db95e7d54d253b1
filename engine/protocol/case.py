"""What a verdict on a gate may lean on: evidence, today's code and config, and the words of people. And what it may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from engine.protocol.evidence import Evidence
from engine.protocol.seeds import run_of_seed

PASSED, FAILED, WAITING, STALE, OVERRIDDEN = "passed", "failed", "waiting", "stale", "overridden"


@dataclass(frozen=True)
class Ground:
    """What today's code and config are, for one step: evidence from another ground is stale."""

    code: str
    config_hash: str
    family: str = ""


@dataclass(frozen=True)
class Word:
    """A person's tick of a manual check, or override of a failed one."""

    by: str
    reason: str
    when: float
    code: str = ""
    """The code that the person looked at."""


@dataclass(frozen=True)
class Case:
    """Everything a verdict may lean on."""

    evidence: Mapping[str, Sequence[Evidence]] = field(default_factory=dict)
    """Per step: first the run that stands for it, then others of its family (other seeds)."""
    ground: Mapping[str, Ground] = field(default_factory=dict)
    """Per step; a step that is not in it is never stale (a host that executes a plan has one ground only)."""
    ticks: Mapping[str, Word] = field(default_factory=dict)
    overrides: Mapping[str, Word] = field(default_factory=dict)

    def of_seed(self, seed: int | None) -> Case:
        """The same with one seed's run in front of each step."""
        chosen = {step: run_of_seed(runs, seed) for step, runs in self.evidence.items() if runs}
        return replace(self, evidence={step: [run] for step, run in chosen.items() if run is not None})
