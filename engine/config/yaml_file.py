"""YAML as people write it: `1e-4` is a number, `on`, `off`, `yes` and `no` are words, a key given twice is an error."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from engine.config.errors import ConfigError


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
    """See above."""

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
    numbers = re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9]*)?[eE][-+]?[0-9]+\Z")
    for loader in (_Loader, *([_Quick] if _Quick is not None else [])):
        loader.add_implicit_resolver("tag:yaml.org,2002:float", numbers, list("-+0123456789"))
        loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"(true|True|false|False)\Z"), list("tTfF"))


_teach_numbers_and_booleans()
