"""A phase at a preset: which presets there are, and the checked config of one with its overrides. Decides; starts nothing."""

from __future__ import annotations

import getpass
import importlib
import json
import re
import shlex
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.errors import UserError
from engine.config.errors import ConfigError, nearest
from engine.config.layers import files_of, merge, presets_of, resolve
from engine.protocol.spec import hash_of

if TYPE_CHECKING:
    from console.project import Project
    from engine.config.phase import Phase, Step


@dataclass(frozen=True)
class Resolved:
    """One phase at one preset with its overrides: the config, and what names and identifies it."""

    preset: str
    overrides: dict[str, Any]
    config: dict[str, Any]
    variant: str

    @property
    def config_hash(self) -> str:
        return hash_of(self.config)

    @property
    def family(self) -> str:
        """What the runs of one experiment with several seeds share."""
        return hash_of({k: v for k, v in self.config.items() if k != "seed"})

    @property
    def seed(self) -> int | None:
        seed = self.config.get("seed")
        return seed if isinstance(seed, int) else None


def all_presets(project: Project, phase: Phase) -> list[str]:
    """Presets with a file and those stated in the phase file; smoke and cpu first."""
    names = dict.fromkeys([*presets_of(project.configs, phase.phase), *phase.presets]) or {"default": None}
    return sorted(names, key=lambda n: {"smoke": 0, "cpu": 1}.get(n, 2))


def default_preset(project: Project, phase: Phase) -> str:
    """What the phase says, else `cpu`, else its first."""
    names = all_presets(project, phase)
    if phase.default_preset in names:
        return str(phase.default_preset)
    return "cpu" if "cpu" in names else names[0]


def resolve_config(project: Project, phase: Phase, preset: str, overrides: dict[str, Any] | None = None) -> Resolved:
    """The checked config of a phase at a preset, or one clear error."""
    overrides = overrides or {}
    names = all_presets(project, phase)
    if preset not in names:
        raise UserError(f"{phase.phase} has no preset {preset!r}{nearest(preset, names)}. It has: {', '.join(names)}")
    try:
        if overrides:
            config = _made_config(project, phase, preset, overrides)
        else:
            config = _kept_config(project, phase, preset)
    except ConfigError as error:
        raise UserError(str(error)) from None
    return Resolved(preset, overrides, config, variant_name(preset, overrides))


def _kept_config(project: Project, phase: Phase, preset: str) -> dict[str, Any]:
    """The config of a preset as it is, made once for the same files. A model of the project's own is asked each time: what it
    depends on is not known here."""

    def make() -> dict[str, Any]:
        return _made_config(project, phase, preset, {})

    if phase.config is not None and not phase.config.startswith("engine.config."):
        return make()
    about = ("config", phase.phase, phase.config, preset, phase.presets.get(preset))
    config: dict[str, Any] = project.checked.of(about, files_of(project.configs, phase.phase, preset), make)
    return config


def _made_config(project: Project, phase: Phase, preset: str, overrides: dict[str, Any]) -> dict[str, Any]:
    where = f"configs/{phase.phase} at {preset}"
    raw = _raw_config(project, phase, preset, overrides)
    if phase.config is None:
        _no_slip(phase, _raw_config(project, phase, preset, {}), overrides, where)
    return _checked(phase, raw, where)


def _raw_config(project: Project, phase: Phase, preset: str, overrides: dict[str, Any]) -> dict[str, Any]:
    stated = phase.presets.get(preset, {})
    if preset in presets_of(project.configs, phase.phase):
        return merge(merge(resolve(project.configs, phase.phase, preset), stated), overrides)
    return merge(stated, overrides) | {"preset": preset}


def _no_slip(phase: Phase, raw: dict[str, Any], overrides: dict[str, Any], where: str) -> None:
    """Without a model any key may be new, as a program may read it; one that is nearly a known key is a slip."""
    used = {word for step in phase.steps for word in re.findall(r"\{([A-Za-z_][\w.]*)\}", step.run)}
    known = {key for key, _ in _flat(raw)} | used | {"seed", "wandb.mode", "wandb.project", "wandb.name", "wandb.tags"}
    for key, _ in _flat(overrides):
        hint = "" if key in known or any(k.startswith(f"{key}.") for k in known) else nearest(key, sorted(known))
        if hint:
            raise ConfigError(f"{where}: unknown key {key!r}{hint}")


def _checked(phase: Phase, raw: dict[str, Any], where: str) -> dict[str, Any]:
    if phase.config is None:
        return raw

    from engine.config.load import check

    module, _, name = phase.config.partition(":")
    try:
        model = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"configs/phases/{phase.phase}.yaml: `config: {phase.config}` can't be loaded ({error})"
        ) from None
    value: dict[str, Any] = json.loads(check(model, raw, where).model_dump_json())
    return value


def variant_name(preset: str, overrides: dict[str, Any]) -> str:
    """`cpu`, or `cpu+lr=0.001,seed=1`: other overrides, another work folder, so that files never mix."""
    if not overrides:
        return preset
    words = ",".join(sorted(f"{k}={v}" for k, v in _flat(overrides)))
    if len(words) > 60 or re.search(r"[^A-Za-z0-9._=,-]", words) or ".." in words:
        words = hash_of(overrides)
    return f"{preset}+{words}"


def _flat(value: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, inner in value.items():
        found += _flat(inner, f"{prefix}{key}.") if isinstance(inner, dict) else [(f"{prefix}{key}", inner)]
    return found


def differing(base: dict[str, Any], made: dict[str, Any]) -> dict[str, Any]:
    """The overrides that lead from one resolved config to another."""
    found: dict[str, Any] = {}
    for key, value in made.items():
        below = base.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            if inner := differing(below, value):
                found[key] = inner
        elif key not in base or below != value:
            found[key] = value
    return found


def missing_code(step: Step, folder: Path) -> str | None:
    """Which file of the project this step would run and does not exist; None where it does or can't be told."""
    try:
        words = shlex.split(step.run)
    except ValueError:
        return None
    while words and "=" in words[0]:
        words = words[1:]
    if len(words) < 2 or not re.fullmatch(r"(\S*/)?(python[\d.]*|torchrun)", words[0]):
        return None
    if words[1] == "-m" and len(words) > 2:
        path = words[2].replace(".", "/")
        package = (folder / path.split("/")[0]).is_dir()
        exists = (folder / f"{path}.py").exists() or (folder / path / "__main__.py").exists()
        return f"{path}.py" if package and not exists else None
    script = next((w for w in words[1:] if w.endswith(".py")), None)
    return script if script and not Path(script).is_absolute() and not (folder / script).exists() else None


def whoami() -> str:
    """Who says so: `user@machine`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "somebody"
    return f"{user}@{socket.gethostname()}"
