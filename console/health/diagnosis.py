"""What `fractal-console doctor` concludes from what `console.health.machine` saw. Pure: facts in, findings out.

A finding is one line: what was looked at, what was found, and the command that mends it where something is missing.
Only a finding that is `required` and broken makes the exit code 1; everything else is a choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from console.words import number, size

GOOD, NOTE, BROKEN = "good", "note", "broken"
SIGNS = {GOOD: "✓", NOTE: "·", BROKEN: "✗"}
STYLES = {GOOD: "green", NOTE: None, BROKEN: "red"}

_OLDEST_PYTHON = (3, 11)
_FULL_DISK = 512 << 20  # the supervisor's own last warning
_LOW_DISK = 5 << 30  # a checkpoint of a 1.5 B model with its optimizer is larger
_SMALL_TERMINAL = (80, 24)
_FEW_WATCHES = 8192


@dataclass(frozen=True)
class Finding:
    """One line of the table."""

    what: str
    state: str
    found: str
    mend: str = ""
    required: bool = False


@dataclass(frozen=True)
class Isolation:
    """The walls that this kernel offers to a sandbox."""

    landlock: int = 0
    """Version of its interface; 0 where there is none."""
    seccomp: bool = False
    namespaces: bool = False
    """A process without privileges may make a user namespace."""

    @property
    def tier(self) -> str:
        if not (self.landlock and self.seccomp):
            return "C"
        return "A" if self.namespaces else "B"


@dataclass(frozen=True)
class Terminal:
    """What the console would be drawn on."""

    on: bool = False
    columns: int = 0
    lines: int = 0
    colours: str = ""
    encoding: str = ""
    term: str = ""


@dataclass(frozen=True)
class Seen:
    """Everything that was looked at. None is "not there"."""

    system: str = ""
    linux: bool = True
    python: tuple[int, int, int] = (0, 0, 0)
    packages: dict[str, str | None] = field(default_factory=dict)
    """The console's own packages, with their versions."""
    engine: dict[str, str | None] = field(default_factory=dict)
    """The engine's, in the environment that steps run in."""
    vllm: str | None = None
    gpus: tuple[str, ...] = ()
    gpu_driver: str | None = None
    wandb_login: str | None = None
    """Where a key was found; never the key."""
    ssh: str | None = None
    ssh_keys: int | None = None
    """Keys that the agent holds; None without an agent."""
    git: str | None = None
    root: str = ""
    root_problem: str | None = None
    root_free: int = 0
    project: str | None = None
    project_free: int = 0
    phases: int = 0
    config_problems: tuple[str, ...] = ()
    index: str = ""
    index_problem: str | None = None
    isolation: Isolation = Isolation()
    terminal: Terminal = Terminal()
    data_folder: str | None = None
    """What $FRACTAL_DATA names."""
    data_there: bool = False
    watches: int | None = None
    instances: int | None = None


def diagnose(seen: Seen) -> list[Finding]:
    """The table, what is needed most first."""
    return [
        _python(seen),
        _packages(seen),
        _root(seen),
        _index(seen),
        *_configs(seen),
        _engine(seen),
        _gpu(seen),
        _vllm(seen),
        _data(seen),
        _wandb(seen),
        *_ssh(seen),
        _git(seen),
        *_project_disk(seen),
        _isolation(seen),
        _terminal(seen),
        *_inotify(seen),
    ]


def exit_code(findings: Sequence[Finding]) -> int:
    return int(any(f.required and f.state == BROKEN for f in findings))


def _python(s: Seen) -> Finding:
    shown = ".".join(map(str, s.python))
    if s.python[:2] < _OLDEST_PYTHON:
        mend = "sudo apt install python3.12 python3.12-venv && make PYTHON=python3.12 run"
        return Finding("Python", BROKEN, f"{shown}, older than 3.11", mend, required=True)
    return Finding("Python", GOOD, f"{shown} on {s.system}", required=True)


def _packages(s: Seen) -> Finding:
    missing = [name for name, version in s.packages.items() if version is None]
    if missing:
        return Finding("console packages", BROKEN, f"missing: {', '.join(missing)}", "make run", required=True)
    return Finding("console packages", GOOD, _versions(s.packages), required=True)


def _versions(packages: dict[str, str | None]) -> str:
    return ", ".join(f"{name} {version}" for name, version in packages.items() if version)


def _root(s: Seen) -> Finding:
    if s.root_problem:
        mend = "export FRACTAL_ROOT=/a/folder/that/you/may/write"
        return Finding("runs folder", BROKEN, f"{s.root}: {s.root_problem}", mend, required=True)
    free = f"{s.root}, {size(s.root_free)} free"
    if s.root_free < _FULL_DISK:
        return Finding("runs folder", BROKEN, free, f"du -sh {s.root}/*; free some space", required=True)
    if s.root_free < _LOW_DISK:
        return Finding("runs folder", NOTE, f"{free}: little for checkpoints", f"du -sh {s.root}/*", required=True)
    return Finding("runs folder", GOOD, free, required=True)


def _index(s: Seen) -> Finding:
    if s.index_problem:
        mend = f"mv {s.root}/console.db {s.root}/console.db.broken    # runs come back by themselves, ticks do not"
        return Finding("index", BROKEN, s.index_problem, mend, required=True)
    return Finding("index", GOOD, s.index, required=True)


def _configs(s: Seen) -> list[Finding]:
    if s.project is None:
        mend = "fractal-console init --command 'python train.py'"
        return [Finding("project", NOTE, "no configs/phases/*.yaml here or above", mend)]
    wrong = [Finding("configuration", BROKEN, p, "edit that line", required=True) for p in s.config_problems]
    return wrong or [Finding("configuration", GOOD, f"{s.project}: {s.phases} phase{'s' * (s.phases != 1)}, all load")]


