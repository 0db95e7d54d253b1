"""The first screen: phases on the left with their state; steps, gates and estimates of the chosen one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, OptionList, Static

from console import acting
from console.keys import bindings
from console.launch.resolved import all_presets
from console.paint.phases import gate_rows, goal_text, notes_text, notes_words, phase_line
from console.paint.steps import files_of, step_rows, sum_line
from console.screens.frame import ConsoleScreen
from console.widgets.keyline import KeyLine
from console.widgets.masthead import Masthead
from console.widgets.rows import Rows
from engine.protocol.checks import is_manual

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from console.messages import Looked
    from console.runs.notes import Note
    from console.standing import PhaseStanding
    from engine.config.phase import Phase

_FRAME = 4
"""Cells of a pane's border and padding."""
_MOST_TALL = 8
"""Steps that get a line for their files; more would push the gates out of sight."""
NO_PHASE = "no phase is chosen: esc clears the filter; fractal-console init makes a phase file"


class PhasesScreen(ConsoleScreen):
    BINDINGS: ClassVar[list[BindingType]] = list(bindings("phases"))
    HORIZONTAL_BREAKPOINTS = [(0, "-small"), (100, "-normal")]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (34, "-tall"), (56, "-huge")]

    def __init__(self) -> None:
        super().__init__()
        self.looked: Looked | None = None
        self.wanted = ""
        self._about: tuple[Phase, list[Note]] | None = None
        self._problems: list[str] | None = None
        self._files = ""
        self._listed: tuple[int, str] | None = None
        """What the list of phases was made for."""
        self._painted: PhaseStanding | None = None
        self._fitted: tuple[object, ...] = ()
        """The standing on show, and the widths that its lines were made for."""

    def compose(self) -> ComposeResult:
        yield Masthead()
        with Horizontal():
            with Vertical(id="left"):
                yield Rows(id="phase-list", title="Phases")
                yield Input(placeholder="filter phases", id="filter")
            with Vertical(id="right"):
                yield Static("", id="about", classes="pane")
                yield Rows(id="steps", title="Steps")
                yield Rows(id="gates", title="Gates")
        yield Static("", id="problems", markup=False)
        yield KeyLine()

    def on_mount(self) -> None:
        self.query_one("#phase-list").focus()
        self.query_one("#about").border_title = "Goal"
        looked = self.app.newest_look()
        if looked is None:
            names = list(self.app.space.project.phases.phases)
            self.rows("phase-list").show([(n, Text(n)) for n in names])
        else:
            self.show(looked)
        self.rows("phase-list").choose(self.app.recalled("phase", ""))

    def on_resize(self) -> None:
        """Lines are made for a width."""
        self.call_next(self.fit)

    def fit(self) -> None:
        if self.looked is not None:
            self.show(self.looked)

    @property
    def crumbs(self) -> list[str]:
        return ["Phases", *([self.standing.phase.phase] if self.standing is not None else [])]

    def rows(self, name: str) -> Rows:
        return self.query_one(f"#{name}", Rows)

    # What is shown

    def show(self, looked: Looked) -> None:
        """Take over the newest look at the world."""
        rows = self.rows("phase-list")
        width = rows.scrollable_content_region.width or self.assumed_columns("phase-list")
        listed = (width, self.wanted)
        if looked is not self.looked or listed != self._listed:
            self.looked, self._listed = looked, listed
            self.list_phases(looked, width)
        self.show_phase()

    def list_phases(self, looked: Looked, width: int) -> None:
        rows = self.rows("phase-list")
        found = [
            s for s in looked.standings.values() if self.wanted in f"{s.phase.phase} {s.phase.title} {s.state}".lower()
        ]
        rows.show([(s.phase.phase, phase_line(s, looked.spent.get(s.phase.phase), width)) for s in found])
        if looked.problems != self._problems:
            self._problems = looked.problems
            problems = self.query_one("#problems", Static)
            problems.update("\n".join(f"✗ {p}" for p in looked.problems))
            problems.set_class(bool(looked.problems), "-some")

    @property
    def standing(self) -> PhaseStanding | None:
        """The chosen phase."""
        name = self.rows("phase-list").chosen
        return None if self.looked is None or name is None else self.looked.standings.get(name)

    def show_phase(self) -> None:
        s = self.standing
        if s is None:
            return
        notes = self.looked.notes.get(s.phase.phase, []) if self.looked is not None else []
        steps, gates = self.rows("steps"), self.rows("gates")
        columns = [pane.size.width or self.assumed_columns(pane.id or "") for pane in (steps, gates)]
        fitted = (*columns, self.shows_files(s), notes)
        if s is self._painted and fitted == self._fitted:
            return
        self._painted, self._fitted = s, fitted
        if (s.phase, notes) != self._about:  # painted for another phase or note only, not with every look
            self._about = (s.phase, notes)
            self.show_about(s.phase, notes)
        steps.show(step_rows(s, columns[0], self.shows_files(s)), f"Steps at {s.preset} — {sum_line(s)}")
        self.show_files()
        gates.show(gate_rows(s, columns[1]), f"Gates at {s.preset} — {s.checks_passed} of {s.checks} checks passed")

    def show_about(self, phase: Phase, notes: list[Note]) -> None:
        """The newest notes, then the goal."""
        about = self.query_one("#about", Static)
        about.border_title = phase.title
        about.update(notes_text(notes) + goal_text(phase.goal))
        self.rows("phase-list").border_subtitle = notes_words(notes)

    def assumed_columns(self, pane: str) -> int:
        """What the style sheet will leave to the lines of a pane; corrected once it has been laid out, where that is wrong."""
        left = 26 if self.has_class("-small") else 36
        return (left if pane == "phase-list" else self.app.size.width - left) - _FRAME

    def show_files(self) -> None:
        """What the chosen step reads and makes, under the steps where each has no line for it."""
        s, step = self.standing, self.chosen_step()
        told = s is None or step is None or self.shows_files(s)
        files = "" if told else files_of(step)
        if files != self._files:
            self._files = self.rows("steps").border_subtitle = files

    def shows_files(self, s: PhaseStanding) -> bool:
        return self.has_class("-huge") or (self.has_class("-tall") and len(s.steps) <= _MOST_TALL)

    def on_option_list_option_highlighted(self, message: OptionList.OptionHighlighted) -> None:
        if message.option_list.id == "steps":
            self.show_files()
        if message.option_list.id == "phase-list":
            self.show_phase()
            if self.standing is not None:
                self.app.remember("phase", self.standing.phase.phase)
                self.freshen()

    # What keys do

    def on_option_list_option_selected(self, message: OptionList.OptionSelected) -> None:
        self.choose_in(message.option_list.id or "")

    def action_choose(self) -> None:
        focused = self.focused
        self.choose_in(focused.id or "" if focused is not None else "")

    def choose_in(self, pane: str) -> None:
        if pane == "phase-list":
            self.rows("steps").focus()
        elif pane == "steps":
            self.open_step()
        elif pane == "gates":
            self.open_evidence()

    def open_step(self) -> None:
        """The run of the chosen step, or the launch dialog where it has none."""
        step = self.chosen_step()
        if step is not None and step.run is not None:
            self.app.open_run(step.run.run_id)
        else:
            self.action_launch_step()

    def open_evidence(self) -> None:
        """The run that a check's verdict leans on."""
        verdict = self.chosen_verdict()
        if verdict is not None and verdict.run_id is not None:
            self.app.open_run(verdict.run_id)
        else:
            self.app.say("no run stands behind this line; W says what it lacks", "warning")

    def chosen_step(self) -> Any:
        s = self.standing
        name = self.rows("steps").chosen
        return next((x for x in s.steps if x.step.step == name), None) if s is not None else None

    def chosen_verdict(self) -> Any:
        s = self.standing
        name = self.rows("gates").chosen
        verdicts = [v for g in s.gates for v in g.verdicts] if s is not None else []
        return next((v for v in verdicts if v.check_id == name), None)

    def action_launch_step(self) -> None:
        s = self.needed(self.standing, NO_PHASE)
        step = self.needed(self.chosen_step(), "this phase has no step") if s is not None else None
        if s is None or step is None:
            return
        if step.blocked:
            self.app.say(f"{step.step.step} can't start: {step.blocked}", "warning")
            return
        self.app.launching.ask(s.phase, step.step.step, s.preset)

    def action_launch_phase(self) -> None:
        s = self.needed(self.standing, NO_PHASE)
        if s is None:
            return
        first = next((x for x in s.steps if not x.step.optional), None)
        if first is not None and first.blocked:
            self.app.say(f"{s.phase.phase} can't start: {first.blocked}", "warning")
            return
        self.app.launching.ask(s.phase, None, s.preset)

    def action_goal(self) -> None:
        """The whole goal, as Markdown."""
        from console.screens.page import Page

        s = self.needed(self.standing, NO_PHASE)
        if s is not None:
            self.app.push_screen(Page(s.phase.title, s.phase.goal))

    def action_what_now(self) -> None:
        """What keeps the chosen gate or check shut, or went wrong with the chosen step's run."""
        s, step = self.needed(self.standing, NO_PHASE), self.chosen_step()
        if s is None:
            return
        if self.focused is self.rows("steps") and step is not None and step.run is not None:
            acting.ask_why(self.app, step.run.run_id, as_page=True)
            return
        self.show_shortfalls(s)

    def show_shortfalls(self, s: PhaseStanding) -> None:
        from console.screens.page import Page
        from console.whatnow.shortfall import as_markdown, shortfalls

        chosen = self.rows("gates").chosen or ""
        found = shortfalls(s)
        mine = (
            [f for f in found if chosen in (f.check_id, f"gate:{f.gate}")]
            if self.focused is self.rows("gates")
            else found
        )
        if mine:
            self.app.push_screen(Page(f"What {s.phase.phase} still lacks at {s.preset}", as_markdown(mine)))
        else:
            self.app.say("nothing keeps this gate shut" if found else "no check keeps a gate of this phase shut")

    def action_next_preset(self) -> None:
        s = self.needed(self.standing, NO_PHASE)
        if s is None:
            return
        names = all_presets(self.app.space.project, s.phase)
        self.app.presets[s.phase.phase] = names[(names.index(s.preset) + 1) % len(names)]
        self.app.look()

    def action_tick(self) -> None:
        s, verdict = self.standing, self.chosen_verdict()
        if s is None or verdict is None:
            self.app.say("choose a manual check among the gates first (tab)", "warning")
        elif not is_manual(verdict.text):
            self.app.say("this check is measured, not ticked; o overrides it with a reason", "warning")
        else:
            acting.speak(self.app, "tick", s, verdict.check_id, verdict.word is None, "")

    def action_override(self) -> None:
        s, verdict = self.standing, self.chosen_verdict()
        if s is None or verdict is None:
            self.app.say("choose a check among the gates first (tab)", "warning")
            return
        if verdict.state == "overridden":
            acting.speak(self.app, "override", s, verdict.check_id, False, "")
            return
        from console.screens.dialogs import Ask

        def said(reason: str | None) -> None:
            if reason:
                acting.speak(self.app, "override", s, verdict.check_id, True, reason)

        self.app.push_screen(Ask(f"Why is this accepted?  {verdict.text}", "the reason stays visible"), said)

    def action_filter(self) -> None:
        self.type_into(self.query_one("#filter", Input))

    def on_input_changed(self, message: Input.Changed) -> None:
        self.wanted = message.value.lower()
        if self.looked is not None:
            self.show(self.looked)

    def on_input_submitted(self) -> None:
        self.query_one("#filter").set_class(bool(self.wanted), "-open")
        self.query_one("#phase-list").focus()

    def key_escape(self) -> None:
        box = self.query_one("#filter", Input)
        box.value = ""
        box.remove_class("-open")
        self.query_one("#phase-list").focus()
