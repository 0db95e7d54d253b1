"""Fetch the reference at its commit onto this host, patch a copy, and hold our model against it in all three modes.

    python -m engine.coconut.reference --preset h100            # clone, patch, environment, parity; writes parity.json
    python -m engine.coconut.reference --data-only --preset h100    # only its data files, for verify_data

Nothing of it enters this repository: `reference/` in the host's work folder stays as published, `fork/` beside it has the three
patches of `engine.coconut.fork`. Refuses a checkout of another commit, one that was edited, and a fork that holds more than them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import runlog
from engine.coconut import fork
from engine.coconut.errors import said_once
from engine.config.coconut import PHASE, CoconutConfig
from engine.config.load import load_config, work_dir
from engine.data.prosqa import SPLITS, DataError, file_name

SOURCE = "https://github.com/facebookresearch/coconut"
COMMIT = "27273cb"
PINNED = ("transformers==4.46.2", "torch==2.5.1", "numpy==2.1.3", "datasets==3.1.0", "scikit-learn")
OURS = ("pydantic>=2.11,<3", "pyyaml>=6")
"""What our side of the comparison needs in that environment."""
PATCHED = ("coconut.py", "run.py")


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


def git(folder: Path, *words: str) -> str:
    return do(Command(("git", "-C", str(folder), *words), f"is {folder} a checkout?"), quiet=True).strip()


def refuse_other(folder: Path, commit: str = COMMIT) -> None:
    """Raise unless the checkout is the commit, untouched where we read it."""
    found = git(folder, "rev-parse", "HEAD")
    again = f"move {folder} away and run this step again"
    if not found.startswith(commit):
        raise DataError(f"{folder} is at {found[:12]}, not at {commit}; {again}")
    missing = [name for name in PATCHED if not (folder / name).exists()]
    if missing:
        raise DataError(f"{folder} at {commit} has no {missing[0]}; is {SOURCE} still what it was? Else {again}")
    edited = git(folder, "status", "--porcelain", "--", *PATCHED)
    if edited:
        raise DataError(f"{folder} was edited ({' '.join(edited.split())}); {again}")


def make_fork(folder: Path, into: Path) -> None:
    """A copy of the checkout with the patches and nothing else; one that is there and is just that stays."""
    if not into.exists():
        do(Command(("git", "clone", "--quiet", str(folder), str(into)), "is there room on the disk?"))
        do(Command(("git", "-C", str(into), "checkout", "--quiet", git(folder, "rev-parse", "HEAD")), "see above"))
    for name in PATCHED:
        published = (folder / name).read_text(encoding="utf-8")
        wanted, found = fork.patched(name, published), (into / name).read_text(encoding="utf-8")
        if found == published:
            (into / name).write_text(wanted, encoding="utf-8")
        elif found != wanted:
            raise DataError(f"{into / name} holds more than our patches; move {into} away and run this step again")


def comparing(folder: Path, environment: Path, python: str, written: Path) -> list[Command]:
    """The pinned environment and parity inside it."""
    inside = str(environment / "bin" / "python")
    made = (
        [] if environment.exists() else [Command((python, "-m", "venv", str(environment)), "apt install python3-venv")]
    )
    return [
        *made,
        Command((inside, "-m", "pip", "install", "--quiet", *PINNED, *OURS), "torch 2.5.1 wants Python 3.9 to 3.12"),
        Command(
            (inside, "-m", "engine.coconut.parity", "--reference", str(folder), "--write", str(written)), "see above"
        ),
    ]


def do(command: Command, env: dict[str, str] | None = None, quiet: bool = False) -> str:
    """Run one command, its output shown unless `quiet`; the error carries its last words."""
    if not quiet:
        print(f"$ {' '.join(command.argv)}", flush=True)
    done = subprocess.run(command.argv, capture_output=True, text=True, env=env)
    if not quiet:
        print(done.stdout, end="", flush=True)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise DataError(
            f"{' '.join(command.argv[:4])} … ended with {done.returncode}: {' '.join(last)} ({command.hint})"
        )
    return done.stdout


def versions(python: Path) -> dict[str, str]:
    """What is installed in the pinned environment, by its own account."""
    listed = do(Command((str(python), "-m", "pip", "list", "--format", "json"), "is pip there?"), quiet=True)
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
    refuse_other(folder)
    make_fork(folder, out / "fork")
    runlog.fact("reference/commit", git(folder, "rev-parse", "HEAD"))
    runlog.fact("reference/patched", True)
    environment = out / "reference-env"
    env = {name: value for name, value in os.environ.items() if name != "FRACTAL_EVENTS"} | {"PYTHONPATH": os.getcwd()}
    written = out / "parity.raw.json"
    for command in comparing(out / "fork", environment, sys.executable, written):
        do(command, env)
    report(out, json.loads(written.read_text(encoding="utf-8")), versions(environment / "bin" / "python"))


def report(out: Path, differences: list[dict[str, Any]], found: dict[str, str]) -> None:
    """The differences as facts of this run, and the versions that they were taken with."""
    loss, gradient = (max(float(one[what]) for one in differences) for what in ("loss", "gradient"))
    runlog.fact("parity/loss_difference", loss)
    runlog.fact("parity/gradient_difference", gradient)
    runlog.fact("parity/modes", len({one["mode"] for one in differences}))
    for name, version in found.items():
        runlog.fact(f"reference/version/{name}", version)
    # A build of torch for another device carries a tag: 2.5.1+cu124 is 2.5.1.
    runlog.fact("reference/torch_as_pinned", found.get("torch", "").partition("+")[0] == "2.5.1")
    path = out / "parity.json"
    told = {"loss": loss, "gradient": gradient, "versions": found, "batches": differences}
    path.write_text(json.dumps(told, indent=1), encoding="utf-8")
    runlog.artifact(path)


if __name__ == "__main__":
    with said_once():
        main(sys.argv[1:])
