"""From the YAML that people write to one checked object; from a wrong YAML to one clear line. Brings pydantic.

    cfg = load_config(OuroborosConfig, phase="phase7-ouroboros", argv=sys.argv[1:])     # --preset cpu lr=1e-3

Inside a run (`$FRACTAL_SPEC`) the run's own resolved config is used, and what the command line says is refused: a run is
what its spec says. By hand, `configs/<phase>/base.yaml` is read, then the preset's overlay, then `key=value` words.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from engine.config.errors import ConfigError, closest, nearest
from engine.config.layers import parse_overrides, resolve

M = TypeVar("M")
_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
"""What pydantic calls a key that does not exist: in its own models, in plain dataclasses."""


class Wandb(BaseModel):
    """Whether and how a run is mirrored to Weights & Biases; its own files stay the source of truth."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Literal["off", "offline", "online"] = "off"
    project: str = "fractal"
    name: str | None = None
    tags: list[str] = []


class Config(BaseModel):
    """What every step's config has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: str
    seed: int = 0
    wandb: Wandb = Wandb()


def load_config(model: type[M], phase: str, argv: list[str]) -> M:
    """The config of this process: the run's own inside a run, else from the YAML files and the command line."""
    spec = os.environ.get("FRACTAL_SPEC")
    if spec:
        if argv:
            raise ConfigError(f"inside a run the config is the spec's; these words would change it: {' '.join(argv)}")
        return check(model, json.loads(Path(spec).read_bytes())["config"], spec)
    preset, overrides = _words(argv)
    return check(model, resolve(Path("configs"), phase, preset, overrides), f"configs/{phase} at {preset}")


def _words(argv: list[str]) -> tuple[str, dict[str, Any]]:
    preset = "cpu"
    rest = [word for given in argv for word in (given.split("=", 1) if given.startswith("--preset=") else [given])]
    if "--preset" in rest:
        at = rest.index("--preset")
        if at + 1 >= len(rest):
            raise ConfigError("--preset needs a name, such as: --preset cpu")
        preset = rest[at + 1]
        del rest[at : at + 2]
    return preset, parse_overrides(rest)


def check(model: type[M], value: dict[str, Any], where: str) -> M:
    """The checked object, of a pydantic model or a plain dataclass; or one ConfigError with file, key and nearest good key."""
    adapter = TypeAdapter(model)
    try:
        checked = adapter.validate_python(value)
    except ValidationError as error:
        raise ConfigError("\n".join(_said(model, where, e) for e in _telling(model, error.errors()))) from None
    for key, number in _strange(adapter.dump_python(checked), ""):
        raise ConfigError(f"{where}: {key}: {number} is no number to compute with")
    return checked


def _telling(model: type[Any], errors: list[Any]) -> list[Any]:
    """Unknown keys first; the key that a misspelt one was meant to be is missing because of it, and not told again."""
    unknown = [e for e in errors if e["type"] in _UNKNOWN]
    meant = {
        (*e["loc"][:-1], key) for e in unknown for key in closest(str(e["loc"][-1]), _keys_at(model, e["loc"][:-1]))
    }
    return unknown + [e for e in errors if e not in unknown and not (e["type"] == "missing" and e["loc"] in meant)]


def _strange(value: Any, key: str) -> list[tuple[str, float]]:
    """NaN and infinities: a run's config is JSON, which has no words for them."""
    if isinstance(value, float):
        return [] if math.isfinite(value) else [(key, value)]
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    return [found for name, one in inner for found in _strange(one, f"{key}.{name}" if key else str(name))]


def _said(model: type[Any], where: str, error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] in _UNKNOWN:
        good = _keys_at(model, error["loc"][:-1])
        return f"{where}: unknown key {key!r}{nearest(str(error['loc'][-1]), good)}"
    if error["type"] == "missing":
        return f"{where}: the key {key!r} is missing"
    message = error["msg"].removeprefix("Value error, ")
    found = error["input"]
    shown = "" if isinstance(found, (dict, list)) else f" (found {found!r})"
    return f"{where}: {key}: {message}{shown}" if key else f"{where}: {message}"


def _keys_at(model: type[Any], loc: tuple[Any, ...]) -> list[str]:
    """The good keys of the model that `loc` leads to."""
    here: Any = model
    for part in loc:
        if isinstance(part, int):
            continue
        annotation = _keys_of(here).get(part)
        here = _model_in(annotation) if annotation is not None else here
        if here is None:
            return []
    return list(_keys_of(here))


def _keys_of(model: type[Any]) -> dict[str, Any]:
    """Each key of a pydantic model or a plain dataclass, and what may stand there."""
    if is_dataclass(model):
        return get_type_hints(model)
    return {name: field.annotation for name, field in getattr(model, "model_fields", {}).items()}


def _model_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and (is_dataclass(annotation) or issubclass(annotation, BaseModel)):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _model_in(inner)
        if found is not None:
            return found
    return None


def work_dir(phase: str, cfg: Config) -> Path:
    """Where this phase's files lie: the run's work folder, or `work/<phase>/<preset>` by hand."""
    folder = Path(os.environ.get("FRACTAL_WORK") or Path("work") / phase / cfg.preset)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
