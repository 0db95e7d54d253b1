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
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from engine.config.errors import ConfigError, nearest

if TYPE_CHECKING:
    from console.checked import Checked

_EXACT = {"extra": "forbid"}  # for pydantic, which checks these when the file is read: an unknown key is an error


def _about(
    words: str, least: float | None = None, most: float | None = None, *, above: float | None = None
) -> dict[str, Any]:
    """What a key means, and the numbers that it may be: `above` is not itself among them."""
    return {"words": words, "least": least, "most": most, "above": above}


@dataclass(frozen=True)
class LaunchCaps:
    """What the launch dialog of Instances begins with."""

    __pydantic_config__ = _EXACT

    max_hours: float = field(default=4.0, metadata=_about("hours after which a rented machine is ended", above=0))
    max_usd: float | None = field(
        default=None, metadata=_about("dollars after which it is ended; null is what the hours cost", above=0)
    )
    idle_minutes: float = field(
        default=30.0, metadata=_about("minutes without use after which it is ended; 0 is never", 0)
    )


@dataclass(frozen=True)
class Settings:
    """What a user may choose. Everything has a default; nothing here changes what a run does."""

    __pydantic_config__ = _EXACT

    theme: str | None = field(
        default=None, metadata=_about("a theme's name; null keeps what was chosen in the palette last")
    )
    keymap: dict[str, str] = field(
        default_factory=dict, metadata=_about("other keys, by id: {run.stop: S}; ids: fractal-console settings keys")
    )
    notify: Literal["screen", "bell", "desktop", "off"] = field(
        default="screen",
        metadata=_about(
            "how a check that ticks is announced: on screen, also by bell, also by the desktop, not at all"
        ),
    )
    confirm: list[Literal["stop", "quit"]] = field(
        default_factory=lambda: ["stop"],
        metadata=_about("what is asked about first (terminating a machine and deleting always are)"),
    )
    fps: int = field(default=30, metadata=_about("frames a second at most; 5 is kind to a slow link", 1, 60))
    look_every_s: float = field(default=1.0, metadata=_about("seconds between looks at phases and runs", 0.2, 60))
    animations: bool | None = field(default=None, metadata=_about("smooth scrolling and fades; null is: not over SSH"))
    mouse: bool = field(default=True, metadata=_about("false leaves the mouse to the terminal, for selecting text"))
    plain: bool = field(
        default=False, metadata=_about("for screen readers: words and numbers, no boxes, no drawings (--plain)")
    )
    readonly: bool = field(
        default=False, metadata=_about("only look; whatever would change something is refused (--readonly)")
    )
    launch: LaunchCaps = field(
        default_factory=LaunchCaps, metadata=_about("caps that the launch dialog of Instances begins with")
    )


def settings_file(root: Path) -> Path:
    return root / "settings.yaml"


def load_settings(root: Path, checked: Checked | None = None) -> Settings:
    """The settings of the user of this root; ConfigError with file, key and nearest good key."""
    file = settings_file(root)
    if not file.exists():
        return Settings()
    if (
        checked is None or b"readonly" in file.read_bytes()
    ):  # who only looks leaves nothing behind, not even what was read
        return _read(file)
    body = checked.of(("settings", str(file)), [file], lambda: asdict(_read(file)))
    return Settings(**body | {"launch": LaunchCaps(**body["launch"])})


def _read(file: Path) -> Settings:
    from engine.config.load import check
    from engine.config.yaml_file import read_yaml

    settings = check(Settings, read_yaml(file), str(file))
    for problem in (*_out_of_range(settings, ""), *_unknown_keys(settings.keymap)):
        raise ConfigError(f"{file}: {problem}")
    return settings


def _out_of_range(part: Settings | LaunchCaps, prefix: str) -> list[str]:
    """What is wrong with its numbers."""
    found = []
    for one in fields(part):
        value, about = getattr(part, one.name), one.metadata
        if isinstance(value, LaunchCaps):
            found += _out_of_range(value, f"{one.name}.")
        elif value is not None and about["above"] is not None and value <= about["above"]:
            found.append(f"{prefix}{one.name}: must be more than {about['above']:g} (found {value:g})")
        elif value is not None and about["least"] is not None and value < about["least"]:
            found.append(f"{prefix}{one.name}: must be {about['least']:g} or more (found {value:g})")
        elif value is not None and about["most"] is not None and value > about["most"]:
            found.append(f"{prefix}{one.name}: must be {about['most']:g} or less (found {value:g})")
    return found


def _unknown_keys(keymap: Mapping[str, str]) -> list[str]:
    from console.keys import ids

    known = ids()
    return [f"keymap: no key has the id {name!r}{nearest(name, list(known))}" for name in keymap if name not in known]


def settings_or_default(root: Path, checked: Checked | None = None) -> tuple[Settings, str | None]:
    """For the screen, which must open all the same: the settings, and what is wrong with them."""
    try:
        return load_settings(root, checked), None
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


def _lines(part: Settings | LaunchCaps, indent: str) -> list[str]:
    import json

    lines = []
    for one in fields(part):
        value: Any = getattr(part, one.name)
        lines.append(f"{indent}# {one.metadata['words']}\n")
        if isinstance(value, LaunchCaps):
            lines += [f"{indent}{one.name}:\n", *_lines(value, indent + "  ")]
        else:
            lines.append(f"{indent}{one.name}: {json.dumps(value)}\n")
    return lines


def prepare_terminal(settings: Settings) -> None:
    """Before Textual is imported: it reads these once."""
    os.environ.update(terminal_wishes(settings, os.environ))
