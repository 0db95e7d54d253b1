"""What would happen if this were started now: a dry run. Starts nothing, sends nothing.

`look_there` asks another host what of the source it has already and who waits there; `rehearse` puts it together with what
this machine knows, into one object, which the launch dialog shows and `run … --dry-run --json` prints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.launch.specs import work_folder
from console.launch.starting import Choice, missing_part
from console.words import duration, size, usd
from console.workspace import Workspace
from engine.config.phase import Phase, Step, command_of
from engine.protocol.layout import Root
from remote.tree import Tree

if TYPE_CHECKING:
    from remote.ssh.host import SshHost

_SHOWN_FILES = 3


@dataclass(frozen=True)
class Planned:
    """One step as it would run."""

    step: str
    argv: list[str]
    minutes: float | None = None
    usd: float | None = None
    gpus: int = 0


@dataclass(frozen=True)
class Source:
    """The project's files, and what of them the host lacks."""

    tree: str
    files: int
    bytes: int
    large: list[tuple[str, int]] = field(default_factory=list)
    """Above 50 MB: hardly source."""
    git: str = ""
    to_send: list[tuple[str, int]] | None = None
    """None while the host has not been asked."""

    @property
    def bytes_to_send(self) -> int:
        return sum(count for _, count in self.to_send or ())


@dataclass(frozen=True)
class Place:
    """Where in its host's queue a run would stand."""

    kind: str
    slots: int
    busy: int
    ahead: int

    @property
    def number(self) -> int:
        """0: it starts at once."""
        return 0 if self.busy < self.slots and not self.ahead else self.ahead + 1


@dataclass(frozen=True)
class Rehearsal:
    """Everything that is known before something starts."""

    host: str
    phase: str
    preset: str
    variant: str
    steps: list[Planned]
    work: str
    source: Source
    place: Place | None = None
    installs: str = ""
    price_usd_per_h: float = 0.0
    blocked: str = ""
    """Why it can't start now."""
    problem: str = ""
    """Why the host could not be asked."""

    @property
    def minutes(self) -> float | None:
        guesses = [s.minutes for s in self.steps if s.minutes is not None]
        return sum(guesses) if guesses else None

    @property
    def usd(self) -> float | None:
        """By the host's own price where it has one, else as the phase file says."""
        if self.price_usd_per_h and self.minutes is not None:
            return self.minutes / 60 * self.price_usd_per_h
        guesses = [s.usd for s in self.steps if s.usd is not None]
        return sum(guesses) if guesses else None

    def to_json(self) -> dict[str, Any]:
        body = {k: v for k, v in self.__dict__.items() if k not in ("steps", "source", "place")}
        source = {**self.source.__dict__, "bytes_to_send": self.source.bytes_to_send}
        place = self.place and {**self.place.__dict__, "number": self.place.number}
        steps = [s.__dict__ for s in self.steps]
        return {**body, "steps": steps, "source": source, "queue": place, "minutes": self.minutes, "usd": self.usd}


@dataclass(frozen=True)
class There:
    """What another host has said."""

    root: str
    to_send: list[tuple[str, int]]
    queue: list[dict[str, Any]]
    gpus: int


def look_there(host: SshHost, tree: Tree) -> There:
    """Ask a host what it has; blocks, sends no file."""
    done = host.look_tree(tree)
    gpus = host.facts().get("gpus")
    sent = [(f.path, f.size) for f in done.sent]
    return There(host.root_path(), sent, host.queue(), gpus if isinstance(gpus, int) else 0)


def rehearse(
    space: Workspace, choice: Choice, steps: list[Step], there: There | None = None, problem: str = ""
) -> Rehearsal:
    """As far as it is known: on another host by what it has said, or with the problem why it has said nothing."""
    tree = space.tree()
    if choice.host == "local":
        gpus = space.local.facts()["gpus"]
        there = There(str(space.root.path), _sent_here(space, choice.phase, tree), space.local.queue(), gpus)
    missing = missing_part(space, choice.phase) if choice.host == "local" else None
    root = Root(Path(there.root if there else "~/.fractal"))
    work = str(work_folder(root, space.project, choice.phase, choice.resolved))
    return Rehearsal(
        host=choice.host,
        phase=choice.phase.phase,
        preset=choice.resolved.preset,
        variant=choice.resolved.variant,
        steps=[_planned(choice, step, work) for step in steps],
        work=work,
        source=_source(tree, there.to_send if there else None),
        place=place_of(there.queue, *_wanted(steps, choice), there.gpus) if there else None,
        installs=f"the {missing.extra} part, {missing.size}" if missing else "",
        price_usd_per_h=price_of(space.root.path, choice.host),
        blocked=_blocked(space, choice, steps, tree),
        problem=problem,
    )


