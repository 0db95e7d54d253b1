"""From a chosen step to something that runs: the dialog, its checks and rehearsals, what must be installed, the start.

The app owns one; it decides nothing about the screen but which dialog is open.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from console.launch.resolved import all_presets, resolve_config
from console.launch.specs import capped
from console.launch.starting import Choice, make_plan, missing_part, start_plan, start_step, steps_for_plan
from console.messages import HostHeard, Installed, InstallLine, Rehearsed, Started
from console.rental.ending import Wanted, policy
from console.rental.hosting import rented
from remote.environment import Missing, install

if TYPE_CHECKING:
    from console.app import ConsoleApp
    from console.launch.rehearsal import There
    from console.screens.launch import Launch
    from console.workspace import Workspace
    from engine.config.phase import Phase, Step
    from remote.tree import Tree


@dataclass(frozen=True)
class Wish:
    """What somebody wants to start: a step, or the whole phase."""

    phase: Phase
    step: str | None


class Launching:
    """See above. Called by the screen's thread; `_hear` and `_install` run in workers of their own."""

    def __init__(self, app: ConsoleApp) -> None:
        self.app = app
        self._there: dict[str, There] = {}
        self._problems: dict[str, str] = {}
        self._asked: set[str] = set()
        self._last: tuple[Wish, Launch] | None = None
        self._waiting: tuple[Wish, Launch] | None = None

    # The dialog

    def ask(self, phase: Phase, step: str | None, preset: str) -> None:
        """Open the dialog for a step, or for the whole phase; what it returns is started."""
        from console.screens.launch import LaunchDialog

        wish = Wish(phase, step)
        title = f"Run {step} of {phase.phase}" if step else f"Run every step of {phase.phase}, gates between"
        self._there, self._problems, self._asked = {}, {}, set()

        def chosen(launch: Launch | None) -> None:
            if launch is not None:
                self.app.presets[phase.phase] = launch.preset
                self.start(wish, launch)

        dialog = LaunchDialog(
            title,
            all_presets(self.app.space.project, phase),
            preset,
            self.hosts(),
            lambda launch: self.check(wish, launch),
            lambda launch: self.rehearse(wish, launch),
            is_plan=step is None,
        )
        self.app.push_screen(dialog, chosen)

    def hosts(self) -> list[str]:
        """This machine, and every host that has a name."""
        from engine.config.errors import ConfigError
        from engine.config.hosts import read_hosts

        try:
            return ["local", *read_hosts(self._host_files())]
        except ConfigError as error:
            self.app.say(str(error), "error")
            return ["local"]

    def _host_files(self) -> list[Path]:
        space = self.app.space
        return [space.project.configs / "hosts.yaml", space.root.path / "hosts.yaml"]

    def check(self, wish: Wish, launch: Launch) -> None:
        """Raises UserError where this could not be started: a wrong key, a wrong value."""
        resolve_config(self.app.space.project, wish.phase, launch.preset, launch.overrides)

    def rehearse(self, wish: Wish, launch: Launch) -> None:
        """Have the desk say what would happen; another host is asked once, beside it."""
        self._last = (wish, launch)
        there, problem = self._there.get(launch.host), self._problems.get(launch.host, "")

        def find_out(space: Workspace) -> Rehearsed | None:
            from console.launch.rehearsal import rehearse

            if self._last != (wish, launch):
                return None  # something else stands in the dialog by now
            choice, steps = chosen_steps(space, wish, launch)
            if launch.host != "local" and launch.host not in self._asked:
                self._asked.add(launch.host)
                tree = space.tree()
                self.app.run_worker(lambda: self._hear(launch.host, tree), thread=True, group="hear")
            return Rehearsed(rehearse(space, choice, steps, there, problem))

        self.app.desk.find_out(find_out)

    def _hear(self, name: str, tree: Tree) -> None:
        """On a thread: with a connection of its own, and nobody to answer a question."""
        from console.errors import foreseen
        from console.hosts.actions import HostDesk, open_host
        from console.launch.rehearsal import look_there

        shared, own = self._host_files()
        try:
            with closing(open_host(name, HostDesk(own, shared, own.parent / "known_hosts"))) as host:
                self.app.post_message(HostHeard(name, look_there(host, tree)))
        except Exception as error:
            self.app.post_message(HostHeard(name, None, foreseen(error) or f"{type(error).__name__}: {error}"))

    def heard(self, message: HostHeard) -> None:
        """Rehearse again with what a host has said."""
        if message.there is not None:
            self._there[message.host] = message.there
        self._problems[message.host] = message.problem
        if self._last is not None:
            self.rehearse(*self._last)

    # The start

    def start(self, wish: Wish, launch: Launch) -> None:
        """Start it; install what is missing on this machine first, with pip's words on screen."""
        from console.screens.dialogs import Installing

        missing = missing_part(self.app.space, wish.phase) if launch.host == "local" else None
        if missing is None:
            self.app.desk.do(lambda space: begin(space, wish, launch))
            return
        self._waiting = (wish, launch)
        self.app.push_screen(Installing(f"{missing.words()} Installing it now."))
        self.app.run_worker(lambda: self._install(missing), thread=True, group="install", exclusive=True)

    def _install(self, missing: Missing) -> None:
        try:
            for line in install(missing):
                self.app.post_message(InstallLine(line))
            self.app.post_message(Installed())
        except RuntimeError as error:
            self.app.post_message(Installed(str(error)))

    def installed(self, message: Installed) -> None:
        waiting, self._waiting = self._waiting, None
        if message.error is not None:
            self.app.say(message.error, "error")
        elif waiting is not None and (missing := missing_part(self.app.space, waiting[0].phase)) is not None:
            # Asked once: pip that succeeds elsewhere than the runs look would be called again and again.
            self.app.say(f"pip succeeded, and the {missing.extra} part is still not there: {missing.argv[0]}", "error")
        elif waiting is not None:
            self.start(*waiting)


def chosen_steps(space: Workspace, wish: Wish, launch: Launch) -> tuple[Choice, list[Step]]:
    """What was chosen, resolved, and the steps it means."""
    resolved = space.choose(wish.phase, launch.preset, launch.overrides)
    choice = Choice(wish.phase, resolved, launch.host)
    if wish.step is None:
        return choice, steps_for_plan(wish.phase, resolved)
    return choice, [wish.phase.step_named(wish.step)]


def begin(space: Workspace, wish: Wish, launch: Launch) -> Started:
    """Launch a step, or a plan over the phase."""
    from console.launch.rehearsal import price_of

    choice, steps = chosen_steps(space, wish, launch)
    price = price_of(space.root.path, launch.host)
    if wish.step is not None:
        spec, _ = start_step(space, choice, capped(steps[0], launch.max_hours, launch.max_usd, price))
        return Started(spec.run_id, f"started {spec.step} as {spec.run_id} on {launch.host}")
    entry = None if launch.host == "local" else rented(space.root.path / "cloud", launch.host)
    asked = Wanted(None, launch.on_cap, launch.max_hours, launch.max_usd)
    end = policy(asked, entry, time.time(), price)
    plan = make_plan(space, choice, steps, end)
    start_plan(space, choice, plan)
    first = next(i.run for i in plan.items if i.run is not None)
    return Started(first.run_id, f"the plan runs on {launch.host} by itself: {plan.plan_id}")
