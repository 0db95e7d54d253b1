"""What every screen of the console has: the line on top, a name, its place among the others, the pane one was in.

A screen says where one is (`crumbs`) and takes over the newest look at the world (`show`); the frame does the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

from textual._context import active_app
from textual.screen import Screen

from console.terminal.painter import Painter
from console.widgets.masthead import Masthead

if TYPE_CHECKING:
    from textual import events
    from textual.widgets import Input

    from console.app import ConsoleApp
    from console.messages import Looked

Thing = TypeVar("Thing")


class ConsoleScreen(Screen[None]):
    """Compose begins with `yield Masthead()` and ends with `yield KeyLine()`."""

    app: ConsoleApp
    _is_settled = False

    def __init__(self) -> None:
        app = cast("ConsoleApp | None", active_app.get(None))
        super().__init__(classes=" ".join(self.first_classes(app)) if app is not None else None)
        self._compositor = Painter()

    def first_classes(self, app: ConsoleApp) -> list[str]:
        """Those that the first resize would bring, and with it a second styling and layout of everything."""
        size = app.size
        of_width = [name for least, name in sorted(self.HORIZONTAL_BREAKPOINTS or ()) if size.width >= least]
        of_height = [name for least, name in sorted(self.VERTICAL_BREAKPOINTS or ()) if size.height >= least]
        return [*of_width[-1:], *of_height[-1:], *(["-plain"] if app.plain else [])]

    @property
    def crumbs(self) -> list[str]:
        """Where one is, from the screen's name inwards."""
        return [type(self).__name__.removesuffix("Screen")]

    def show(self, looked: Looked) -> None:
        """Take over the newest look at the world."""

    def on_mount(self) -> None:
        self.call_after_refresh(self.back_to_pane, self.app.recalled("panes", {}).get(self.name_in_keys))

    def on_screen_resume(self) -> None:
        looked = self.app.newest_look()
        if looked is not None and self.is_mounted:
            self.show(looked)
        self.freshen()

    def freshen(self) -> None:
        """Bring the line on top up to date."""
        for masthead in self.query(Masthead):
            masthead.show(self.crumbs, self.app.burning, self.app.readonly)

    def type_into(self, box: Input) -> None:
        """Open a box and give it the focus at once: keys typed ahead are its text, not the commands of those letters."""
        box.add_class("-open")
        self.app.stylesheet.apply(box)  # else it can't have the focus before the next idle moment
        self.set_focus(box)

    def needed(self, thing: Thing | None, lacks: str) -> Thing | None:
        """What a key acts on; where there is nothing, a line that says so instead of silence."""
        if not thing:
            self.app.say(lacks, "warning")
        return thing

    # The pane one was in

    @property
    def name_in_keys(self) -> str:
        return type(self).__name__.removesuffix("Screen").lower()

    def back_to_pane(self, pane: str | None) -> None:
        for widget in self.query(f"#{pane}") if pane else ():
            widget.focus()
        self.call_after_refresh(self._remember_panes)

    def _remember_panes(self) -> None:
        """Only from now on: the focus that a screen begins with is nobody's choice."""
        self._is_settled = True

    def on_descendant_focus(self, message: events.DescendantFocus) -> None:
        pane = message.widget.id
        if self._is_settled and pane and message.widget.has_class("pane"):
            self.app.remember("panes", {**self.app.recalled("panes", {}), self.name_in_keys: pane})