def _planned(choice: Choice, step: Step, work: str) -> Planned:
    resolved = choice.resolved
    values = {**resolved.config, "work": work, "preset": resolved.preset, "seed": resolved.seed or 0}
    guess = step.estimate.get(resolved.preset)
    minutes, money = (guess.minutes, guess.usd) if guess else (None, None)
    return Planned(step.step, command_of(step, values), minutes, money, step.gpus_at(resolved.preset))


def _source(tree: Tree, sent: list[tuple[str, int]] | None) -> Source:
    git = ""
    if tree.git:
        git = str(tree.git.get("commit", ""))[:10] + (" with changes" if tree.git.get("dirty") else "")
    large = [(f.path, f.size) for f in tree.large]
    return Source(tree.hash, len(tree.files), sum(f.size for f in tree.files), large, git, sent)


def _sent_here(space: Workspace, phase: Phase, tree: Tree) -> list[tuple[str, int]]:
    """What a launch on this machine copies: nothing where the snapshot stands, or the step runs in the project."""
    if phase.runs_in == "project" or (space.root.trees / tree.hash).exists():
        return []
    return [(f.path, f.size) for f in tree.files]


def _wanted(steps: Sequence[Step], choice: Choice) -> tuple[str, int]:
    """The kind and number of slots that the first step asks for."""
    gpus = steps[0].gpus_at(choice.resolved.preset) if steps else 0
    return ("gpu", gpus) if gpus else ("cpu", 1)


def place_of(queue: Sequence[dict[str, Any]], kind: str, needed: int, gpus: int) -> Place:
    """Where one more run would stand; pure."""
    slots = gpus if kind == "gpu" else 1
    mine = [row for row in queue if row["kind"] == kind]
    held = sum(row["position"] == 0 for row in mine)
    return Place(kind, slots, held + max(0, needed - 1), sum(row["position"] > 0 for row in mine))


def _blocked(space: Workspace, choice: Choice, steps: Sequence[Step], tree: Tree) -> str:
    if not steps:
        return f"{choice.phase.phase} has no step at preset {choice.resolved.preset}"
    standing = space.standing(choice.phase, choice.resolved, tree, choice.host)
    first = next((s for s in standing.steps if s.step.step == steps[0].step), None)
    if first is None:
        return f"step {steps[0].step} does not belong to preset {choice.resolved.preset}"
    return first.blocked or ""


def price_of(root: Path, host: str) -> float:
    """What the ledger says a rented machine of this name costs an hour; 0 for a machine of one's own."""
    from remote.cloud.cloud_paths import CloudPaths

    paths = CloudPaths(root / "cloud")
    if host == "local" or not paths.ledger.exists():
        return 0.0
    from remote.cloud.ledger import Ledger

    with Ledger(paths.ledger) as ledger:
        return next((e.price_cents_per_h / 100 for e in ledger.open() if e.name == host), 0.0)


def words(r: Rehearsal) -> list[tuple[str, str]]:
    """Line by line what would happen, each with what it is about; `!` before what asks for a second look."""
    names = " → ".join(s.step for s in r.steps)
    lines = [("runs", f"{names}  at {r.variant} on {r.host}")]
    lines += [("source", line) for line in _source_words(r)]
    if r.minutes is not None:
        money = f", {usd(r.usd)}" if r.usd else ""
        price = f" at {usd(r.price_usd_per_h)}/h" if r.price_usd_per_h else ""
        lines.append(("estimate", duration(60 * r.minutes) + money + price))
    else:
        lines.append(
            ("estimate", f"none for {r.preset}" + (f"; {usd(r.price_usd_per_h)}/h" if r.price_usd_per_h else ""))
        )
    if r.place is not None:
        lines.append(("queue", place_words(r.place)))
    if r.installs:
        lines.append(("installs", f"first {r.installs}"))
    if r.problem:
        lines.append(("!", r.problem))
    if r.blocked:
        lines.append(("!", r.blocked))
    return lines


def _source_words(r: Rehearsal) -> list[str]:
    s = r.source
    whole = f"{s.files} files, {size(s.bytes)}, tree {s.tree[:8]}" + (f" ({s.git})" if s.git else "")
    if s.to_send is None:
        lines = [f"{whole}; what {r.host} has of it is asked when it starts" if r.problem else f"{whole}; asking …"]
    elif not s.to_send:
        lines = [f"{whole}; there already"]
    else:
        shown = ", ".join(path for path, _ in s.to_send[:_SHOWN_FILES])
        more = " …" if len(s.to_send) > _SHOWN_FILES else ""
        copied = "copied" if r.host == "local" else "sent"
        lines = [f"{whole}", f"{len(s.to_send)} to be {copied}, {size(s.bytes_to_send)}: {shown}{more}"]
    return lines + [f"! {path} has {size(count)}: is it source? .gitignore leaves it out" for path, count in s.large]


def place_words(place: Place) -> str:
    if not place.slots:
        return "! it asks for a GPU and this host has none"
    if not place.number:
        return "starts at once"
    return f"number {place.number}: {place.busy} run(s) hold {place.slots} {place.kind} slot(s), {place.ahead} wait"
