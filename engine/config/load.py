"""From the YAML that people write to one checked object; from a wrong YAML to one clear line.

    cfg = load_config(OuroborosConfig, phase="phase7-ouroboros", argv=sys.argv[1:])     # --preset cpu lr=1e-3

Inside a run (`$FRACTAL_SPEC`) the run's own resolved config is used, and what the command line says is refused: a run is
what its spec says. By hand, `configs/<phase>/base.yaml` is read, then the preset's overlay, then `key=value` words.
"""

from __future__ import annotations

import difflib
import json
import math
import os
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

M = TypeVar("M", bound=BaseModel)


class ConfigError(Exception):
    """A config that can't be used. The message names the file, the key and the nearest good key. Exit code 2."""


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


def parse_overrides(words: list[str]) -> dict[str, Any]:
    """`lr=1e-3 model.layers=4` as nested values."""
    found: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key.strip("-"):
            raise ConfigError(f"{word!r} is no override: write key=value, such as lr=1e-3")
        if key.lstrip("-") == "preset":
            raise ConfigError(f"{word!r} would change nothing: a preset is chosen with --preset {text}")
        target = found
        *parents, last = key.lstrip("-").split(".")
        for parent in parents:
            target = target.setdefault(parent, {})
            if not isinstance(target, dict):
                raise ConfigError(f"{word!r}: {parent!r} was given a value already, so it has no {last!r}")
        target[last] = scalar(text)
    return found


def scalar(text: str) -> Any:
    """One value as YAML reads it, but `1e-4` is a number (YAML 1.1 would call it a string) and `on` stays a word."""
    for read in (json.loads, float):
        try:
            value = read(text)
        except ValueError:
            continue
        return text if isinstance(value, float) and not math.isfinite(value) else value
    if text in ("true", "True", "false", "False"):
        return text.lower() == "true"
    if text in ("null", "None", "~", ""):
        return None
    return yaml.safe_load(text) if text[:1] in "[{" else text


def presets_of(configs: Path, phase: str) -> list[str]:
    """The presets that have an overlay, in the order smoke, cpu, then by name."""
    names = [f.stem for f in (configs / phase).glob("*.yaml") if f.stem != "base"]
    return sorted(names, key=lambda n: ({"smoke": 0, "cpu": 1}.get(n, 2), n))


def resolve(configs: Path, phase: str, preset: str, overrides: dict[str, Any] | None = None) -> dict[str, Any]:
    """base.yaml, the preset's overlay and the overrides, merged; not yet checked."""
    base = configs / phase / "base.yaml"
    overlay = configs / phase / f"{preset}.yaml"
    known = presets_of(configs, phase)
    if preset not in known:
        hint = nearest(preset, known)
        raise ConfigError(
            f"{phase} has no preset {preset!r}{hint}. It has: {', '.join(known) or 'none'} (configs/{phase}/*.yaml)"
        )
    merged = merge(read_yaml(base) if base.exists() else {}, read_yaml(overlay))
    return merge(merged, overrides or {}) | {"preset": preset}


