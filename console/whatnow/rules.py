"""The table of what can go wrong and the way out: the project's own rules first, then the built-in ones.

The form is told at the top of `built-in.yaml`. A table that is wrong is one clear line with the rule named; it never hides
the built-in ones.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from engine.config.load import check
from engine.config.yaml_file import read_yaml

_FORM = ConfigDict(frozen=True, extra="forbid")


def _listed(value: object) -> object:
    return value if isinstance(value, list) else [value]


Words = Annotated[list[str], BeforeValidator(_listed)]


class When(BaseModel):
    """Conditions that must all hold; what is not said holds."""

    model_config = _FORM

    state: Words = []
    cause: Words = []
    host: Words = []
    reason: str | None = None
    log: str | None = None
    metric: Literal["nan"] | None = None

    @field_validator("reason", "log")
    @classmethod
    def _a_pattern(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "", re.M)
        except re.error as error:
            raise ValueError(f"is no regular expression: {error}") from None
        return value


class Rule(BaseModel):
    """One thing that can go wrong."""

    model_config = _FORM

    name: str
    when: Annotated[list[When], BeforeValidator(_listed), Field(min_length=1)]
    says: str
    do: list[str] = []
    lower: list[str] = []


class Table(BaseModel):
    """A whole file."""

    model_config = _FORM

    rules: list[Rule] = []


def built_in() -> list[Rule]:
    return read_rules(Path(__file__).parent / "built-in.yaml")


def read_rules(path: Path) -> list[Rule]:
    """The rules of one file; `ConfigError` names what is wrong in it."""
    return check(Table, read_yaml(path), str(path)).rules


def rules_of(configs: Path) -> list[Rule]:
    """Those of a project, then the built-in ones."""
    own = configs / "what-now.yaml"
    return [*(read_rules(own) if own.exists() else []), *built_in()]
