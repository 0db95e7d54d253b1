"""Looking at this machine and its configuration, cheaply: what `fractal-console doctor` is told.

Nothing heavy is imported (a version is read from its metadata), every outside program gets a second at most, they run side
by side, and nothing is changed. A look that fails is "not there", never a crash.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from console.errors import UserError
from console.health.diagnosis import Isolation, Seen, Terminal
from console.project import Project, find_project
from engine.protocol.layout import default_root

CONSOLE = ("textual", "rich", "paramiko", "httpx", "pydantic", "pyyaml", "numpy")
ENGINE = ("torch", "transformers", "datasets", "tokenizers", "safetensors")
_DEADLINE_S = 1.0
_LANDLOCK_CREATE_RULESET = 444  # the same number on every architecture
_LANDLOCK_VERSION_FLAG = 1
_NEWUSER = "import ctypes,sys; sys.exit(ctypes.CDLL(None).unshare(0x10000000) != 0)"


class Asked:
    """An outside program, started; `answer` waits for it until the deadline."""

    def __init__(self, *argv: str) -> None:
        try:
            self._process: subprocess.Popen[str] | None = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
        except OSError:
            self._process = None

    def answer(self) -> tuple[int | None, str]:
        """Its exit code and what it said; (None, "") where it is not there or said nothing in time."""
        if self._process is None:
            return None, ""
        with self._process as process:
            try:
                said, _ = process.communicate(timeout=_DEADLINE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                return None, ""
        return process.returncode, said.strip()


def look() -> Seen:
    """Everything, once."""
    linux = sys.platform.startswith("linux")
    git, ssh, agent = Asked("git", "--version"), Asked("ssh", "-V"), Asked("ssh-add", "-l")
    smi = Asked("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader")
    user_namespace = Asked(sys.executable, "-I", "-S", "-c", _NEWUSER)
    project = _project()
    seen = Seen(
        system=f"{platform.system()} {platform.release()}",
        linux=linux,
        python=sys.version_info[:3],
        packages={name: _version(name) for name in CONSOLE},
        wandb_login=wandb_login(Path.home(), os.environ),
        terminal=_terminal(),
        data_folder=os.environ.get("FRACTAL_DATA"),
        data_there=Path(os.environ.get("FRACTAL_DATA") or "/nowhere").is_dir(),
        watches=_whole_number(Path("/proc/sys/fs/inotify/max_user_watches")),
        instances=_whole_number(Path("/proc/sys/fs/inotify/max_user_instances")),
    )
    seen = _with_root(seen, default_root())
    seen = _with_project(seen, project)
    seen = _with_steps_environment(seen, project)
    seen = replace(seen, git=_first_line(git), ssh=_first_line(ssh), ssh_keys=_agent_keys(agent))
    seen = _with_gpus(seen, smi)
    return replace(seen, isolation=_isolation(user_namespace)) if linux else seen


def _project() -> Project | None:
    try:
        return find_project()
    except UserError:
        return None


def _version(name: str, sites: Sequence[str] | None = None) -> str | None:
    """A package's version from its metadata: here, or in the given site-packages."""
    try:
        if sites is None:
            return metadata.version(name)
        return next((d.version for d in metadata.distributions(name=name, path=list(sites))), None)
    except metadata.PackageNotFoundError:
        return None


def _with_steps_environment(seen: Seen, project: Project | None) -> Seen:
    """The engine's packages where steps would look for them: the project's own environment, else this one."""
    sites = None
    if project is not None and project.bin is not None:
        sites = [str(s) for s in project.bin.parent.glob("lib*/python3*/site-packages")]
    return replace(seen, engine={n: _version(n, sites) for n in ENGINE}, vllm=_version("vllm", sites))


def _with_root(seen: Seen, root: Path) -> Seen:
    """The folder of runs: may it be written, how much room is there, and does the index open?"""
    above = next(p for p in (root, *root.absolute().parents) if p.exists())
    seen = replace(seen, root=str(root), root_free=shutil.disk_usage(above).free)
    problem = _write_problem(above)
    if problem:
        return replace(seen, root_problem=problem, index="not looked at")
    words, index_problem = index_state(root / "console.db")
    return replace(seen, index=words, index_problem=index_problem)


def _write_problem(folder: Path) -> str | None:
    if not folder.is_dir():
        return f"{folder} is no folder"
    try:
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return f"can't be written ({error.strerror})"


