"""ONE table of keys: it feeds bindings, footer, help and palette. A key that is not here does not exist."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textual.binding import Binding


@dataclass(frozen=True)
class Key:
    """One key of one screen."""

    key: str
    action: str
    words: str
    help: str = ""
    """A sentence for the help page, where the words are not enough."""
    footer: bool = True
    changes: bool = False
    """Starts, stops, ticks, spends or deletes something: refused under `--readonly`."""

    @property
    def slug(self) -> str:
        """The action as one word, for ids: `launch_step`, `show-runs`."""
        return re.sub(r"[^a-z0-9_]+", "-", self.action.removeprefix("app.").lower()).strip("-")

    @property
    def bare_action(self) -> str:
        return self.action.removeprefix("app.").partition("(")[0]


EVERYWHERE = (
    Key("1", "app.show('phases')", "Phases"),
    Key("2", "app.show('runs')", "Runs"),
    Key("3", "app.show('compare')", "Compare"),
    Key("4", "app.show('instances')", "Instances"),
    Key("5", "app.show('registry')", "Registry"),
    Key("N", "app.notes", "Notes", "Search the notes and learnings; write one on the phase.", footer=False),
    Key("ctrl+o", "app.jump", "Jump", "Letters on the panes; a letter goes to its pane.", footer=False),
    Key("question_mark", "app.help", "Help"),
    Key("colon", "app.command_palette", "Palette", "Every action by name (also ctrl+p).", footer=False),
    Key("q", "app.quit", "Quit", "Runs and plans go on without the console."),
)

PHASES = (
    Key("enter", "choose", "Open", "On a step: its run, or the launch dialog where it has none."),
    Key("r", "launch_step", "Run step", "Asks for preset and overrides first.", changes=True),
    Key(
        "R",
        "launch_phase",
        "Run phase",
        "Every step in order with its gates between, as a plan on the host.",
        changes=True,
    ),
    Key("p", "next_preset", "Preset", "Show the phase at its next preset."),
    Key("space", "tick", "Tick", "Tick a manual check, or take the tick back.", changes=True),
    Key("o", "override", "Override", "Accept a failed check; asks for the reason.", changes=True),
    Key("W", "what_now", "What now", "What keeps a gate or check shut, or what went wrong with a step's run."),
    Key("g", "goal", "Goal", "The whole goal of the phase, as Markdown.", footer=False),
    Key("slash", "filter", "Filter"),
    Key("tab", "app.focus_next", "Next pane", footer=False),
)

RUN = (
    Key("s", "stop", "Stop", "The ladder: SIGINT, after the grace SIGTERM, then SIGKILL. Asks first.", changes=True),
    Key("k", "checkpoint", "Checkpoint", "Asks the run for a checkpoint (SIGUSR2).", changes=True),
    Key("p", "pull", "Pull", "Bring the files of a run on another host here, verified by hash.", changes=True),
    Key("E", "far_end", "End there", "The newest log lines of a run on another host, from there.", footer=False),
    Key("y", "copy", "Copy", "Run id, log line, folder or values, through the terminal's clipboard (OSC 52)."),
    Key("x", "next_x", "X axis", "Step, time or epoch, for every chart.", footer=False),
    Key("i", "about", "Config", "Config and provenance, in place of gates and events."),
    Key("W", "what_now", "What now", "Hide or show the cause of a failure and the way out.", footer=False),
    Key("z", "zoom", "Zoom", "Everything, only charts, only the log, only what stands beside."),
    Key("v", "replay", "Replay", "A finished run as it went; again: leave the replay."),
    Key("space", "replay_pause", "Pause", "In a replay: hold it, or let it go on."),
    Key("greater_than_sign", "replay_faster", "Faster", "In a replay."),
    Key("less_than_sign", "replay_slower", "Slower", "In a replay."),
    Key(
        "j",
        "replay_jump",
        "Jump",
        "In a replay: to a step (1200), a time (12:30), +90s from its begin, -5m from its end.",
    ),
    Key("c", "focus_charts", "To charts", footer=False),
    Key("b", "focus_log", "To log", footer=False),
    Key("escape", "back", "Back"),
)

RUNS = (
    Key("enter", "choose", "Open"),
    Key(
        "slash", "filter", "Query", "phase:7 cfg.lr>=1e-4 eval/accuracy>0.9 tag:x state:failed age<7d -note:debug words"
    ),
    Key("space", "mark", "Mark", "Mark the run, or take its mark off."),
    Key("a", "mark_all", "Mark all", "Mark everything that the query found; again: nothing.", footer=False),
    Key("c", "compare", "Compare", "The marked runs, one over the other."),
    Key("s", "sort", "Sort", "By the next column."),
    Key("S", "reverse", "Reverse", "The same order from its other end.", footer=False),
    Key("t", "tag", "Tag", "The marked runs, else this one.", changes=True),
    Key("n", "note", "Note", "Write a note on this run; `!` before it makes a learning of it.", changes=True),
    Key("r", "rerun", "Run again", "The same step with the same config. Asks first.", changes=True),
    Key("D", "delete", "Delete", "The marked runs, else this one. Says what goes; asks for the id.", changes=True),
    Key("p", "projects", "All projects", "Runs of every project, or of this one.", footer=False),
    Key("escape", "clear_filter", "Clear", "The query; then the marks.", footer=False),
)

INSTANCES = (
    Key("enter", "choose", "Open", "On a type: rent one. On a machine: look into it."),
    Key("l", "launch", "Rent", "A machine of the chosen type; caps are asked first.", changes=True),
    Key("i", "inside", "Look in", "Processes and nvidia-smi of the chosen machine."),
    Key("w", "wait", "Boot stages", "Until a login works, stage by stage.", footer=False),
    Key("s", "ssh", "SSH", "A shell there; the console waits behind it.", changes=True),
    Key("e", "extend", "Extend", "More hours, and the dollars that they cost.", changes=True),
    Key("g", "arm", "Guard there", "Put the guard and the API key on the machine itself. Asks first.", changes=True),
    Key("a", "adopt", "Adopt", "Take a machine that is not in the ledger under guard.", footer=False, changes=True),
    Key("x", "terminate", "End", "Asks first; refused while files there are not verified here.", changes=True),
    Key("u", "refresh", "Look again", footer=False),
    Key("tab", "app.focus_next", "Next pane", footer=False),
)

COMPARE = (
    Key("enter", "choose", "Open", "The highlighted run; the first of a family."),
    Key("b", "baseline", "Baseline", "Hold the others against this one, or against none."),
    Key("f", "families", "Seeds", "Runs that differ in their seed only as mean and interval, or each alone."),
    Key("x", "time", "Step/time"),
    Key("d", "drop", "Drop", "Take it out of the comparison; its runs stay."),
    Key("slash", "filter", "Query", "Compare what a query finds."),
    Key("z", "zoom", "Charts/tables", "Both, only charts, only tables."),
    Key("e", "export", "Export", "CSV of runs and points, JSON, an SVG per chart."),
    Key("c", "focus_charts", "To charts", footer=False),
    Key("tab", "app.focus_next", "Next pane", footer=False),
    Key("escape", "back", "Back", footer=False),
)

REGISTRY = (
    Key("enter", "choose", "Its run", "Open the run that made the model."),
    Key("v", "verify", "Verify", "Hash its file and hold it against what was registered."),
    Key(
        "p",
        "promote",
        "Promote",
        "The champion of its phase; asks for the reason, refused while a gate is shut.",
        changes=True,
    ),
    Key("h", "hand_over", "Hand over", "Pass it on to a later phase; the same gates are asked.", changes=True),
    Key("c", "compare", "Compare", "Its metrics beside those of its phase's champion."),
    Key("slash", "filter", "Filter"),
    Key("escape", "clear_filter", "Clear filter", footer=False),
    Key("tab", "app.focus_next", "Next pane", footer=False),
)

NOTES = (
    Key("enter", "choose", "Open the run", "That the highlighted note is about."),
    Key(
        "ctrl+n",
        "add",
        "Write",
        "A note on the phase that was chosen last; `!` before it makes a learning.",
        changes=True,
    ),
    Key("ctrl+t", "withdraw", "Withdraw", "Cross the note out; it stays in the exported log.", changes=True),
    Key("escape", "close", "Close"),
)

SCREENS = {
    "notes": NOTES,
    "phases": PHASES,
    "run": RUN,
    "runs": RUNS,
    "compare": COMPARE,
    "instances": INSTANCES,
    "registry": REGISTRY,
    "everywhere": EVERYWHERE,
}


def key_id(screen: str, key: Key) -> str:
    """What a user's keymap calls it: `phases.launch_step`."""
    return f"{screen}.{key.slug}"


