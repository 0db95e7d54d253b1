"""The user's settings: `<root>/settings.yaml`, every key optional, an unknown one refused with the nearest good one.

    theme: nord
    keymap: {phases.launch_step: x, run.stop: "S,ctrl+s"}
    notify: bell
    launch: {max_hours: 2, max_usd: 5}

Read once at the start and handed on; `fractal-console settings` prints what holds and documents every key.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from engine.config.load import ConfigError, check, nearest, read_yaml


class LaunchCaps(BaseModel):
    """What the launch dialog of Instances begins with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_hours: float = Field(4.0, gt=0, description="hours after which a rented machine is ended")
    max_usd: float | None = Field(
        None, gt=0, description="dollars after which it is ended; null is what the hours cost"
    )
    idle_minutes: float = Field(30.0, ge=0, description="minutes without use after which it is ended; 0 is never")


class Settings(BaseModel):
    """What a user may choose. Everything has a default; nothing here changes what a run does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    theme: str | None = Field(None, description="a theme's name; null keeps what was chosen in the palette last")
    keymap: dict[str, str] = Field(
        {}, description="other keys, by id: {run.stop: S}; ids: fractal-console settings keys"
    )
    notify: Literal["screen", "bell", "desktop", "off"] = Field(
        "screen",
        description="how a check that ticks is announced: on screen, also by bell, also by the desktop, not at all",
    )
    confirm: list[Literal["stop", "quit"]] = Field(
        ["stop"], description="what is asked about first (terminating a machine and deleting always are)"
    )
    fps: int = Field(30, ge=1, le=60, description="frames a second at most; 5 is kind to a slow link")
    look_every_s: float = Field(1.0, ge=0.2, le=60, description="seconds between looks at phases and runs")
    animations: bool | None = Field(None, description="smooth scrolling and fades; null is: not over SSH")
    mouse: bool = Field(True, description="false leaves the mouse to the terminal, for selecting text")
    plain: bool = Field(False, description="for screen readers: words and numbers, no boxes, no drawings (--plain)")
    readonly: bool = Field(False, description="only look; whatever would change something is refused (--readonly)")
    launch: LaunchCaps = Field(LaunchCaps(), description="caps that the launch dialog of Instances begins with")

    @field_validator("keymap")
    @classmethod
    def _known_ids(cls, keymap: dict[str, str]) -> dict[str, str]:
        from console.keys import ids

        known = ids()
        for name in keymap:
            if name not in known:
                raise ValueError(f"no key has the id {name!r}{nearest(name, list(known))}")
        return keymap


def settings_file(root: Path) -> Path:
    return root / "settings.yaml"


def load_settings(root: Path) -> Settings:
    """The settings of the user of this root; ConfigError with file, key and nearest good key."""
    file = settings_file(root)
    return check(Settings, read_yaml(file), str(file)) if file.exists() else Settings()


def settings_or_default(root: Path) -> tuple[Settings, str | None]:
    """For the screen, which must open all the same: the settings, and what is wrong with them."""
    try:
        return load_settings(root), None
    except ConfigError as error:
        return Settings(), f"{error}; the defaults hold until it is mended"


def terminal_wishes(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """What Textual reads from the environment when it is imported; what the user exported stays."""
    calm = (
        settings.animations is False or (settings.animations is None and "SSH_CONNECTION" in environ) or settings.plain
    )
    wishes = {"TEXTUAL_FPS": str(settings.fps)}
    if calm:
        wishes |= {"TEXTUAL_ANIMATIONS": "none", "TEXTUAL_SMOOTH_SCROLL": "0"}
    return {name: value for name, value in wishes.items() if name not in environ}


def first_theme(settings: Settings, remembered: str | None, environ: Mapping[str, str]) -> str:
    """The file's theme, else the one chosen last, else one that suits the terminal's background."""
    return settings.theme or remembered or ("textual-light" if _is_light(environ) else "textual-dark")


def _is_light(environ: Mapping[str, str]) -> bool:
    """Terminals that say what they are put `foreground;background` into COLORFGBG; 7 and 15 are light grounds."""
    return environ.get("COLORFGBG", "").rpartition(";")[2] in ("7", "15")


def as_yaml(settings: Settings) -> str:
    """What holds, as a file that could be `settings.yaml`, each key with what it means."""
    return "".join(_lines(settings, ""))


def _lines(model: BaseModel, indent: str) -> list[str]:
    import json

    lines = []
    for name, field in type(model).model_fields.items():
        value: Any = getattr(model, name)
        lines.append(f"{indent}# {field.description}\n")
        if isinstance(value, BaseModel):
            lines += [f"{indent}{name}:\n", *_lines(value, indent + "  ")]
        else:
            lines.append(f"{indent}{name}: {json.dumps(value)}\n")
    return lines


def prepare_terminal(settings: Settings) -> None:
    """Before Textual is imported: it reads these once."""
    os.environ.update(terminal_wishes(settings, os.environ))
