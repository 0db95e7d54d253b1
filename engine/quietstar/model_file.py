"""A model of this phase as one file: weights, what they were built from, and what is known of them.

    save(path, body, about={"made_by": "bake", …}, more={"thinking": …})
    saved = load(path)            # saved.body, saved.about, saved.more; ModelFileError where it can't be

Guarantees: a file is whole or absent; it is read without running code from it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from engine.protocol.files import describe
from engine.quietstar.body import Body, Size
from engine.quietstar.errors import ModelFileError

FORMAT = 1


@dataclass(frozen=True)
class SavedModel:
    body: Body
    about: dict[str, Any]
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self.body.parameters())


def save(path: Path, body: Body, about: dict[str, Any], more: dict[str, Any] | None = None) -> None:
    """Write aside, then take the name. The weights are copied: a body that learns on changes no file."""
    weights = {name: value.detach().cpu().clone() for name, value in body.state_dict().items()}
    write(path, {"format": FORMAT, "size": body.size.to_dict(), "model": weights, "about": about, "more": more or {}})


def write(path: Path, value: dict[str, Any]) -> None:
    beside = path.with_name(path.name + ".part")
    torch.save(value, beside)
    with open(beside, "rb") as file:
        os.fsync(file.fileno())
    os.replace(beside, path)


def load(path: Path, made_by: str, device: str | torch.device = "cpu") -> SavedModel:
    """`made_by`: the step to run where the file is missing or spoilt."""
    value = _checked(path, made_by, device)
    if "size" not in value:
        raise ModelFileError(f"{path} holds a model of transformers, not our own body: read it by `loading.load`")
    body = Body(Size(**value["size"])).to(device)
    try:
        body.load_state_dict(value["model"])
    except RuntimeError as error:
        raise ModelFileError(f"{path} does not fit its own size: {str(error).splitlines()[0]}") from None
    return SavedModel(body, value["about"], value["more"])


def about(path: Path, made_by: str) -> dict[str, Any]:
    """What is known of a model of either kind, without building it."""
    known: dict[str, Any] = _checked(path, made_by, "cpu")["about"]
    return known


def _checked(path: Path, made_by: str, device: str | torch.device) -> dict[str, Any]:
    value = read(path, f"run the step `{made_by}` (python -m engine.quietstar.{made_by})", device)
    if not isinstance(value, dict) or value.get("format") != FORMAT or "about" not in value:
        raise ModelFileError(f"{path} is no model of this phase (format {FORMAT}); run the step `{made_by}` again")
    return value


def read(path: Path, mend: str, device: str | torch.device = "cpu") -> Any:
    if not path.exists():
        raise ModelFileError(f"{path} is not there: {mend}")
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch.load raises another class for every way in which a file can be damaged
        raise ModelFileError(f"{path} can't be read ({type(error).__name__}), it may be cut: {mend}") from None


def sha256(path: Path) -> str:
    """Of a file's content: how a child names its parent."""
    return str(describe(path)["sha256"])
