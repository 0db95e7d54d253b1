"""What a registered model is, and when it may stand for its phase or go on to another. Pure, but for reading the model's file.

RegistryError    there is no such model, or several; the registry can't be read
└── Refused      the model is known and does not qualify; the message is the reason
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.protocol.events import number
from engine.protocol.files import describe
from engine.protocol.gates import open_gate
from engine.protocol.status import SUCCEEDED


class RegistryError(Exception):
    """There is no such model, or the registry can't be read."""


class Refused(RegistryError):
    """The model is known and does not qualify."""


@dataclass(frozen=True)
class Model:
    """One registered model with what is known of the run that made it."""

    model_id: str
    session_id: str
    """The run that made it; for a model registered by hand an id of its own."""
    phase: str
    name: str
    path: str
    parameters: int | None
    created_at: float
    metadata: dict[str, Any]
    tags: list[str]
    step: str
    model_type: str
    size_bytes: int | None
    sha256: str | None
    run_state: str
    """How that run ended; empty where that is not known."""
    run_reason: str
    preset: str
    variant: str
    """The preset and the overrides that differ from it, as the run's work folder is named."""
    seed: int | None
    config_hash: str
    measured: dict[str, float]
    """The last metrics and the facts of its run."""

    @property
    def metrics(self) -> dict[str, float]:
        """Every number known of it: its run's, and above them those of its own metadata."""
        return {**self.measured, **numbers_of(self.metadata)}


@dataclass(frozen=True)
class GateFinding:
    """How one gate of the model's phase stands, as the caller judged it."""

    gate: str
    state: str
    because: str = ""


@dataclass(frozen=True)
class Ancestor:
    """One step back in a lineage."""

    said: str
    """How the child named it: an id, a hash or a name."""
    model: Model | None
    """None where the registry does not know it."""
    depth: int


@dataclass(frozen=True)
class Difference:
    """One metric of two models."""

    name: str
    first: float | None
    second: float | None

    @property
    def change(self) -> float | None:
        return None if self.first is None or self.second is None else self.second - self.first


@dataclass(frozen=True)
class Verification:
    """Is the file still what was registered?"""

    ok: bool
    because: str


@dataclass(frozen=True)
class Promotion:
    """One model was made the champion of its phase."""

    phase: str
    model_id: str
    sha256: str
    promoted_at: float
    promoted_by: str
    reason: str


@dataclass(frozen=True)
class HandOff:
    """One model was offered to another phase."""

    handoff_id: str
    source_phase: str
    target_phase: str
    source_model_id: str
    target_model_id: str | None
    """The model that the target phase made of it, once there is one."""
    at: float
    status: str
    """`accepted` or `refused`."""
    validation: dict[str, Any]
    """`problems`, the finding on the file, the state of each gate, the metrics."""


def unfit(model: Model, verified: Verification, gates: Sequence[GateFinding]) -> list[str]:
    """Why a model may not stand for its phase or go on to another; empty where it may."""
    problems = [] if verified.ok else [verified.because]
    if model.run_state and model.run_state != SUCCEEDED:
        why = f": {model.run_reason}" if model.run_reason else ""
        problems.append(f"its run {model.session_id} is {model.run_state}{why}")
    for gate in gates:
        if not open_gate(gate.state):
            problems.append(f"gate {gate.gate} is {gate.state}" + (f" ({gate.because})" if gate.because else ""))
    return problems


def verify_file(model: Model) -> Verification:
    """Is the file that the model names there, of the size and with the hash that were registered?"""
    path = Path(model.path)
    if not path.exists():
        return Verification(False, f"{path} does not exist")
    if model.sha256 is None:
        return Verification(False, f"{path} was registered without a hash")
    try:
        now = describe(path)
    except OSError as error:
        return Verification(False, f"{path} can't be read: {error.strerror}")
    if now["size"] != model.size_bytes:
        return Verification(False, f"{path} has {now['size']} bytes, registered were {model.size_bytes}")
    if now["sha256"] != model.sha256:
        return Verification(False, f"{path} has changed: sha256 is {now['sha256'][:12]}…, was {model.sha256[:12]}…")
    return Verification(True, f"{path}, {now['size']} bytes, sha256 {model.sha256[:12]}…")


def numbers_of(value: dict[str, Any], prefix: str = "") -> dict[str, float]:
    """The numbers of nested metadata, their names joined by `/`."""
    found: dict[str, float] = {}
    for key, inner in value.items():
        if isinstance(inner, dict):
            found.update(numbers_of(inner, f"{prefix}{key}/"))
        elif (plain := number(inner)) is not None:
            found[f"{prefix}{key}"] = plain
    return found


def model_of(row: Sequence[Any]) -> Model:
    (model_id, session, phase, name, path, parameters, created, metadata, tags, step, model_type, size, sha256) = row[
        :13
    ]
    (state, reason, preset, seed, config_hash, measured, variant) = row[13:]
    return Model(
        *(model_id, session, phase, name, path, parameters, created, json.loads(metadata), tags.split(), step or ""),
        *(
            model_type,
            size,
            sha256,
            state,
            reason,
            preset or "",
            variant or "",
            seed,
            config_hash or "",
            json.loads(measured),
        ),
    )


def hand_off_of(row: Sequence[Any]) -> HandOff:
    """A row of `phase_handoffs`."""
    handoff_id, source_phase, target_phase, source, target, at, status, said = row
    return HandOff(handoff_id, source_phase, target_phase, source, target, at, status, json.loads(said))