def index_state(path: Path) -> tuple[str, str | None]:
    """How many runs the index knows, or what is wrong with it. Opened for reading only."""
    if not path.exists():
        return "not made yet: the first verb makes it", None
    try:
        db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=0.5)
        try:
            count = db.execute("SELECT count(*) FROM runs").fetchone()[0]
        finally:
            db.close()
    except sqlite3.Error as error:
        return "", f"{path} can't be used: {error}"
    return f"{count} run{'s' * (count != 1)}, {path}", None


def _with_project(seen: Seen, project: Project | None) -> Seen:
    """The project's phase files, each with its problem where it has one."""
    if project is None:
        return seen
    seen = replace(seen, project=str(project.folder), project_free=shutil.disk_usage(project.folder).free)
    if seen.packages.get("pydantic") is None or seen.packages.get("pyyaml") is None:
        return replace(seen, config_problems=("phase files can't be checked without pydantic and pyyaml",))
    return replace(seen, phases=len(project.phases.phases), config_problems=_problems(project))


def _problems(project: Project) -> tuple[str, ...]:
    """Of every phase file, and of every preset that does not resolve."""
    from console.launch.resolved import all_presets, resolve_config

    found = list(project.phases.problems)
    for phase in project.phases.phases.values():
        for preset in all_presets(project, phase):
            try:
                resolve_config(project, phase, preset)
            except UserError as error:
                found.append(str(error))
    return tuple(found)


def wandb_login(home: Path, environment: os._Environ[str] | dict[str, str]) -> str | None:
    """Where a W&B key lies; the key itself is not kept."""
    if environment.get("WANDB_API_KEY"):
        return "$WANDB_API_KEY"
    stated = environment.get("NETRC")
    for path in [Path(stated)] if stated else [home / ".netrc", home / "_netrc"]:
        try:
            if re.search(r"machine\s+\S*wandb\S*", path.read_text(errors="replace")):
                return str(path)
        except OSError:
            continue
    return None


def _first_line(asked: Asked) -> str | None:
    code, said = asked.answer()
    return said.splitlines()[0] if code == 0 and said else None


def _agent_keys(asked: Asked) -> int | None:
    """`ssh-add -l` ends with 0 and its keys, 1 for none, 2 without an agent."""
    code, said = asked.answer()
    if code == 0:
        return len(said.splitlines())
    return 0 if code == 1 else None


def _with_gpus(seen: Seen, smi: Asked) -> Seen:
    """From the kernel's own files where they are (at once), else from nvidia-smi (slow, but also on WSL)."""
    code, said = smi.answer()
    driver = re.search(r"Kernel Module\D*([\d.]+)", _text(Path("/proc/driver/nvidia/version")))
    names = [
        m.group(1).strip()
        for file in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
        if (m := re.search(r"Model:\s*(.+)", _text(file)))
    ]
    if names:
        return replace(seen, gpus=tuple(names), gpu_driver=driver and driver.group(1))
    rows = [line.split(", ") for line in said.splitlines() if ", " in line] if code == 0 else []
    return replace(seen, gpus=tuple(r[0] for r in rows), gpu_driver=rows[0][1] if rows else None)


def _isolation(user_namespace: Asked) -> Isolation:
    """Landlock answers a question for its version; seccomp lists its actions; a namespace is tried by a process that ends."""
    try:
        abi = ctypes.CDLL(None).syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_VERSION_FLAG)
    except OSError:
        abi = 0
    seccomp = "errno" in _text(Path("/proc/sys/kernel/seccomp/actions_avail"))
    return Isolation(max(0, abi), seccomp, user_namespace.answer()[0] == 0)


def _terminal() -> Terminal:
    columns, lines = shutil.get_terminal_size((0, 0))
    term = os.environ.get("TERM", "")
    on = sys.stdin.isatty() and sys.stdout.isatty() and term not in ("", "dumb")
    return Terminal(on, columns, lines, colours(os.environ), sys.stdout.encoding or "", term)


def colours(environment: os._Environ[str] | dict[str, str]) -> str:
    """How many colours the terminal says it has."""
    if "NO_COLOR" in environment:
        return "no colour (NO_COLOR)"
    if environment.get("COLORTERM") in ("truecolor", "24bit"):
        return "16 million colours"
    return "256 colours" if "256" in environment.get("TERM", "") else "16 colours"


def _whole_number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
