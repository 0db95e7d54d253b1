"""The verb that most users begin with: `fractal-console init`, from a command of one's own to a phase with a gate.

On a terminal it asks for what the flags leave open; without one it never waits for an answer.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from console.adoption.adopt import Adoption, checked, code_globs, phase_id, phase_text, step_name, suggestion
from console.adoption.logscan import Scan, scan, split_lines
from console.adoption.samples import newest_log, read_sample
from console.errors import UserError
from console.launch.resolved import missing_code
from console.project import Project
from console.words import coloured, number, table
from engine.config.errors import ConfigError
from engine.config.phase import Step
from engine.config.phase_file import load_phase
from engine.protocol.layout import Root, default_root
from engine.protocol.spec import read_spec
from remote.tree import names

Ask = Callable[[str], str]

_LIKELY = ("train.py", "main.py", "run.py", "finetune.py", "src/train.py", "scripts/train.py", "train.sh", "run.sh")


def init(arguments: argparse.Namespace) -> int:
    return adopt(arguments, _ask if sys.stdin.isatty() and sys.stdout.isatty() else None)


def adopt(arguments: argparse.Namespace, ask: Ask | None) -> int:
    """Write the phase file, say what to type next, and with --run start it."""
    project = Project(Path(os.environ.get("FRACTAL_PROJECT") or Path.cwd()).expanduser().resolve())
    command = _command(project.folder, arguments.command, ask)
    step = step_name(command)
    _must_exist(project, command, step)
    name = phase_id(arguments.name or step)
    path = project.configs / "phases" / f"{name}.yaml"
    if path.exists() and not arguments.replace:
        raise UserError(f"{path} exists already. Write over it: --replace. Or give another name: --name {name}-2")
    log, found = _metrics(project, arguments.log, ask)
    adoption = Adoption(name, step, command, found, log, arguments.check, arguments.output)
    adoption = replace(
        adoption,
        checks=arguments.check or _asked_checks(adoption, ask),
        code=code_globs(command, names(project.folder)),
    )
    for warning in checked(adoption.checks, step, found):
        print(coloured(f"! {warning}", "yellow"))
    _write(path, phase_text(adoption, time.strftime("%Y-%m-%d")), arguments.replace)
    _say_next(adoption, path, project.folder)
    return _start(name, arguments.detach) if arguments.run else 0


def _ask(question: str) -> str:
    """One answer; the end of the input is an empty one."""
    try:
        return input(question).strip()
    except EOFError:
        return ""


def _command(folder: Path, given: str | None, ask: Ask | None) -> str:
    if given and given.strip():
        return given.strip()
    likely = next((f for f in _LIKELY if (folder / f).is_file()), None)
    guess = likely and (f"sh {likely}" if likely.endswith(".sh") else f"{_python(folder)} {likely}")
    if ask is None:
        raise UserError(
            f"say which command to run: fractal-console init --command {shlex.quote(guess or 'python train.py')}"
        )
    answer = ask(f"Which command does the work{f' [{guess}]' if guess else ', such as python train.py'}? ") or guess
    if not answer:
        raise UserError("nothing was written: without a command there is no phase")
    return answer


def _python(folder: Path) -> str:
    """How Python is called here: a stock Debian knows no `python`."""
    return "python" if Project(folder).bin or shutil.which("python") else "python3"


def _must_exist(project: Project, command: str, step: str) -> None:
    missing = missing_code(Step(step=step, run=command), project.folder)
    if missing:
        raise UserError(f"`{command}` would run {missing}, which does not exist in {project.folder}")
    first = (shlex.split(command) or [""])[0]
    if re.search(r"[|&;<>()$`=]", first) or _findable(project, first):
        return
    hint = "; python3 is there" if first == "python" and shutil.which("python3") else ""
    print(coloured(f"! `{first}` is not found on this machine{hint}", "yellow"))


def _findable(project: Project, program: str) -> bool:
    path = os.environ.get("PATH", os.defpath)
    if project.bin:
        path = f"{project.bin}{os.pathsep}{path}"
    return bool(shutil.which(program, path=path)) or (project.folder / program).exists()


def _metrics(project: Project, given: str | None, ask: Ask | None) -> tuple[str | None, Scan]:
    """The log that was looked at, and what was found in it."""
    path = _log(project, given, ask)
    if path is None:
        print("No log of an earlier run here, so no metrics are read off the log yet. After the first run:")
        print("  fractal-console init … --log last --replace")
        return None, Scan()
    shown = os.path.relpath(path, project.folder) if path.is_relative_to(project.folder) else path.name
    found = scan(split_lines(read_sample(path)))
    if not found.metrics:
        print(f"Looked at {shown}: no line of it looks like a metric.")
        return shown, Scan()
    print(f"Looked at {shown} and found:")
    rows = [
        [f"  {m.name}", f"{m.seen}×", f"{number(m.first)} … {number(m.last)}", m.example[:80]] for m in found.patterns
    ]
    print(table(rows))
    return shown, _kept(found, ask)


def _log(project: Project, given: str | None, ask: Ask | None) -> Path | None:
    if given == "last" and not Path(given).exists():
        return _last_run_log(project)
    if given:
        return Path(given).expanduser().resolve()
    newest = newest_log(project.folder)
    if ask is None:
        return newest
    default = f" [{os.path.relpath(newest, project.folder)}]" if newest else " (empty: there is none)"
    answer = ask(f"A log of an earlier run, to find metrics in{default}? ")
    return Path(answer).expanduser().resolve() if answer else newest


def _last_run_log(project: Project) -> Path:
    root = Root(default_root())
    for run_id in reversed(root.run_ids()):
        spec = read_spec(root.run(run_id).spec)
        if spec is not None and spec.project == project.name:
            return root.run(run_id).log
    raise UserError(f"{project.name} has no run yet, so there is no last log. Name a file: --log FILE")


def _kept(found: Scan, ask: Ask | None) -> Scan:
    """What the user leaves of the proposal."""
    out = ask("Leave any of these out (names, or empty to keep them all)? ").replace(",", " ").split() if ask else []
    step = None if "step" in out else found.step
    return Scan([m for m in found.metrics if m.name not in out], step)


def _asked_checks(adoption: Adoption, ask: Ask | None) -> list[str]:
    if ask is None:
        return []
    idea = next(map(suggestion, adoption.scan.metrics), "manual: the samples read well")
    checks: list[str] = []
    while answer := ask(f"{'Another' if checks else 'A'} line of the gate, such as `{idea}` (empty: no more)? "):
        try:
            checked([answer], adoption.step, adoption.scan)
            checks.append(answer)
        except UserError as error:
            print(coloured(str(error), "yellow"))
    return checks


def _write(path: Path, text: str, replace_it: bool) -> None:
    """Loaded before it is in its place: what stands there is a phase."""
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / path.name
        trial.write_text(text, encoding="utf-8")
        try:
            load_phase(trial)
        except ConfigError as error:
            raise UserError(str(error).replace(str(trial), str(path))) from None
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w" if replace_it else "x", encoding="utf-8") as file:
        file.write(text)


def _say_next(adoption: Adoption, path: Path, folder: Path) -> None:
    print(f"\nWrote {os.path.relpath(path, folder)}: read it, change what is not right. Type next:")
    rows = [
        [f"  fractal-console run {adoption.name}", "# start it; it goes on without this terminal"],
        [f"  fractal-console gates {adoption.name}", "# each check, its verdict and its because"],
        ["  fractal-console", "# the same on screen, with curves"],
    ]
    print(table(rows))


def _start(name: str, detach: bool) -> int:
    """What `fractal-console run NAME` does."""
    from console.cli import parser
    from console.verbs.running import run

    print()
    return run(parser().parse_args(["run", name, *(["--detach"] if detach else [])]))
