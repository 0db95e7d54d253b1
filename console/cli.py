"""The headless twin: every action of the screen is a verb, most with `--json`.

Exit codes: 0 done, 1 it ran and did not succeed (a failed run, a shut gate), 2 the user's to mend, 130 interrupted.
Parsing comes first, heavy imports after: `--help` answers at once.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from console import collector
from console.errors import foreseen

if TYPE_CHECKING:
    import argparse

# verb → (module, what it does, group). The module has `add_arguments(parser, verb)` in `console.verbs.words` and `run`.
VERBS: dict[str, tuple[str, str]] = {
    "phases": ("looking", "list the phases with their state and gates"),
    "show": ("looking", "one phase: goal, steps, gates, estimates"),
    "gates": ("looking", "each check of a phase, its verdict and its because"),
    "config": ("looking", "the resolved config of a phase at a preset"),
    "run": ("running", "run one step, or every step of a phase in order with its gates between"),
    "runs": ("finding", "list runs, newest first; --query asks by config, metrics, tags, age, cost"),
    "compare": ("comparing", "runs side by side: what differs in their configs, final values, curves"),
    "report": ("reporting", "a phase as a page to share: goal, gates, results over seeds, charts, provenance, costs"),
    "context": ("reporting", "the one page to resume the work from: where it stands, what comes next, how"),
    "rerun": ("rerunning", "run a step again with the config of an earlier run"),
    "delete": ("deleting", "delete runs with care: says what goes, refuses what others stand on"),
    "tag": ("finding", "put tags on runs (--remove takes them off)"),
    "note": ("finding", "write a note or a learning on a phase or a run"),
    "notes": ("finding", "search the notes and learnings (--export prints them as a log)"),
    "status": ("going", "the state of one run, with its because"),
    "why": ("why", "what went wrong with a run, or keeps a phase's gates shut, and the way out"),
    "logs": ("following", "the log of a run (-f follows)"),
    "events": ("following", "the events of a run (-f follows)"),
    "replay": ("replaying", "a run that is over as it went, at any speed"),
    "stop": ("running", "stop a run or a plan: SIGINT, then SIGTERM, then SIGKILL"),
    "checkpoint": ("running", "ask a run for a checkpoint (SIGUSR2)"),
    "queue": ("going", "who holds a slot of this host and who waits"),
    "plans": ("going", "list plans, newest first"),
    "plan": ("going", "how far a plan is"),
    "resume": ("running", "go on with a plan whose executor was killed"),
    "tick": ("judging", "tick a manual check (--undo takes it back)"),
    "override": ("judging", "accept a failed check, with a reason (--undo takes it back)"),
    "models": ("models", "the registry: trained models and where they came from"),
    "hosts": ("hosts", "machines that ssh reaches: add, list, remove"),
    "sync": ("hosts", "send the source of a folder to a host"),
    "pull": ("hosts", "bring a run's files here, verified by hash"),
    "instances": ("instances", "rented machines: types, launch with caps, cost, terminate"),
    "sweep": (
        "instances",
        "compare the cloud account with the ledger; exit code 1 if something burns unseen (for cron)",
    ),
    "init": ("adopting", "make a phase file for a command of your own repository"),
    "settings": ("settings", "the user's settings: print, path, check, and the ids of all keys"),
    "doctor": ("doctor", "what this machine can and can't do, and what mends it"),
}


def parser(typed: Sequence[str] | None = None) -> argparse.ArgumentParser:
    """The command line; with what was typed, only the verbs in it get their arguments, so that `--help` answers at once."""
    import argparse

    from console.verbs import words

    top = argparse.ArgumentParser(
        prog="fractal-console",
        description="Gated ML experiments from the terminal: phases, gates with evidence, runs that outlive the console.",
        epilog="Without a verb: the console itself (or, where there is no terminal, the phases and what to type next).",
    )
    top.add_argument("--version", action="store_true", help="print the version and the protocol's")
    top.add_argument(
        "--plain", action="store_true", help="for screen readers: words and numbers, no boxes, no drawings"
    )
    top.add_argument("--readonly", action="store_true", help="only look: whatever would change something is refused")
    top.add_argument(
        "--demo",
        action="store_true",
        help="the screens over a cloud of our own making: nothing is rented, nothing is kept",
    )
    verbs = top.add_subparsers(dest="verb", metavar="VERB", title="verbs")
    for verb, (_, about) in VERBS.items():
        sub = verbs.add_parser(verb, help=about, description=about[0].upper() + about[1:] + ".")
        if typed is None or verb in typed:
            words.ARGUMENTS[verb](sub)
    return top


def parsed(typed: Sequence[str]) -> Any:
    """What was typed. Nothing, which opens the console, needs no parser: making one is a thirtieth of the start."""
    if typed:
        return parser(typed).parse_args(typed)
    return SimpleNamespace(verb=None, version=False, plain=False, readonly=False, demo=False)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; every foreseeable problem ends in one clear line."""
    _survive_any_locale()
    collector.rest()
    typed = sys.argv[1:] if argv is None else argv
    arguments = parsed(typed)
    if arguments.version:
        from engine.protocol.version import VERSION

        print(f"fractal-console {_version()} (protocol {VERSION})")
        return 0
    try:
        return _dispatch(arguments)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output is gone: `… | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        line = foreseen(error)
        if line is None:
            raise
        print(f"fractal-console: {line}", file=sys.stderr)
        return 2


def _survive_any_locale() -> None:
    """Where the terminal's encoding has no `✓`, a `?` stands for it; nothing ends because of a sign."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("fractal-console")
    except PackageNotFoundError:
        return "(not installed)"


def _dispatch(arguments: Any) -> int:
    arguments.readonly = arguments.readonly or os.environ.get("FRACTAL_READONLY") == "1"
    if arguments.verb is None:
        return _open_console(arguments)
    if arguments.readonly:
        from console.readonly import refuse_changes

        refuse_changes(arguments.verb, arguments)
    module = importlib.import_module(f"console.verbs.{VERBS[arguments.verb][0]}")
    collector.work()
    with _said_to_all(arguments.readonly):
        code: int = getattr(module, arguments.verb)(arguments)
    return code


@contextmanager
def _said_to_all(readonly: bool) -> Iterator[None]:
    """Whatever of the verb opens the workspace opens it read-only."""
    before = os.environ.get("FRACTAL_READONLY")
    os.environ["FRACTAL_READONLY"] = "1" if readonly else ""
    try:
        yield
    finally:
        os.environ["FRACTAL_READONLY"] = before or ""


def _open_console(arguments: Any) -> int:
    """The screen on a terminal; elsewhere the phases and what to type next."""
    if sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "") not in ("", "dumb"):
        from dataclasses import replace

        from console.checked import Checked
        from console.settings import prepare_terminal, settings_or_default
        from engine.protocol.layout import default_root

        root = default_root()
        checked = Checked(root / "cache" / "checked", writes=not arguments.readonly)
        settings, problem = settings_or_default(root, checked)
        plain, readonly = settings.plain or arguments.plain, settings.readonly or arguments.readonly
        settings = replace(settings, plain=plain, readonly=readonly)
        prepare_terminal(settings)
        from console.opening import open_console, open_demo

        if arguments.demo:
            return open_demo(settings)
        return open_console(settings, problem)
    from console.verbs.looking import without_terminal

    return without_terminal()
