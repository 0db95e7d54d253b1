"""The app: wires screens, keys, the desk and messages. It decides nothing; decisions have their own files."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import SuspendNotSupported, SystemCommand

from console import collector
from console.acting import ways_out
from console.keys import bindings, changing, keys_of
from console.messages import (
    Advised,
    Asked,
    Done,
    HostHeard,
    Installed,
    InstallLine,
    Looked,
    Refused,
    RegistrySeen,
    RegistryTold,
    Rehearsed,
    Started,
)
from console.modes import FIRST, MODES
from console.news import tell_ticks
from console.screens.frame import ConsoleScreen
from console.settings import Settings, first_theme
from console.terminal.closed import let_go
from console.terminal.shown import Shown
from console.terminal.typeahead import TypeAhead
from console.workers import Desk
from engine.config.errors import nearest

if TYPE_CHECKING:
    from textual.binding import BindingType
    from textual.filter import LineFilter
    from textual.notifications import SeverityLevel
    from textual.screen import Screen
    from textual.widget import Widget

    from console.launch.start import Launching
    from console.rental.burning import Burning
    from console.rental.office import Office
    from console.screens.registry import RegistryScreen
    from console.workspace import Workspace

_PATIENCE_S = 0.3
"""So long an empty screen is no worse than one that fills itself."""
_REMEMBERED: dict[str, Any] = {"phase": "", "panes": {}, "runs": {}, "marked": [], "compare": {}}


class ConsoleApp(TypeAhead):
    TITLE = "fractal-console"
    CSS_PATH = Path(__file__).with_name("app.tcss")
    BINDINGS: ClassVar[list[BindingType]] = list(bindings("everywhere"))
    MODES = MODES
    ENABLE_COMMAND_PALETTE = True

    def __init__(
        self,
        space: Workspace,
        settings: Settings | None = None,
        problem: str | None = None,
        office: Office | None = None,
    ) -> None:
        """`problem`: what is wrong with the settings file, so that the defaults hold. `office`: None is the user's own."""
        place = space.store.recall("place", {})
        # The first mode is the one that was left: Textual would first make an empty screen, and it costs a tenth of the start.
        self.DEFAULT_MODE = place["screen"] if place.get("screen") in MODES else FIRST  # type: ignore[misc]
        super().__init__()
        self.space = space
        self.settings = Settings() if settings is None else settings
        self.problem = problem
        self._office = office
        self.set_keymap(self.settings.keymap)
        self.desk = Desk(self, space, self.readonly)
        self.presets: dict[str, str] = space.store.recall("presets", {})
        self.looked: Looked | None = None
        self._is_begun = False
        self.memory: dict[str, Any] = {
            **{name: space.store.recall(name, default) for name, default in _REMEMBERED.items()},
            "place": place,
        }
        self._shown = Shown()

    def on_load(self) -> None:
        self.desk.begin(self.presets)

    def newest_look(self) -> Looked | None:
        """What was seen last. The very first look is waited for a little, so that the first frame is whole, and drawn once."""
        if self.looked is None and not self._is_begun:
            self.looked = self.desk.first_look(_PATIENCE_S)
        self._is_begun = True
        return self.looked

    def on_mount(self) -> None:
        self.choose_theme(first_theme(self.settings, self.space.store.recall("theme"), os.environ))
        self.theme_changed_signal.subscribe(self, lambda theme: self.remember("theme", theme.name))
        self.screen_change_signal.subscribe(self, lambda _: let_go())
        for left in (self.app_suspend_signal, self.app_resume_signal):
            left.subscribe(self, lambda _: self._shown.forget())
        self.back_to_run(self.recalled("place", {}).get("run"))
        self.set_interval(self.settings.look_every_s, self.look)
        if self.looked is None:
            self.look()

    def on_ready(self) -> None:
        self.call_after_refresh(self.after_first_frame)

    def after_first_frame(self) -> None:
        """What the first frame did without, while it is being looked at."""
        collector.work()
        for sheet in sorted(Path(__file__).parent.joinpath("screens").glob("*.tcss")):
            if not self.stylesheet.has_source(str(sheet), ""):
                self.stylesheet.read(sheet)
        self.stylesheet.reparse()

    def choose_theme(self, name: str) -> None:
        """A theme by name; one that does not exist is told with the nearest that does."""
        if name in self.available_themes:
            self.theme = name
        else:
            self.problem = f"there is no theme {name!r}{nearest(name, list(self.available_themes))}"
        if self.problem is not None:
            self.say(self.problem, "warning")

    @cached_property
    def launching(self) -> Launching:
        """From a step to something that runs; comes with the first launch."""
        from console.launch.start import Launching

        return Launching(self)

    @property
    def readonly(self) -> bool:
        return self.settings.readonly

    @property
    def plain(self) -> bool:
        return self.settings.plain

    def get_line_filters(self) -> Sequence[LineFilter]:
        filters = super().get_line_filters()
        if not self.plain:
            return filters
        from console.paint.plain import Plain

        return [*filters, Plain()]

    def on_resize(self) -> None:
        """Also whenever the terminal is taken back from another program."""
        self._shown.forget()

    def _display(self, screen: Screen[Any], renderable: Any) -> None:
        """Every picture comes through here; what of it stands on the terminal already is not written again."""
        super()._display(screen, self._shown.through(renderable))

    def on_unmount(self) -> None:
        self.desk.close()

    @property
    def office(self) -> Office:
        """Where machines are rented; made when it is first asked for, because it brings the HTTP client."""
        if self._office is None:
            from console.rental.office import own_office

            self._office = own_office(self.space.root)
        return self._office

    def run_outside(self, argv: Sequence[str]) -> None:
        """Give the terminal to another program until it ends."""
        try:
            with self.suspend():
                done = subprocess.run(argv, check=False)
        except SuspendNotSupported:
            self.say(f"this terminal can't be lent; in another one: {shlex.join(argv)}", "warning")
        else:
            if done.returncode:
                self.say(f"{argv[0]} ended with {done.returncode}", "warning")

    @property
    def burning(self) -> Burning | None:
        return self.looked.burning if self.looked is not None else None

    # Keys and palette

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The palette: Textual's own, and every key of the screen one stands on."""
        yield from super().get_system_commands(screen)
        name = screen_name(screen)
        for key in (*keys_of(name, self.settings.keymap), *keys_of("everywhere", self.settings.keymap)):
            action = key.action if "." in key.action else f"screen.{key.action}"
            yield SystemCommand(key.words, key.help or f"On {name}", lambda a=action: self.run_action_later(a))

    def name_of(self, screen: Screen[Any]) -> str:
        return screen_name(screen)

    async def run_action(self, action: Any, default_namespace: Any = None, namespaces: Any = None) -> bool:
        """Every key and every command of the palette comes through here; under `--readonly` those that change are refused."""
        name = action if isinstance(action, str) else action[1]
        key = changing(screen_name(self.screen), name) if self.readonly else None
        if key is not None:
            self.say(f"read-only: {key.words} would change something", "warning")
            return True
        return await super().run_action(action, default_namespace, namespaces)

    def run_action_later(self, action: str) -> None:
        self.call_later(self.run_action, action)

    async def action_quit(self) -> None:
        """Runs go on; asked about only where the settings say so."""
        if "quit" not in self.settings.confirm:
            await super().action_quit()
            return

        from console.screens.dialogs import Confirm

        def sure(yes: bool | None) -> None:
            if yes:
                self.exit()

        self.push_screen(Confirm("Leave the console?", "runs and plans go on without it"), sure)

    # The world

    def look(self) -> None:
        self.desk.look(self.presets)

    def on_looked(self, message: Looked) -> None:
        before, self.looked = self.looked, message
        for screen in reversed(self.screen_stack):
            # One on its way out has no widgets any more; one of another mode, or under another, is told when it is shown again.
            if isinstance(screen, ConsoleScreen) and screen.is_mounted and screen.display:
                screen.show(message)
                screen.freshen()
            if not screen.is_modal:
                break
        if before is not None:
            tell_ticks(self, before, message)

    def remember(self, name: str, value: Any) -> None:
        """Keep what was chosen, for the next time."""
        if self.memory.get(name) != value:
            self.memory[name] = value

            def keep(space: Workspace) -> None:
                space.store.remember(name, value)

            self.desk.find_out(keep)

    def recalled(self, name: str, default: Any) -> Any:
        return self.memory.get(name, default)

    # Moving

    def back_to_run(self, run_id: str | None) -> None:
        """The run that stood open when the console was left, where it is still there."""
        if run_id and self.space.root.run(run_id).spec.exists():
            self.call_later(self.open_run, run_id)

    def action_show(self, name: str) -> None:
        """One key away: the screen of this name, whatever stood over it."""
        self.switch_mode(name)
        while len(self.screen_stack) > 1:
            self.pop_screen()
        self.remember("place", {"screen": name})

    def action_jump(self) -> None:
        """Letters on the panes of this screen."""
        from console.jump import JumpScreen, panes_of

        def to(pane: Widget | None) -> None:
            if pane is not None and pane.is_attached:
                pane.focus()

        if isinstance(self.screen, ConsoleScreen):
            self.push_screen(JumpScreen(panes_of(self.screen)), to)

    def action_notes(self) -> None:
        from console.screens.notes import NotesScreen

        self.push_screen(NotesScreen())

    def action_help(self) -> None:
        from console.screens.help import HelpScreen

        self.push_screen(HelpScreen(screen_name(self.screen), self.settings.keymap))

    def open_run(self, run_id: str) -> None:
        from console.screens.run import RunScreen

        self.push_screen(RunScreen(self.space.root.run(run_id)), lambda _: self.remember_place())
        self.remember_place(run_id)

    def remember_place(self, run_id: str | None = None) -> None:
        self.remember("place", {"screen": self.current_mode, **({"run": run_id} if run_id else {})})

    def crumbs_below(self, screen: Screen[Any]) -> list[str]:
        """The crumbs of what lies under a screen that opens over others: its first word is enough."""
        first = self.screen_stack[0]
        return first.crumbs[:1] if isinstance(first, ConsoleScreen) and first is not screen else []

    def say(self, words: str, severity: SeverityLevel = "information") -> None:
        self.notify(words, severity=severity, markup=False)

    # Acting

    def on_install_line(self, message: InstallLine) -> None:
        from console.screens.dialogs import Installing

        if isinstance(self.screen, Installing):
            self.screen.add(message.line)

    def on_installed(self, message: Installed) -> None:
        from console.screens.dialogs import Installing

        if isinstance(self.screen, Installing):
            self.pop_screen()
        self.launching.installed(message)

    def on_rehearsed(self, message: Rehearsed) -> None:
        from console.screens.launch import LaunchDialog

        if isinstance(self.screen, LaunchDialog):
            self.screen.show(message.rehearsal)

    def on_host_heard(self, message: HostHeard) -> None:
        self.launching.heard(message)

    def on_advised(self, message: Advised) -> None:
        from console.screens.page import Page
        from console.screens.run import RunScreen

        if message.as_page and message.advice is None:
            self.say("nothing is wrong with its run")
        elif message.as_page and message.advice is not None:
            self.push_screen(Page(f"What now with {message.run_id}", message.advice.as_markdown()))
        for screen in self.screen_stack:
            if isinstance(screen, RunScreen) and screen.run_id == message.run_id and screen.is_mounted:
                screen.advised(message.advice)

    def on_started(self, message: Started) -> None:
        self.say(message.words)
        self.open_run(message.run_id)
        self.look()

    def on_done(self, message: Done) -> None:
        self.say(message.words)
        self.look()

    def on_asked(self, message: Asked) -> None:
        message.ask(self, message.about)

    def on_registry_seen(self, message: RegistrySeen) -> None:
        self._to_registry(lambda screen: screen.on_registry_seen(message))

    def on_registry_told(self, message: RegistryTold) -> None:
        self._to_registry(lambda screen: screen.hear(message))

    def _to_registry(self, tell: Callable[[RegistryScreen], None]) -> None:
        """The desk answers the app; its answers about the registry are the screen's."""
        from console.screens.registry import RegistryScreen

        for screen in self.screen_stack:
            if isinstance(screen, RegistryScreen) and screen.is_mounted:
                tell(screen)

    def on_refused(self, message: Refused) -> None:
        self.say(message.words + ways_out(self.space.project.configs, message.words), "error")


def screen_name(screen: Screen[Any]) -> str:
    """Its name in the table of keys."""
    return type(screen).__name__.removesuffix("Screen").lower()
