"""The project that the console works on: a folder with `configs/phases/`, its phases, and its source."""

from __future__ import annotations

import os
import re
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from console.checked import Checked
from console.errors import UserError

if TYPE_CHECKING:
    from engine.config.phase import Phase, Phases


@dataclass(frozen=True)
class Project:
    """One project on this machine."""

    folder: Path
    checked: Checked = field(default_factory=Checked, compare=False, repr=False)
    """What of its configs needs no second reading."""

    @property
    def name(self) -> str:
        """What names its work folder: the folder's own name, made safe."""
        return re.sub(r"[^A-Za-z0-9._-]", "-", self.folder.name).lstrip(".-") or "project"

    @property
    def configs(self) -> Path:
        return self.folder / "configs"

    @cached_property
    def phases(self) -> Phases:
        from engine.config.phase_file import load_phases

        return load_phases(self.configs, self._phase)

    def _phase(self, file: Path) -> Phase:
        from engine.config.phase import phase_of
        from engine.config.phase_file import load_phase

        return phase_of(self.checked.of(("phase", str(file)), [file], lambda: asdict(load_phase(file))))

    @property
    def bin(self) -> Path | None:
        """The project's own virtual environment, where it has one."""
        for name in (".venv", "venv"):
            if (self.folder / name / "bin" / "python").exists():
                return self.folder / name / "bin"
        return None


def find_project(start: Path | None = None) -> Project:
    """The project around `start`: `$FRACTAL_PROJECT`, the nearest folder above with phases, else this checkout."""
    stated = os.environ.get("FRACTAL_PROJECT")
    if stated:
        return _stated(Path(stated).expanduser())
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if _has_phases(folder):
            return Project(folder)
    own = Path(__file__).resolve().parent.parent
    if _has_phases(own):
        return Project(own)
    raise UserError(f"no phases in {here} or above it. Make the first one: fractal-console init")


def _stated(folder: Path) -> Project:
    if not _has_phases(folder):
        raise UserError(f"$FRACTAL_PROJECT is {folder}, which has no configs/phases/*.yaml")
    return Project(folder.resolve())


def _has_phases(folder: Path) -> bool:
    return any((folder / "configs" / "phases").glob("*.yaml"))
