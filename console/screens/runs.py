"""Every run ever: asked by a query, sorted by any column, marked, tagged, noted, compared, run again, deleted with care."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Input, Static

from console.errors import in_words
from console.keys import bindings
from console.messages import Found, Looked
from console.paint.runs import run_cells, run_columns, run_words
from console.runs.index import RunIndex, Sort
from console.runs.query import parse, resolved
from console.screens import many
from console.screens.frame import ConsoleScreen
from console.widgets.keyline import KeyLine
from console.widgets.masthead import Masthead
from console.widgets.table import Cell, VirtualTable

_ASK_AGAIN_S = 10.0  # how soon a query over ages and costs is asked anew although nothing was written
_MOST_MARKED_AT_ONCE = 200
_NATURAL_DESCENDING = ("took", "cost", "seed")


class RunsScreen(ConsoleScreen):
    CSS_PATH = Path(__file__).with_name("runs.tcss")
    BINDINGS: ClassVar[list[BindingType]] = list(bindings("runs"))

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.sort = Sort()
        self.all_projects = False
        self.asked: list[str] = []
        self.problem = ""
        self._moves = False
        self._seen: tuple[int, float] = (-1, 0.0)
        """The index's version and the time of the last answer."""

    def compose(self) -> ComposeResult:
        yield Masthead()
        yield VirtualTable(self.cells_of, id="run-table")
        yield Static("", id="run-about")
        yield Input(
            placeholder="phase:7 cfg.lr>=1e-4 eval/accuracy>0.9 tag:x state:failed age<7d -note:debug words",
            select_on_focus=False,
            id="filter",
        )
        yield KeyLine()

    def on_mount(self) -> None:
        self.index = RunIndex(self.app.space.store)
        kept = self.app.recalled("runs", {})
        self.text = kept.get("query", "")
        self.sort = Sort(kept.get("sort", "age"), bool(kept.get("descending", False)))
        self.all_projects = bool(kept.get("all", False))
        self.query_one("#filter", Input).value = self.text
        self.query_one("#filter").set_class(bool(self.text), "-open")
        self.table.show_columns(run_columns([], self.all_projects))
        self.table.focus()
        self.ask()

    def on_unmount(self) -> None:
        self.index.close()

    @property
    def table(self) -> VirtualTable:
        return self.query_one("#run-table", VirtualTable)

    @property
    def crumbs(self) -> list[str]:
        return ["Runs", self.text] if self.text else ["Runs"]

    # Asking

    def show(self, looked: Looked) -> None:
        """Ask again where the index has news, else only bring ages up to date."""
        version, then = self._seen
        if self.index.version() != version or (self._moves and time.monotonic() - then > _ASK_AGAIN_S):
            self.ask()
        else:
            self.table.freshen()

    def ask(self) -> None:
        """Have a thread ask the index; the newest question counts."""
        self._seen = (self.index.version(), time.monotonic())
        self.run_worker(self._answer, thread=True, exclusive=True, group="ask")

    def _answer(self) -> None:
        text, sort, project = self.text, self.sort, None if self.all_projects else self.app.space.project.name
        index = RunIndex(self.app.space.store)
        try:
            query = resolved(parse(text), index.names())
            ids = index.ids(query, project, sort)
            self.post_message(Found(text, ids, list(query.asked), query.moves))
        except Exception as error:
            self.post_message(Found(text, [], problem=in_words(error)))
        finally:
            index.close()

    def on_found(self, message: Found) -> None:
        if message.text != self.text:
            return  # typed on since
        self.problem = message.problem
        if not self.problem:  # while a word is half typed, what was found before stays
            self._moves = message.moves
            self.asked = message.asked
            self.table.empty = "no run meets this query" if self.text else "no runs yet: 1, then r or R, starts one"
            self.table.show_columns(run_columns(message.asked, self.all_projects))
            self.table.show_ids(message.ids)
        self.show_heads()
        self.show_about()

    def cells_of(self, ids: Sequence[str]) -> Mapping[str, Mapping[str, Cell]]:
        now = time.time()
        return {run_id: run_cells(line, now) for run_id, line in self.index.lines(ids, self.asked).items()}

    def show_heads(self) -> None:
        """The title with what is marked and what is wrong with the query; the column that sorts."""
        marked = self.app.recalled("marked", [])
        where = "every project" if self.all_projects else ""
        said = [f"Runs — {len(self.table.ids)}", where, f"{len(marked)} marked" if marked else ""]
        self.table.border_title = " · ".join(filter(None, said))
        self.table.border_subtitle = self.problem
        self.table.set_class(bool(self.problem), "-problem")
        down = self.sort.descending != (self.sort.field == "age")
        signs = (" down", " up") if self.app.plain else (" ▼", " ▲")
        self.table.sorted_by = (self.sort.field, signs[0] if down else signs[1])
        self.table.mark(marked)
        self.table.refresh()
        self.freshen()

    def show_about(self) -> None:
        about = self.query_one("#run-about", Static)
        chosen = self.table.chosen
        line = self.index.lines([chosen]).get(chosen) if chosen is not None else None
        about.set_class(line is not None, "-some")
        if line is not None:
            about.update(run_words(line, self.index.notes_of(line.row.run_id)))

    def on_virtual_table_moved(self) -> None:
        self.show_about()

    # What keys do

    def on_virtual_table_chosen(self) -> None:
        self.action_choose()

    def action_choose(self) -> None:
        chosen = self.needed_run()
        if chosen is not None:
            self.app.open_run(chosen)

    def action_filter(self) -> None:
        box = self.query_one("#filter", Input)
        self.type_into(box)
        box.action_end()

    def on_input_changed(self, message: Input.Changed) -> None:
        if message.value.strip() != self.text:
            self.text = message.value.strip()
            self.remember()
            self.set_timer(0.12, self._ask_if_still(self.text))

    def _ask_if_still(self, text: str) -> Callable[[], None]:
        """A question a word, not a letter."""

        def ask() -> None:
            if self.text == text:
                self.ask()

        return ask

    def on_input_submitted(self) -> None:
        self.query_one("#filter").set_class(bool(self.text), "-open")
        self.table.focus()

    def action_clear_filter(self) -> None:
        """First the query, then the marks."""
        box = self.query_one("#filter", Input)
        if not self.text and not box.has_focus:
            self.app.remember("marked", [])
        box.value = self.text = ""
        box.remove_class("-open")
        self.table.focus()
        self.remember()
        self.ask()

    def action_mark(self) -> None:
        """Mark the highlighted run, or take the mark off, and go on to the next."""
        chosen = self.needed_run()
        if chosen is None:
            return
        marked = list(self.app.recalled("marked", []))
        self.app.remember("marked", [m for m in marked if m != chosen] if chosen in marked else [*marked, chosen])
        self.show_heads()
        self.table.action_cursor(1)

    def action_mark_all(self) -> None:
        """Everything that the query found; again: nothing."""
        if self.needed_run() is None:
            return
        shown = list(self.table.ids[:_MOST_MARKED_AT_ONCE])
        marked = self.app.recalled("marked", [])
        all_marked = bool(shown) and set(shown) <= set(marked)
        self.app.remember("marked", [] if all_marked else list(dict.fromkeys([*marked, *shown])))
        if len(self.table.ids) > len(shown) and not all_marked:
            self.app.say(f"marked the first {len(shown)} of {len(self.table.ids)}", "warning")
        self.show_heads()

    def action_sort(self) -> None:
        """By the next column that is shown."""
        keys = [c.key for c in self.table.shown_columns]
        at = keys.index(self.sort.field) if self.sort.field in keys else -1
        self.sort_by(keys[(at + 1) % len(keys)])

    def action_reverse(self) -> None:
        self.sort = Sort(self.sort.field, not self.sort.descending)
        self._sorted()

    def on_virtual_table_head_clicked(self, message: VirtualTable.HeadClicked) -> None:
        if message.key == self.sort.field:
            self.action_reverse()
        else:
            self.sort_by(message.key)

    def sort_by(self, key: str) -> None:
        """The interesting end first: the longest, the dearest, the best."""
        self.sort = Sort(key, key in _NATURAL_DESCENDING or key in self.asked)
        self._sorted()

    def _sorted(self) -> None:
        self.remember()
        self.show_heads()
        self.ask()

    def action_projects(self) -> None:
        self.all_projects = not self.all_projects
        self.remember()
        self.ask()

    def remember(self) -> None:
        kept = {
            "query": self.text,
            "sort": self.sort.field,
            "descending": self.sort.descending,
            "all": self.all_projects,
        }
        self.app.remember("runs", kept)

    # What changes runs

    @property
    def meant(self) -> list[str]:
        """The marked runs, else the highlighted one."""
        marked = self.app.recalled("marked", [])
        return list(marked) or ([self.table.chosen] if self.table.chosen is not None else [])

    def needed_run(self) -> str | None:
        return self.needed(self.table.chosen, self.table.empty)

    def action_tag(self) -> None:
        many.tag(self.app, self.needed(self.meant, self.table.empty) or [])

    def action_note(self) -> None:
        chosen = self.needed_run()
        if chosen is not None:
            many.note(self.app, chosen)

    def action_rerun(self) -> None:
        chosen = self.needed_run()
        if chosen is not None:
            many.rerun(self.app, chosen)

    def action_delete(self) -> None:
        many.delete(self.app, self.needed(self.meant, self.table.empty) or [])

    def action_compare(self) -> None:
        meant = self.needed(self.meant, self.table.empty)
        if not meant:
            return
        self.app.remember("marked", meant)
        self.run_worker(self.app.run_action("app.show('compare')"))
