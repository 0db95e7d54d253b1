"""What is asked of a run, or said about a check, from a screen: the desk does it, and its answer comes as a message."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from console.messages import Advised, Asked, Done, Refused

if TYPE_CHECKING:
    from textual.message import Message

    from console.app import ConsoleApp
    from console.standing import PhaseStanding
    from console.workspace import Workspace


def stop_run(app: ConsoleApp, run_id: str) -> None:
    def stop(space: Workspace) -> Done:
        space.stop(run_id, "from the console")
        return Done(f"asked {run_id} to stop")

    app.desk.do(stop)


def checkpoint_run(app: ConsoleApp, run_id: str) -> None:
    def ask(space: Workspace) -> Done:
        status = space.checkpoint(run_id)
        return Done("it is over already" if status.final else "asked for a checkpoint; the answer comes as an event")

    app.desk.do(ask)


def pull_run(app: ConsoleApp, run_id: str, host: str) -> None:
    """Bring a remote run's files here; beside the desk, for it may take minutes."""
    if host == "local":
        app.say("it ran on this machine: its files are here", "warning")
        return
    app.say(f"pulling the files of {run_id} from {host} …")

    def pull() -> tuple[str, bool]:
        from console.hosts.pulling import pull_words

        return pull_words(app.space.root, app.space.project.configs, run_id, host)

    _ask_host(app, "pull", pull, Done)


def see_log_end(app: ConsoleApp, run_id: str, host: str) -> None:
    """The newest lines of a remote run's log as a page, asked of its host: the copy here may be far behind."""
    if host == "local":
        app.say("it runs on this machine: its whole log is here (b, then end)", "warning")
        return
    app.say(f"asking {host} for the end of its log …")

    def look() -> tuple[str, bool]:
        from console.hosts.glance import log_end

        return log_end(app.space.root, app.space.project.configs, run_id, host)

    _ask_host(app, "log end", look, lambda words: Asked(_show_log_end, (f"The end of the log on {host}", words)))


def _ask_host(app: ConsoleApp, what: str, ask: Callable[[], tuple[str, bool]], told: Callable[[str], Message]) -> None:
    """In a thread of its own, one of a kind at a time; what went wrong is a refusal."""

    def work() -> None:
        words, went_well = ask()
        app.post_message(told(words) if went_well else Refused(words))

    app.run_worker(work, thread=True, group=what, exclusive=True)


def _show_log_end(app: ConsoleApp, told: tuple[str, str]) -> None:
    from console.screens.page import Page

    app.push_screen(Page(told[0], told[1], at_end=True))


def ask_why(app: ConsoleApp, run_id: str, *, as_page: bool = False) -> None:
    """Have the desk look up what went wrong with a run; the answer goes to its screen, or is a page of its own."""

    def find_out(space: Workspace) -> Advised:
        from console.whatnow.gather import advice_for
        from console.whatnow.rules import rules_of

        return Advised(run_id, advice_for(space.paths(run_id), rules_of(space.project.configs)), as_page)

    app.desk.find_out(find_out)


def speak(app: ConsoleApp, kind: str, standing: PhaseStanding, check_id: str, said: bool, reason: str) -> None:
    """Tick or override in the user's name, or take it back."""

    def tell(space: Workspace) -> Done:
        resolved = space.choose(standing.phase, standing.preset)
        space.say(kind, standing.phase, resolved, check_id, said, reason)
        return Done({"tick": "ticked", "override": "overridden"}[kind] if said else "taken back")

    app.desk.do(tell)
    app.look()


def ways_out(configs: Path, refusal: str) -> str:
    """What the table knows to do about an action that was refused, such as a host that does not answer."""
    from console.whatnow.advice import Failure, advise
    from console.whatnow.rules import rules_of
    from engine.config.errors import ConfigError

    try:
        advice = advise(Failure("refused", refusal), rules_of(configs))
    except ConfigError:  # `why` names what is wrong with the table; the refusal itself is what counts here
        return ""
    return "".join(f"\n→ {way}" for way in advice.do) if advice is not None else ""
