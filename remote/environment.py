"""The Python environment of a project on this machine: is what a phase needs installed, and how it is installed.

Decides with the standard library only; installing is `pip` in the project's own environment, its lines handed on as they come.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# What stands for an extra: the module whose absence means that it is not installed. Sizes measured on Linux x86-64 (see docs).
_WITNESS = {"engine": "torch", "gpu": "vllm"}
_SIZE = {
    "engine": "about 1.7 GB on disk with a CPU build of torch, 6 GB with a CUDA build",
    "gpu": "about 10 GB on disk",
}


# Of pip's lines, those that say how far it is.
_TELLING = ("Collecting ", "  Downloading ", "Downloading ", "Installing ", "Successfully installed", "ERROR")


@dataclass(frozen=True)
class Missing:
    """An extra that is not installed."""

    extra: str
    size: str
    argv: tuple[str, ...]
    folder: Path

    def words(self) -> str:
        return f"This step needs the {self.extra} part, which is not installed ({self.size})."


def missing_extra(python: Path, extra: str | None, folder: Path) -> Missing | None:
    """What must be installed before a step can run with this python; None where nothing is missing."""
    if extra is None or _installed(python, _WITNESS.get(extra, extra)):
        return None
    constraints = ["-c", "constraints.txt"] if (folder / "constraints.txt").exists() else []
    argv = (str(python), "-m", "pip", "install", "--progress-bar", "off", *constraints, "-e", f".[{extra}]")
    return Missing(extra, _SIZE.get(extra, "of unknown size"), argv, folder)


def _installed(python: Path, module: str) -> bool:
    """Is there a package of this name in the environment? Looked up on disk: importing torch would take seconds."""
    environment = python.parent.parent
    return any((site / module).is_dir() for site in environment.glob("lib*/python3*/site-packages"))


def install(missing: Missing) -> Iterator[str]:
    """Install it; yields pip's lines that tell how far it is; raises RuntimeError with what to do where pip fails."""
    process = subprocess.Popen(
        missing.argv, cwd=missing.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    last = ""
    assert process.stdout is not None
    with process:
        for line in process.stdout:
            last = line.strip() or last
            if line.startswith(_TELLING):
                yield line.rstrip()
    if process.returncode != 0:
        raise RuntimeError(f"installing the {missing.extra} part failed: {last}. Try again: {' '.join(missing.argv)}")
