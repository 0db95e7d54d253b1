"""Fetch the reference at its commit onto this host, with its pinned versions, and hold our model against it.

    python -m engine.coconut.reference --preset h100            # clone, environment, parity; writes parity.json
    python -m engine.coconut.reference --data-only --preset h100    # only its data files, for verify_data

Nothing of it enters this repository: it is cloned into the host's work folder. Parity is of the continuous mode as published.
The pause modes need a patched reference; `python -m engine.coconut.parity --reference PATH` takes any checkout.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from engine import runlog
from engine.coconut.errors import said_once
from engine.config.coconut import PHASE, CoconutConfig
from engine.config.load import load_config, work_dir
from engine.data.prosqa import SPLITS, DataError, file_name

SOURCE = "https://github.com/facebookresearch/coconut"
COMMIT = "27273cb"
PINNED = ("transformers==4.46.2", "torch==2.5.1", "numpy==2.1.3", "datasets==3.1.0", "scikit-learn")
OURS = ("pydantic>=2.11,<3", "pyyaml>=6")
"""What our side of the comparison needs in that environment."""


@dataclass(frozen=True)
class Command:
    """One thing to do, and what to say where it fails."""

    argv: tuple[str, ...]
    hint: str


def cloning(folder: Path, source: str = SOURCE, commit: str = COMMIT) -> list[Command]:
    """How the checkout comes about; nothing where it is there."""
    if (folder / ".git").exists():
        return []
    return [
        Command(("git", "clone", "--quiet", source, str(folder)), f"is {source} reachable from this host?"),
        Command(("git", "-C", str(folder), "checkout", "--quiet", commit), f"does {source} have the commit {commit}?"),
    ]


def comparing(folder: Path, environment: Path, python: str) -> list[Command]:
    """The pinned environment and parity inside it."""
    inside = str(environment / "bin" / "python")
    made = (
        [] if environment.exists() else [Command((python, "-m", "venv", str(environment)), "apt install python3-venv")]
    )
    return [
        *made,
        Command((inside, "-m", "pip", "install", "--quiet", *PINNED, *OURS), "torch 2.5.1 wants Python 3.9 to 3.12"),
        Command(
            (inside, "-m", "engine.coconut.parity", "--reference", str(folder), "--tolerance", "1e-4"), "see above"
        ),
    ]


def do(command: Command, env: dict[str, str] | None = None) -> str:
    """Run one command, its output shown; the error carries its last words."""
    print(f"$ {' '.join(command.argv)}", flush=True)
    done = subprocess.run(command.argv, capture_output=True, text=True, env=env)
    print(done.stdout, end="", flush=True)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise DataError(
            f"{' '.join(command.argv[:4])} … ended with {done.returncode}: {' '.join(last)} ({command.hint})"
        )
    return done.stdout


def versions(python: Path) -> dict[str, str]:
    """What is installed in the pinned environment, by its own account."""
    listed = do(Command((str(python), "-m", "pip", "list", "--format", "json"), "is pip there?"))
    wanted = {pin.partition("=")[0] for pin in PINNED}
    return {row["name"].lower(): row["version"] for row in json.loads(listed) if row["name"].lower() in wanted}


def main(argv: list[str]) -> None:
    data_only = "--data-only" in argv
    cfg = load_config(CoconutConfig, PHASE, [word for word in argv if word != "--data-only"])
    out = work_dir(PHASE, cfg)
    folder = out / "reference"
    for command in cloning(folder):
        do(command)
    missing = [file_name(split) for split in SPLITS if not (folder / "data" / file_name(split)).exists()]
    runlog.fact("reference/data_complete", not missing)
    print(f"data in {folder / 'data'}" + (f", without {', '.join(missing)}" if missing else ""))
    if data_only:
        return
    environment = out / "reference-env"
    env = {name: value for name, value in os.environ.items() if name != "FRACTAL_EVENTS"} | {"PYTHONPATH": os.getcwd()}
    said = [do(command, env) for command in comparing(folder, environment, sys.executable)]
    report(out, said[-1], versions(environment / "bin" / "python"))


def report(out: Path, said: str, found: dict[str, str]) -> None:
    """The differences as facts of this run, and the versions that they were taken with."""
    lines = [line.replace(",", "").split() for line in said.splitlines() if line.startswith("stage ")]
    loss, gradient = max(float(words[5]) for words in lines), max(float(words[-1]) for words in lines)
    runlog.fact("parity/loss_difference", loss)
    runlog.fact("parity/gradient_difference", gradient)
    for name, version in found.items():
        runlog.fact(f"reference/version/{name}", version)
    path = out / "parity.json"
    path.write_text(json.dumps({"loss": loss, "gradient": gradient, "versions": found}, indent=1), encoding="utf-8")
    runlog.artifact(path)


if __name__ == "__main__":
    with said_once():
        main(sys.argv[1:])
