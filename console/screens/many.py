"""What the screens of many runs do to runs: tag, note, run again, delete. Asks first; the desk does it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, Label

from console.launch.resolved import whoami
from console.messages import Asked, Done
from console.runs.notes import check_tag, tag_changes
from console.screens.dialog import Dialog
from console.screens.dialogs import Ask, Confirm

if TYPE_CHECKING:
    from console.app import ConsoleApp
    from console.runs.again import Again
    from console.runs.deleting import Doomed
    from console.workspace import Workspace


def tag(app: ConsoleApp, run_ids: Sequence[str]) -> None:
    """Ask for tags, put them on."""
    if not run_ids:
        return

    def put(words: str | None) -> None:
        add, remove = tag_changes((words or "").split())

        def work(space: Workspace) -> Done:
            for word in (*add, *remove):
                check_tag(word)
            space.store.notes.tag(run_ids, add, remove, whoami(), time.time())
            return Done(f"tagged {_many(run_ids)}")

        if words:
            app.desk.do(work)

    app.push_screen(Ask(f"Tags of {_many(run_ids)}", "good best-so-far -debug (a minus takes a tag off)"), put)


def note(app: ConsoleApp, run_id: str) -> None:
    """Ask for a note on a run, keep it."""
    _ask_note(app, f"Note on {run_id}", lambda space: (row.phase if (row := space.store.run(run_id)) else "", run_id))


def note_phase(app: ConsoleApp, phase: str) -> None:
    """The same on a phase."""
    _ask_note(app, f"Note on {phase}", lambda space: (phase, None))


def _ask_note(app: ConsoleApp, title: str, about: Callable[[Workspace], tuple[str, str | None]]) -> None:
    def keep(words: str | None) -> None:
        kind, body = ("learning", words[1:]) if words and words.startswith("!") else ("note", words or "")

        def work(space: Workspace) -> Done:
            phase, run_id = about(space)
            row = space.store.run(run_id) if run_id else None
            project = row.project if row else space.project.name
            space.store.notes.add(kind, project, phase, run_id, body, whoami(), time.time())
            return Done(f"{kind} kept")

        if words:
            app.desk.do(work)

    app.push_screen(Ask(title, "what is to be kept; begin with ! for a learning beyond this run"), keep)


def rerun(app: ConsoleApp, run_id: str) -> None:
    """Find out what would run, then ask."""
    from console.runs.again import again

    app.desk.find_out(lambda space: Asked(_ask_rerun, again(space, run_id)))


def _ask_rerun(app: ConsoleApp, what: Again) -> None:
    from console.launch.start import Wish
    from console.screens.launch import Launch

    def sure(yes: bool | None) -> None:
        if yes:
            app.launching.start(Wish(what.phase, what.step.step), Launch(what.preset, what.overrides, what.host))

    hint = "with the source as it is today; the old run stays as it is"
    app.push_screen(Confirm(f"Run again {what.words}?", hint), sure)


def delete(app: ConsoleApp, run_ids: Sequence[str]) -> None:
    """Find out what would go and what speaks against it, then ask, one run after the other."""
    from console.runs.deleting import weigh

    if run_ids:
        app.desk.find_out(lambda space: Asked(_ask_delete, [weigh(space, run_id) for run_id in run_ids]))


def _ask_delete(app: ConsoleApp, every: list[Doomed]) -> None:
    live = [d for d in every if d.live]
    if live:
        app.say(f"{live[0].run_id} is {live[0].state}: stop it first", "error")
        return

    def sure(answer: DeleteAnswer | None) -> None:
        if answer is None:
            return
        from console.runs.deleting import delete as really

        def work(space: Workspace) -> Done:
            said = [really(space, doomed, answer.with_files, answer.reason) for doomed in every]
            return Done(said[0] if len(said) == 1 else f"{len(said)} runs deleted")

        app.desk.do(work)
        gone = {d.run_id for d in every}
        app.remember("marked", [m for m in app.recalled("marked", []) if m not in gone])

    app.push_screen(DeleteDialog(every), sure)


class DeleteAnswer:
    """The user means it."""

    def __init__(self, with_files: bool, reason: str | None) -> None:
        self.with_files, self.reason = with_files, reason


class DeleteDialog(Dialog[DeleteAnswer | None]):
    """What goes, what stays, what speaks against it; typed, so that no key pressed by mistake deletes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel"),
        Binding("ctrl+f", "files", "Its files too", priority=True),
    ]

    def __init__(self, every: list[Doomed]) -> None:
        super().__init__()
        self.every, self.with_files = every, False

    @property
    def word(self) -> str:
        """What is to be typed: the end of the run's id, or how many."""
        return self.every[0].run_id[-5:] if len(self.every) == 1 else str(len(self.every))

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Label(f"Delete {_many([d.run_id for d in self.every])}?", classes="title", markup=False)
            yield Label("", id="goes", markup=False)
            yield Label("", id="against", classes="problem", markup=False)
            yield Input(id="word")
            yield Label("", id="how", classes="hint", markup=False)

    def on_mount(self) -> None:
        self.say()

    def say(self) -> None:
        shown = self.every[:4]
        several = len(self.every) > 1
        lines = [f"{d.run_id} " * several + d.words(self.with_files) for d in shown]
        lines += ["…"] if len(self.every) > len(shown) else []
        self.query_one("#goes", Label).update("\n".join(lines))
        against = self.objections
        self.query_one("#against", Label).update("\n".join(f"✗ {o}" for o in against[:5]))
        reason = " and a reason" if against else ""
        self.query_one("#word", Input).placeholder = f"{self.word}{' because …' if against else ''}"
        files = "leaves its files" if self.with_files else "takes its files too"
        self.query_one("#how", Label).update(f"type {self.word}{reason}, enter deletes · ctrl+f {files} · esc cancels")

    @property
    def objections(self) -> list[str]:
        return [o for d in self.every for o in d.objections(self.with_files)]

    def action_files(self) -> None:
        self.with_files = not self.with_files
        self.say()

    def on_input_submitted(self, message: Input.Submitted) -> None:
        word, _, reason = message.value.strip().partition(" ")
        if word != self.word or (self.objections and not reason.strip()):
            self.query_one("#how", Label).add_class("problem")
            return
        self.dismiss(DeleteAnswer(self.with_files, reason.strip() or None))

    def action_cancel(self) -> None:
        self.dismiss(None)


def _many(run_ids: Sequence[str]) -> str:
    return run_ids[0] if len(run_ids) == 1 else f"{len(run_ids)} runs"
