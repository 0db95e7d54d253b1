"""What the keys of a run's screen do: stop, checkpoint, pull, copy, turn the axes, look elsewhere, replay.

`RunScreen` shows; this acts. Nothing here reads the run but through its view.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from console import acting
from console.reading.replay import NoSuchMoment, ReplayView, asked_moment, replay_of
from console.reading.view import RunView
from console.screens.dialogs import Ask, Confirm, Pick
from console.screens.frame import ConsoleScreen
from console.whatnow.advice import Advice
from console.widgets.grid import ChartGrid
from console.widgets.log import LogView
from console.widgets.runside import RunSide
from engine.protocol.layout import RunPaths

VIEWS = ("", "-charts", "-log", "-side")


class RunActions(ConsoleScreen):
    """What a run's screen can be asked for."""

    CSS_PATH = Path(__file__).with_name("run.tcss")
    view: RunView
    advice: Advice | None

    def show_view(self, view: RunView) -> None:
        raise NotImplementedError

    @property
    def log_view(self) -> LogView:
        return self.query_one(LogView)

    @property
    def side(self) -> RunSide:
        return self.query_one(RunSide)

    @property
    def run_id(self) -> str:
        return self.view.paths.run_id

    @property
    def replay(self) -> ReplayView | None:
        return self.view if isinstance(self.view, ReplayView) else None

    def action_stop(self) -> None:
        if self.view.status.final or self.replay is not None:
            self.app.say(f"it is over: {self.view.status.state}", "warning")
            return

        def sure(yes: bool | None) -> None:
            if yes:
                acting.stop_run(self.app, self.run_id)

        ladder = "SIGINT, after the grace SIGTERM, then SIGKILL, to its whole process group"
        if "stop" in self.app.settings.confirm:
            self.app.push_screen(Confirm(f"Stop {self.run_id}?", ladder), sure)
        else:
            sure(True)

    def action_checkpoint(self) -> None:
        acting.checkpoint_run(self.app, self.run_id)

    def action_pull(self) -> None:
        acting.pull_run(self.app, self.run_id, self.view.spec.host if self.view.spec is not None else "local")

    def action_far_end(self) -> None:
        acting.see_log_end(self.app, self.run_id, self.view.spec.host if self.view.spec is not None else "local")

    def action_copy(self) -> None:
        """What a person pastes elsewhere, through the terminal's own clipboard."""
        latest = json.dumps(self.view.latest)
        choices = {
            "run id": self.run_id,
            "log line": self.log_view.text_at_cursor,
            "folder": str(self.view.paths.folder),
            "log file": str(self.view.paths.log),
            "values": latest,
        }
        if self.advice is not None and self.advice.do:
            choices["way out"] = self.advice.do[0]

        def picked(name: str | None) -> None:
            if name is not None:
                self.app.copy_to_clipboard(choices[name])
                self.app.say(f"copied the {name}: {choices[name][:80]}")

        self.app.push_screen(Pick("Copy", choices), picked)

    def action_next_x(self) -> None:
        """Step, time, epoch: for every chart at once."""
        charts = self.needed(self.query_one(ChartGrid).charts, "no curves yet")
        if charts:
            charts[0].action_next_x()

    def action_about(self) -> None:
        """Config and provenance, or gates and events again; a narrow window gives them its whole width."""
        self.side.toggle_class("-about")
        self.side.show_about(self.view)
        if self.has_class("-narrow"):
            self.show_part("-side" if self.side.shows_about else "")
        if self.side.shows_about:
            self.query_one("#run-origin").focus()

    def action_what_now(self) -> None:
        if self.advice is None:
            self.app.say("nothing is wrong with this run")
        else:
            self.query_one("#what-now").toggle_class("-some")

    def action_zoom(self) -> None:
        """Everything, only charts, only the log, only what stands beside."""
        now = next((c for c in VIEWS[1:] if self.has_class(c)), "")
        self.show_part(VIEWS[(VIEWS.index(now) + 1) % len(VIEWS)])

    def show_part(self, part: str) -> None:
        for name in VIEWS[1:]:
            self.set_class(name == part, name)

    # Replay

    def action_replay(self) -> None:
        if self.replay is not None:
            self.show_view(RunView(self.view.paths))
        elif not self.view.status.final:
            self.app.say("it still runs; a replay is of a run that is over", "warning")
        else:
            self.run_worker(partial(self._record, self.view.paths), thread=True, group="replay", exclusive=True)

    def _record(self, paths: RunPaths) -> None:
        """On a thread: a long run is read whole."""
        replay = replay_of(paths)
        self.app.call_from_thread(self.show_view, replay)

    def action_replay_pause(self) -> None:
        if self.replay is not None:
            self.replay.clock.pause(not self.replay.clock.paused)

    def action_replay_faster(self) -> None:
        if self.replay is not None:
            self.replay.clock.turn(1)

    def action_replay_slower(self) -> None:
        if self.replay is not None:
            self.replay.clock.turn(-1)

    def action_replay_jump(self) -> None:
        replay = self.replay
        if replay is None:
            return

        def to(words: str | None) -> None:
            if words is None:
                return
            try:
                self.show_view(replay.at(asked_moment(words, replay)))
            except NoSuchMoment as error:
                self.app.say(str(error), "warning")
            else:
                self.log_view.go_to_time(replay.clock.moment)

        self.app.push_screen(
            Ask("To which moment of the run?", "step 1200, 12:30, +90s from its begin, -5m from its end"), to
        )

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The keys of a replay are there only while one goes on."""
        return not action.startswith("replay_") or self.replay is not None

    def action_focus_charts(self) -> None:
        charts = self.needed(self.query_one(ChartGrid).charts, "no curves yet")
        if charts:
            charts[0].focus()

    def action_focus_log(self) -> None:
        self.log_view.focus()

    def action_back(self) -> None:
        self.dismiss(None)
