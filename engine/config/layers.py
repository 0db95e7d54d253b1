"""A phase's config in layers: `base.yaml`, the preset's overlay, `key=value` words. Merged here, checked elsewhere."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from engine.config.errors import ConfigError, nearest


def presets_of(configs: Path, phase: str) -> list[str]:
    """The presets that have an overlay, in the order smoke, cpu, then by name."""
    names = [f.stem for f in (configs / phase).glob("*.yaml") if f.stem != "base"]
    return sorted(names, key=lambda n: ({"smoke": 0, "cpu": 1}.get(n, 2), n))


def files_of(configs: Path, phase: str, preset: str) -> tuple[Path, Path]:
    """The layers that stand in files: what all presets share (it may be absent), and the preset's own."""
    return configs / phase / "base.yaml", configs / phase / f"{preset}.yaml"


def resolve(configs: Path, phase: str, preset: str, overrides: dict[str, Any] | None = None) -> dict[str, Any]:
    """base.yaml, the preset's overlay and the overrides, merged; not yet checked."""
    from engine.config.yaml_file import read_yaml

    base, overlay = files_of(configs, phase, preset)
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
    if text[:1] not in "[{":
        return text
    import yaml

    return yaml.safe_load(text)
