"""Every message of the console, each a dataclass. A flood replaces itself: only the newest look at the world is news.

Nobody compares or prints one, and what does it would have to be made at every start.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from textual.message import Message

from console.rental.burning import Burning

if TYPE_CHECKING:
    from console.app import ConsoleApp
    from console.comparing.sides import Member
    from console.launch.rehearsal import Rehearsal, There
    from console.runs.notes import Note
    from console.runs.spending import Spent
    from console.standing import PhaseStanding
    from console.store import RunRow
    from console.verbs.model_tables import Table
    from console.whatnow.advice import Advice


@dataclass(eq=False, repr=False)
class Looked(Message):
    """The world as the desk has just seen it."""

    standings: dict[str, PhaseStanding]
    runs: list[RunRow] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    queue: list[dict[str, Any]] = field(default_factory=list)
    burning: Burning = field(default_factory=Burning)
    spent: dict[str, Spent] = field(default_factory=dict)
    notes: dict[str, list[Note]] = field(default_factory=dict)
    """What is written on whole phases, by phase."""

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, Looked)


@dataclass(eq=False, repr=False)
class Started(Message):
    """A run or plan was started; `run_id` is the one to look at."""

    run_id: str
    words: str


@dataclass(eq=False, repr=False)
class Done(Message):
    """An action is done; nothing else to do but to say so."""

    words: str


@dataclass(eq=False, repr=False)
class Refused(Message):
    """An action was refused, with the reason and what to do."""

    words: str


@dataclass(eq=False, repr=False)
class Advised(Message):
    """Why a run went wrong and the way out."""

    run_id: str
    advice: Advice | None
    as_page: bool = False


@dataclass(eq=False, repr=False)
class Rehearsed(Message):
    """What would happen if what stands in the launch dialog were started."""

    rehearsal: Rehearsal

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, Rehearsed)


@dataclass(eq=False, repr=False)
class HostHeard(Message):
    """What another host has of the source and who waits there, or why it could not be asked."""

    host: str
    there: There | None
    problem: str = ""


@dataclass(eq=False, repr=False)
class InstallLine(Message):
    """One line of pip."""

    line: str


@dataclass(eq=False, repr=False)
class Installed(Message):
    """The missing part is there, or `error` says why not."""

    error: str | None = None


@dataclass(eq=False, repr=False)
class Asked(Message):
    """The desk has found out what an action would do; now the user is asked."""

    ask: Callable[[ConsoleApp, Any], None]
    about: Any


@dataclass(eq=False, repr=False)
class Found(Message):
    """The runs that meet a query, or what is wrong with it."""

    text: str
    ids: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """Config keys, metrics and facts that it names."""
    moves: bool = False
    """The clock alone may change the answer."""
    problem: str = ""


@dataclass(eq=False, repr=False)
class RentalSaid(Message):
    """Progress of something about a rented machine: a stage of its boot, a step of its end."""

    name: str
    words: str


@dataclass(eq=False, repr=False)
class RentalDone(Message):
    """A verb about rented machines has its answer, or `problem` says why it has none."""

    typed: tuple[str, ...]
    table: Table | None
    problem: str = ""


@dataclass(eq=False, repr=False)
class Gathered(Message):
    """Runs that are compared, read whole."""

    ids: list[str]
    members: list[Member]


@dataclass(eq=False, repr=False)
class RegistryTold(Message):
    """An action on the registry has its answer."""

    typed: tuple[str, ...]
    table: Table


@dataclass(eq=False, repr=False)
class RegistrySeen(Message):
    """The registry as it is: models with their champions, hand-offs, and everything about the chosen model."""

    models: list[dict[str, Any]]
    hand_offs: list[dict[str, Any]]
    chosen: str | None = None
    about: list[list[str]] = field(default_factory=list)

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, RegistrySeen)