def merge(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` laid on `under`, key by key; lists replace."""
    result = dict(under)
    for key, value in over.items():
        below = result.get(key)
        result[key] = merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping, its bare numbers such as 1e-4 as numbers."""
    try:
        value = _parsed(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist") from None
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise ConfigError(f"{where}: {getattr(error, 'problem', None) or error}") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: a mapping of keys is expected, found a {type(value).__name__}")
    return value


class _Rules:
    """YAML as people read it: `1e-4` is a number, `on`, `off`, `yes` and `no` are words, a key given twice is an error."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in pairs if tag != "tag:yaml.org,2002:bool"]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == "tag:yaml.org,2002:merge":
                continue  # `<<: *shared` may stand twice; a key that is a list gets YAML's own error below
            key = self.construct_object(key_node, deep=True)  # type: ignore[attr-defined]
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key!r} stands twice", problem_mark=key_node.start_mark)
            seen.add(key)
        made: dict[Any, Any] = super().construct_mapping(node, deep=deep)  # type: ignore[misc]
        return made


class _Loader(_Rules, yaml.SafeLoader):
    """Says most exactly where a file is wrong."""


_Quick: Any = None
"""The same over libyaml, six times quicker, where PyYAML was built with it."""
if hasattr(yaml, "CSafeLoader"):
    _Quick = type("_Quick", (_Rules, yaml.CSafeLoader), {})


def _parsed(text: str) -> Any:
    if _Quick is not None:
        try:
            return yaml.load(text, Loader=_Quick)
        except yaml.YAMLError:
            pass  # the other loader says it better
    return yaml.load(text, Loader=_Loader)


def _teach_numbers_and_booleans() -> None:
    import re

    numbers = re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9]*)?[eE][-+]?[0-9]+\Z")
    for loader in (_Loader, *([_Quick] if _Quick is not None else [])):
        loader.add_implicit_resolver("tag:yaml.org,2002:float", numbers, list("-+0123456789"))
        loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"(true|True|false|False)\Z"), list("tTfF"))


_teach_numbers_and_booleans()


def check(model: type[M], value: dict[str, Any], where: str) -> M:
    """The checked object, or one ConfigError that names file, key and nearest good key."""
    try:
        checked = model.model_validate(value)
    except ValidationError as error:
        raise ConfigError("\n".join(_said(model, where, e) for e in _telling(model, error.errors()))) from None
    for key, number in _strange(checked.model_dump(), ""):
        raise ConfigError(f"{where}: {key}: {number} is no number to compute with")
    return checked


def _telling(model: type[BaseModel], errors: list[Any]) -> list[Any]:
    """Unknown keys first; the key that a misspelt one was meant to be is missing because of it, and not told again."""
    unknown = [e for e in errors if e["type"] == "extra_forbidden"]
    meant = {
        (*e["loc"][:-1], key) for e in unknown for key in _closest(str(e["loc"][-1]), _keys_at(model, e["loc"][:-1]))
    }
    return unknown + [e for e in errors if e not in unknown and not (e["type"] == "missing" and e["loc"] in meant)]


def _strange(value: Any, key: str) -> list[tuple[str, float]]:
    """NaN and infinities: a run's config is JSON, which has no words for them."""
    if isinstance(value, float):
        return [] if math.isfinite(value) else [(key, value)]
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    return [found for name, one in inner for found in _strange(one, f"{key}.{name}" if key else str(name))]


def _said(model: type[BaseModel], where: str, error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        good = _keys_at(model, error["loc"][:-1])
        return f"{where}: unknown key {key!r}{nearest(str(error['loc'][-1]), good)}"
    if error["type"] == "missing":
        return f"{where}: the key {key!r} is missing"
    message = error["msg"].removeprefix("Value error, ")
    found = error["input"]
    shown = "" if isinstance(found, (dict, list)) else f" (found {found!r})"
    return f"{where}: {key}: {message}{shown}" if key else f"{where}: {message}"


def _keys_at(model: type[BaseModel], loc: tuple[Any, ...]) -> list[str]:
    """The good keys of the model that `loc` leads to."""
    here: Any = model
    for part in loc:
        if isinstance(part, int):
            continue
        field = getattr(here, "model_fields", {}).get(part)
        here = _model_in(field.annotation) if field is not None else here
        if here is None:
            return []
    return list(getattr(here, "model_fields", {}))


def _model_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _model_in(inner)
        if found is not None:
            return found
    return None


def nearest(word: str, good: list[str]) -> str:
    """`; did you mean 'x'?`, or nothing."""
    close = _closest(word, good)
    return f"; did you mean {close[0]!r}?" if close else ""


def _closest(word: str, good: list[str]) -> list[str]:
    return difflib.get_close_matches(word, good, n=1, cutoff=0.5)


def work_dir(phase: str, cfg: Config) -> Path:
    """Where this phase's files lie: the run's work folder, or `work/<phase>/<preset>` by hand."""
    folder = Path(os.environ.get("FRACTAL_WORK") or Path("work") / phase / cfg.preset)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
