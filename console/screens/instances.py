"""Rented machines: what there is and costs, what runs and until when, the way in, and the way out with nothing lost.

Everything it does is a verb `instances …` in a thread of its own; it looks every few seconds while it is on show.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import OptionList, Static

from console.errors import foreseen
from console.keys import bindings
from console.messages import RentalDone, RentalSaid
from console.rental.shown import machine_line, machine_page, type_line
from console.screens.dialogs import Ask, Confirm
from console.screens.frame import ConsoleScreen
from console.widgets.keyline import KeyLine
from console.widgets.masthead import Masthead
from console.widgets.rows import Rows

_LOOK_S = 5.0  # one request; the account allows one a second to all consoles and guards together
_TYPES_S = 60.0
FIRST = (
    "Types and what is rented come from your Lambda account. Without one: fractal-console --demo shows this screen over a "
    "fake account, and fractal-console hosts add NAME --ssh USER@HOST names a machine of your own to run on."
)


class InstancesScreen(ConsoleScreen):
    CSS_PATH = Path(__file__).with_name("instances.tcss")
    BINDINGS: ClassVar[list[BindingType]] = list(bindings("instances"))
    HORIZONTAL_BREAKPOINTS = [(0, "-small"), (120, "-normal")]

    def __init__(self) -> None:
        super().__init__()
        self.machines: dict[str, dict[str, Any]] = {}
        self.types: dict[str, dict[str, Any]] = {}
        self.stages: dict[str, list[str]] = {}
        self.guard_here = ""
        self._looking: set[str] = set()

    def compose(self) -> ComposeResult:
        yield Masthead()
        with Horizontal(id="rental"):
            with Vertical(id="rental-left"):
                yield Rows(id="machines", title="Rented")
                yield Rows(id="types", title="Types")
            with Vertical(id="rental-right"):
                with VerticalScroll(id="machine", classes="pane"):
                    yield Static("", id="machine-page", markup=False)
                with VerticalScroll(id="inside", classes="pane"):
                    yield Static("", id="inside-page", markup=False)
        yield Static("", id="rental-problem", markup=False)
        yield KeyLine()

    def on_mount(self) -> None:
        self.query_one("#machine").border_title = "Machine"
        self.query_one("#inside").border_title = "Inside"
        self.query_one("#inside-page", Static).update("i looks into the chosen\nmachine: its processes\nand nvidia-smi")
        self.query_one("#machine-page", Static).update(FIRST)
        self.rows("machines").focus()
        self.action_refresh()
        self.set_interval(_LOOK_S, self.look)
        self.set_interval(_TYPES_S, lambda: self.look("types"))

    @property
    def crumbs(self) -> list[str]:
        demo = ["DEMO, no money"] if self.app.office.is_demo else []
        return ["Instances", *demo, *([self.rows("machines").chosen or ""] if self.machines else [])]

    def rows(self, name: str) -> Rows:
        return self.query_one(f"#{name}", Rows)

    # Asking

    def look(self, verb: str = "list") -> None:
        """Once at a time, and only while somebody looks."""
        if self.is_current and verb not in self._looking:
            self._looking.add(verb)
            self.do([verb])

    def action_refresh(self) -> None:
        for verb in ("list", "types"):
            self.look(verb)

    def do(self, typed: Sequence[str]) -> None:
        """A verb in a thread of its own: each opens its own ledger, and none is waited for when the console ends."""
        office, name = self.app.office, typed[1] if len(typed) > 1 else ""

        def work() -> None:
            try:
                answer = RentalDone(tuple(typed), office.do(typed, lambda words: _post(self, RentalSaid(name, words))))
            except Exception as error:  # an edge: a bug in a thread is told, not lost
                line = foreseen(error) or f"{type(error).__name__}: {error} (this is a bug)"
                answer = RentalDone(tuple(typed), None, line)
            _post(self, answer)

        threading.Thread(target=work, daemon=True, name=f"rental {typed[0]}").start()

    def change(self, typed: Sequence[str]) -> None:
        """The same for what changes something: refused where one only looks."""
        if self.app.readonly:
            self.app.say("this console was opened read-only: nothing was changed", "error")
        else:
            self.do(typed)

    # Hearing

    def on_rental_said(self, message: RentalSaid) -> None:
        lines = self.stages.setdefault(message.name, [])
        self.stages[message.name] = [*lines, message.words][-12:]
        self.show_machine()

    def on_rental_done(self, message: RentalDone) -> None:
        verb = message.typed[0]
        self._looking.discard(verb)
        self.tell_problem(verb, message.problem)
        if message.table is not None:
            _HEARD.get(verb, InstancesScreen.heard_deed)(self, message)
        elif verb not in ("list", "types"):
            self.app.say(message.problem, "error")

    def tell_problem(self, verb: str, problem: str) -> None:
        """What keeps the lists from being true stands below them until it is mended."""
        if verb in ("list", "types"):
            line = self.query_one("#rental-problem", Static)
            line.update(f"✗ {problem}" if problem else "")
            line.set_class(bool(problem), "-some")

    def heard_list(self, message: RentalDone) -> None:
        assert message.table is not None
        self.machines = {told["name"]: told for told in message.table.data}
        self.guard_here = message.table.note.partition("guard on this computer: ")[2]
        pane = self.rows("machines")
        pane.show([(name, machine_line(told)) for name, told in self.machines.items()])
        pane.border_title = f"Rented — {message.table.note}"
        self.show_machine()
        self.freshen()

    def heard_types(self, message: RentalDone) -> None:
        assert message.table is not None
        self.types = {told["name"]: told for told in message.table.data}
        self.rows("types").show([(name, type_line(told)) for name, told in self.types.items()])

    def heard_inside(self, message: RentalDone) -> None:
        assert message.table is not None
        self.query_one("#inside").border_title = f"Inside {message.typed[1]}"
        self.query_one("#inside-page", Static).update("\n".join(row[0] for row in message.table.rows))

    def heard_shell(self, message: RentalDone) -> None:
        assert message.table is not None
        self.app.run_outside(message.table.data["argv"])

    def heard_launch(self, message: RentalDone) -> None:
        """Rented: say so, and wait for its login stage by stage."""
        assert message.table is not None
        if message.table.code == 0:
            name = message.table.rows[0][0]
            self.app.say(f"rented {name}; waiting for its login")
            self.do(["wait", name])
        self.heard_deed(message)

    def heard_end(self, message: RentalDone) -> None:
        """Ended; or refused, because files there are not verified here."""
        assert message.table is not None
        left = (message.table.data or {}).get("unverified")
        if not left:
            self.heard_deed(message)
            return
        name = message.typed[1]

        def typed(word: str | None) -> None:
            if word == name:
                self.change(["terminate", name, "--lose-files", name])
            elif word is not None:
                self.app.say(f"{word!r} is not {name!r}: it keeps running", "warning")

        lines = "\n".join(f"  {line}" for line in left[:8]) + (f"\n  and {len(left) - 8} more" if len(left) > 8 else "")
        title = f"{name} keeps running: these are not verified here.\n{lines}\nType its name to end it and lose them."
        self.app.push_screen(Ask(title, f"esc keeps {name}; fractal-console pull RUN brings files here"), typed)

    def heard_deed(self, message: RentalDone) -> None:
        assert message.table is not None
        said = "  ".join(" ".join(row) for row in message.table.rows[:2])
        words = f"{message.typed[0]}: {said}" + (f"; {message.table.note}" if message.table.note else "")
        self.app.say(words, "warning" if message.table.code else "information")
        self.app.look()
        self.look()

    # Showing

    def show_machine(self) -> None:
        name = self.rows("machines").chosen
        told = self.machines.get(name or "")
        page = self.query_one("#machine-page", Static)
        if told is None:
            page.update("Nothing is rented. Choose a type below and press enter: caps are asked first.")
        else:
            page.update(machine_page(told, self.stages.get(told["name"], ()), self.guard_here))

    def on_option_list_option_highlighted(self, message: OptionList.OptionHighlighted) -> None:
        if message.option_list.id == "machines":
            self.show_machine()
            self.freshen()

    def on_option_list_option_selected(self, message: OptionList.OptionSelected) -> None:
        self.action_choose()

    # What keys do

    def chosen_machine(self) -> str | None:
        name = self.rows("machines").chosen
        if name is None:
            self.app.say("nothing is rented: l rents the chosen type", "warning")
        return name

    def action_choose(self) -> None:
        if self.focused is not None and self.focused.id == "types":
            self.run_worker(self.app.run_action("screen.launch"))
        else:
            self.action_inside()

    def action_launch(self) -> None:
        """Caps first; nothing is asked of the provider before they are agreed to."""
        from console.screens.rent import RentDialog

        kind = self.types.get(self.rows("types").chosen or "")
        if kind is None:
            self.app.say("no types are known yet; u looks again", "warning")
            return
        base = kind["name"].replace("_", "-")
        name = next(n for n in (base, *(f"{base}-{i}" for i in range(2, 99))) if n not in self.machines)

        def agreed(typed: list[str] | None) -> None:
            if typed is not None:
                self.change(typed)

        self.app.push_screen(RentDialog(kind, name, self.app.settings.launch), agreed)

    def on_chosen(self, then: Callable[[str], None]) -> None:
        name = self.chosen_machine()
        if name is not None:
            then(name)

    def action_inside(self) -> None:
        self.on_chosen(lambda name: self.do(["ps", name]))

    def action_wait(self) -> None:
        self.on_chosen(lambda name: self.do(["wait", name]))

    def action_ssh(self) -> None:
        self.on_chosen(lambda name: self.change(["ssh", name, "--json"]))

    def action_adopt(self) -> None:
        self.on_chosen(lambda name: self.change(["adopt", str(self.machines[name]["id"])]))

    def action_arm(self) -> None:
        """The key is full-power: asked about each time."""

        def ask(name: str) -> None:
            question = f"The API key is full-power. Put it into the memory of {name}, readable by root there?"
            self.sure(
                question, "the guard there then ends the bill also while this computer sleeps", ["arm", name, "--yes"]
            )

        self.on_chosen(ask)

    def action_extend(self) -> None:
        def ask(name: str) -> None:
            def said(hours: str | None) -> None:
                if hours is not None:
                    self.change(["extend", name, "--hours", hours]) if _is_number(hours) else self.app.say(
                        f"{hours!r} is no number of hours", "warning"
                    )

            self.app.push_screen(Ask(f"How many more hours for {name}?", "the dollars grow with them"), said)

        self.on_chosen(ask)

    def action_terminate(self) -> None:
        def ask(name: str) -> None:
            told = self.machines[name]
            words = f"{told['type']} {told['address'] or ''}; refused while files there are not verified here"
            self.sure(f"End {name}?", words, ["terminate", name])

        self.on_chosen(ask)

    def sure(self, question: str, hint: str, typed: Sequence[str]) -> None:
        def answered(yes: bool | None) -> None:
            if yes:
                self.change(typed)

        self.app.push_screen(Confirm(question, hint), answered)


_HEARD: dict[str, Callable[[InstancesScreen, RentalDone], None]] = {
    "list": InstancesScreen.heard_list,
    "types": InstancesScreen.heard_types,
    "ps": InstancesScreen.heard_inside,
    "ssh": InstancesScreen.heard_shell,
    "launch": InstancesScreen.heard_launch,
    "terminate": InstancesScreen.heard_end,
}


def _post(screen: InstancesScreen, message: RentalDone | RentalSaid) -> None:
    """To a screen that may be gone by now."""
    if screen.is_attached:
        screen.post_message(message)


def _is_number(text: str) -> bool:
    try:
        return 0 < float(text) < float("inf")
    except ValueError:
        return False