def ids() -> dict[str, Key]:
    """Every key of the table by its id."""
    return {key_id(screen, key): key for screen, keys in SCREENS.items() for key in keys}


def bindings(screen: str) -> list[Binding]:
    """The bindings of one screen."""
    from textual.binding import Binding

    return [Binding(k.key, k.action, k.words, show=k.footer, id=key_id(screen, k)) for k in SCREENS[screen]]


def keys_of(screen: str, keymap: Mapping[str, str]) -> list[Key]:
    """The keys of a screen as this user has them."""
    return [replace(k, key=keymap.get(key_id(screen, k), k.key)) for k in SCREENS.get(screen, ())]


def changing(screen: str, action: str) -> Key | None:
    """The key whose action changes something, if this is one."""
    bare = action.rpartition(".")[2].partition("(")[0]
    every = (*SCREENS.get(screen, ()), *EVERYWHERE)
    return next((k for k in every if k.changes and k.bare_action == bare), None)


ALWAYS_SHOWN = ("app.help", "app.quit")
"""Actions whose keys stand on the last line however narrow it is."""

_SPOKEN = {
    "question_mark": "?",
    "colon": ":",
    "slash": "/",
    "escape": "esc",
    "ampersand": "&",
    "right_square_bracket": "]",
    "left_square_bracket": "[",
    "equals_sign": "=",
    "plus": "+",
    "minus": "-",
    "greater_than_sign": ">",
    "less_than_sign": "<",
}


def spoken(key: str) -> str:
    """A key as people write it."""
    return " ".join(_SPOKEN.get(part, part) for part in key.split(","))