def _engine(s: Seen) -> Finding:
    missing = [name for name, version in s.engine.items() if version is None]
    if missing:
        found = "not installed" if len(missing) == len(s.engine) else f"missing: {', '.join(missing)}"
        mend = "the first local run installs it, or: .venv/bin/python -m pip install -c constraints.txt -e '.[engine]'"
        return Finding("engine part", NOTE, f"{found} (torch is large)", mend)
    return Finding("engine part", GOOD, _versions(s.engine))


def _gpu(s: Seen) -> Finding:
    if not s.gpus:
        return Finding("GPU", NOTE, "none here: the cpu presets run on this machine", "rent or add a host with one")
    names = ", ".join(f"{s.gpus.count(n)}× {n}" for n in dict.fromkeys(s.gpus))
    if s.gpu_driver is None:
        return Finding("GPU", NOTE, f"{names}, but no driver answers", "sudo apt install nvidia-driver-580-server")
    return Finding("GPU", GOOD, f"{names}, driver {s.gpu_driver}")


def _vllm(s: Seen) -> Finding:
    if s.vllm:
        return Finding("vLLM", GOOD, s.vllm)
    mend = ".venv/bin/python -m pip install -e '.[gpu]'" if s.gpus else "needs a GPU first"
    return Finding("vLLM", NOTE, "not installed: generation uses transformers", mend)


def _data(s: Seen) -> Finding:
    if s.data_folder is None:
        found = "$FRACTAL_DATA is not set: large presets load their data from the hub"
        return Finding("data folder", NOTE, found, "export FRACTAL_DATA=/folder/with/data sets")
    if not s.data_there:
        return Finding("data folder", BROKEN, f"$FRACTAL_DATA is {s.data_folder}, no folder", "unset FRACTAL_DATA")
    return Finding("data folder", GOOD, s.data_folder)


def _wandb(s: Seen) -> Finding:
    if s.wandb_login:
        return Finding("W&B login", GOOD, f"a key in {s.wandb_login}")
    return Finding("W&B login", NOTE, "none: runs are mirrored nowhere, or offline", "wandb login")


def _ssh(s: Seen) -> list[Finding]:
    if s.ssh is None:
        return [Finding("SSH", NOTE, "no ssh client; other hosts are reached without it", "apt install openssh-client")]
    findings = [Finding("SSH", GOOD, s.ssh)]
    if s.ssh_keys is None:
        findings.append(Finding("ssh-agent", NOTE, "none runs: keys come from files", "eval $(ssh-agent) && ssh-add"))
    elif s.ssh_keys == 0:
        findings.append(Finding("ssh-agent", NOTE, "runs, holds no key", "ssh-add"))
    else:
        findings.append(Finding("ssh-agent", GOOD, f"holds {s.ssh_keys} key{'s' * (s.ssh_keys != 1)}"))
    return findings


def _git(s: Seen) -> Finding:
    if s.git is None:
        return Finding("git", NOTE, "not there: runs record hashes but no commit", "apt install git")
    return Finding("git", GOOD, s.git)


def _project_disk(s: Seen) -> list[Finding]:
    if s.project is None:
        return []
    state = NOTE if s.project_free < _LOW_DISK else GOOD
    mend = "free some space" if state == NOTE else ""
    return [Finding("project disk", state, f"{size(s.project_free)} free", mend)]


def _isolation(s: Seen) -> Finding:
    i = s.isolation
    if not s.linux:
        return Finding("isolation", NOTE, "tier C: untrusted programs need Linux", "run those steps on a Linux host")
    walls = [
        f"Landlock {i.landlock}" if i.landlock else "no Landlock",
        "seccomp" if i.seccomp else "no seccomp",
        "user namespaces" if i.namespaces else "no user namespaces",
    ]
    found = f"tier {i.tier}: {', '.join(walls)}"
    if i.tier == "C":
        return Finding("isolation", NOTE, found, "a kernel of 5.13 or later, with Landlock and seccomp")
    mend = (
        "sysctl kernel.apparmor_restrict_unprivileged_userns kernel.unprivileged_userns_clone" if i.tier == "B" else ""
    )
    return Finding("isolation", GOOD, found, mend)


def _terminal(s: Seen) -> Finding:
    t = s.terminal
    if not t.on:
        return Finding("terminal", NOTE, "none: the console stays shut, every verb works")
    found = f"{t.columns}×{t.lines}, {t.colours}, {t.encoding}, TERM={t.term}"
    if t.encoding.lower().replace("-", "") != "utf8":
        return Finding("terminal", NOTE, f"{found}: curves and signs need UTF-8", "export LANG=C.UTF-8")
    if t.columns < _SMALL_TERMINAL[0] or t.lines < _SMALL_TERMINAL[1]:
        return Finding(
            "terminal", NOTE, f"{found}: small", f"make it {_SMALL_TERMINAL[0]}×{_SMALL_TERMINAL[1]} or larger"
        )
    return Finding("terminal", GOOD, found)


def _inotify(s: Seen) -> list[Finding]:
    if s.watches is None:
        return []
    found = f"{number(s.watches)} watches, {number(s.instances or 0)} instances"
    if s.watches < _FEW_WATCHES:
        mend = "sudo sysctl fs.inotify.max_user_watches=65536"
        return [Finding("inotify", NOTE, f"{found}: few for programs that watch files", mend)]
    return [Finding("inotify", GOOD, found)]
