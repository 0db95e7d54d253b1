"""The notes and learnings of the project over whatever screen one is on: searched as one types, written, crossed out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Input, Label, OptionList

from console.keys import bindings
from console.messages import Done
from console.runs.index import RunIndex
from console.runs.notes import Note
from console.screens import many
from console.screens.dialog import Dialog
from console.widgets.rows import Rows
from console.words import ago

if TYPE_CHECKING:
    from console.app import ConsoleApp
    from console.workspace import Workspace

_LOOK_S = 0.5


class NotesScreen(Dialog[None]):
    BINDINGS: ClassVar[list[BindingType]] = list(bindings("notes"))

    app: ConsoleApp

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[Note] = []
        self._seen = -1

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog notes"):
            yield Label("Notes and learnings", classes="title")
            yield Input(placeholder="words that must all be there", id="note-words")
            yield Rows(id="note-list", classes="")
            yield Label("", id="note-hint", classes="hint", markup=False)

    def on_mount(self) -> None:
        self.index = RunIndex(self.app.space.store)
        hint = f"enter opens the run · ctrl+n writes one on {self.phase or 'no phase'} · ctrl+t withdraws · esc closes"
        self.query_one("#note-hint", Label).update(hint)
        self.set_interval(_LOOK_S, self.look)
        self.look()

    def on_unmount(self) -> None:
        self.index.close()

    @property
    def phase(self) -> str:
        """The phase that was chosen last."""
        return str(self.app.recalled("phase", "")) or next(iter(self.app.space.project.phases.phases), "")

    def look(self) -> None:
        """Show them anew where something was written."""
        if self.index.version() != self._seen:
            self._seen = self.index.version()
            self.show_notes()

    def show_notes(self) -> None:
        words = self.query_one("#note-words", Input).value.split()
        self.notes = self.index.notes(words, self.app.space.project.name)[::-1]
        now = time.time()
        rows = self.query_one("#note-list", Rows)
        rows.show([(str(n.n), note_text(n, now)) for n in self.notes] or [("", Text("no notes", "dim"))])

    def on_input_changed(self) -> None:
        self.show_notes()

    def on_input_submitted(self) -> None:
        self.action_choose()

    def on_option_list_option_selected(self, message: OptionList.OptionSelected) -> None:
        self.action_choose()

    @property
    def chosen(self) -> Note | None:
        row = self.query_one("#note-list", Rows).chosen
        return next((n for n in self.notes if str(n.n) == row), None)

    def action_choose(self) -> None:
        note = self.chosen
        if note is None:
            self.app.say("there is no note to open; ctrl+n writes one", "warning")
        elif not note.run_id:
            self.app.say(f"it is about {note.phase}, not about a run", "warning")
        elif not self.app.space.paths(note.run_id).spec.exists():
            self.app.say(f"{note.run_id} is not here any more", "warning")
        else:
            self.dismiss(None)
            self.app.open_run(note.run_id)

    def action_add(self) -> None:
        if not self.phase:
            self.app.say("this project has no phase to write on: fractal-console init makes one", "warning")
        else:
            many.note_phase(self.app, self.phase)

    def action_withdraw(self) -> None:
        note = self.chosen
        if note is None:
            self.app.say("there is no note to withdraw", "warning")
            return

        def work(space: Workspace) -> Done:
            space.store.notes.withdraw(note.n, time.time())
            return Done(f"withdrawn: {note.kind} {note.n}")

        self.app.desk.do(work)

    def action_close(self) -> None:
        self.dismiss(None)


def note_text(note: Note, now: float) -> Text:
    """One note in two lines: what it is, then what it says."""
    text = Text()
    text.append(
        f"{note.n} {note.kind}", "bold" if note.kind == "learning" else "yellow" if note.kind == "deleted" else ""
    )
    text.append(f"  {note.run_id or note.phase}  {ago(note.at, now)} by {note.who}\n", "dim")
    text.append("  " + " ".join(note.body.split()))
    return text
