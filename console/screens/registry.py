"""The registry: every trained model with its run, metrics, file and parents; promoted, verified and handed over by key.

Decides nothing: each key is an action of the verb `models`, done at the desk.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from rich.console import Group
from rich.table import Table as RichTable
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Input, OptionList, Static

from console.keys import bindings
from console.messages import Looked, RegistrySeen, RegistryTold
from console.screens.dialogs import Ask
from console.screens.frame import ConsoleScreen
from console.verbs.model_tables import size_said
from console.widgets.keyline import KeyLine
from console.widgets.masthead import Masthead
from console.widgets.rows import Rows
from console.words import ago
from console.workspace import Workspace

_READ_S = 3.0


class RegistryScreen(ConsoleScreen):
    CSS_PATH = Path(__file__).with_name("registry.tcss")
    BINDINGS: ClassVar[list[BindingType]] = list(bindings("registry"))
    HORIZONTAL_BREAKPOINTS = [(0, "-small"), (110, "-normal")]

    def __init__(self) -> None:
        super().__init__()
        self.seen: RegistrySeen | None = None
        self.wanted = ""
        self._read_at = 0.0
        self.below: dict[str, list[str]] = {}
        """What was last found out about a model: its verification, a comparison, a refusal."""

    def compose(self) -> ComposeResult:
        yield Masthead()
        with Horizontal(id="registry"):
            with Vertical(id="models-left"):
                yield Rows(id="models", title="Models")
                yield Input(placeholder="filter: words that must all be there", id="filter")
                yield Rows(id="hand-offs", title="Hand-offs")
            with VerticalScroll(id="model", classes="pane"):
                yield Static("", id="model-page", markup=False)
        yield KeyLine()

    def on_mount(self) -> None:
        self.query_one("#model").border_title = "Model"
        self.rows("models").focus()

    @property
    def crumbs(self) -> list[str]:
        model = self.chosen
        return ["Registry", *([model["phase"], model["name"]] if model else [])]

    @property
    def chosen(self) -> dict[str, Any] | None:
        name = self.rows("models").chosen
        return next((m for m in self.seen.models if m["model_id"] == name), None) if self.seen else None

    def rows(self, name: str) -> Rows:
        return self.query_one(f"#{name}", Rows)

    # What is shown

    def show(self, looked: Looked) -> None:
        """Read the registry anew now and then: a run that ended may have brought a model."""
        if time.monotonic() - self._read_at >= _READ_S:
            self.read()

    def read(self) -> None:
        self._read_at = time.monotonic()
        name = self.rows("models").chosen
        self.app.desk.find_out(lambda space: _look(space, name))

    def on_registry_seen(self, message: RegistrySeen) -> None:
        self.seen = message
        words = self.wanted.split()
        found = [m for m in message.models if all(w in _searched(m) for w in words)]
        pane = self.rows("models")
        pane.border_title = f"Models — {len(found)}"
        now = time.time()
        pane.show(model_rows(found, now))
        hand_offs = self.rows("hand-offs")
        hand_offs.border_title = f"Hand-offs — {len(message.hand_offs)}"
        hand_offs.show([(h["handoff_id"], hand_off_line(h, now)) for h in message.hand_offs])
        self.show_model()
        if pane.chosen is not None and message.chosen != pane.chosen:
            self.read()

    @property
    def lacks(self) -> str:
        """Why no model is chosen, and what to do about it."""
        if self.seen is not None and self.seen.models:
            return "No model meets the filter; esc clears it."
        return (
            "No model is registered yet. Runs that train register theirs: 1, then R, runs a phase "
            "(in code of your own: runlog.model(…))."
        )

    def show_model(self) -> None:
        page, model = self.query_one("#model-page", Static), self.chosen
        if model is None or self.seen is None:
            page.update(self.lacks)
        elif self.seen.chosen == model["model_id"]:
            page.update(model_page(self.seen.about, self.below.get(model["model_id"], ())))
        self.freshen()

    def on_option_list_option_highlighted(self, message: OptionList.OptionHighlighted) -> None:
        if (
            message.option_list.id == "models"
            and self.seen is not None
            and self.seen.chosen != self.rows("models").chosen
        ):
            self.read()

    # What keys do

    def on_option_list_option_selected(self, message: OptionList.OptionSelected) -> None:
        self.action_choose()

    def action_choose(self) -> None:
        model = self.needed(self.chosen, self.lacks)
        if model is not None:
            self.app.open_run(model["session_id"])

    def action_verify(self) -> None:
        """In a thread of its own: gigabytes take their time to hash, and the lists go on."""
        model = self.needed(self.chosen, self.lacks)
        if model is None:
            return
        self.below[model["model_id"]] = ["verifying: its file is being hashed …"]
        self.show_model()
        folder, app = self.app.space.root.path, self.app
        if self.app.readonly:  # then the registry is a copy, which is the desk's
            app.desk.find_out(lambda space: _act(space, "verify", [model["model_id"]]))
            return

        def work() -> None:
            from console.verbs.model_tables import verify_models
            from engine.registry.registry import Registry

            registry = Registry(folder / "registry.db")
            try:
                table = verify_models(registry, argparse.Namespace(model=model["model_id"]))
            finally:
                registry.close()
            app.post_message(RegistryTold(("verify", model["model_id"]), table))

        threading.Thread(target=work, daemon=True, name="verify").start()

    def action_promote(self) -> None:
        self.ask("Why is it the champion?", "the reason stays with the promotion", "promote", "reason")

    def action_hand_over(self) -> None:
        self.ask("Which phase goes on with it?", "such as phase14-best-of-n", "handoff", "to")

    def ask(self, title: str, hint: str, action: str, about: str) -> None:
        model = self.needed(self.chosen, self.lacks)
        if model is None:
            return

        def said(word: str | None) -> None:
            if word is not None:
                asked = {"to": None, "reason": "", about: word}
                self.app.desk.do(lambda space: _act(space, action, [model["model_id"]], **asked))

        self.app.push_screen(Ask(f"{title}  {model['model_id']}", hint), said)

    def action_compare(self) -> None:
        model = self.needed(self.chosen, self.lacks)
        if model is None or self.seen is None:
            return
        best = next((m for m in self.seen.models if m["champion"] and m["phase"] == model["phase"]), None)
        if best is None or best["model_id"] == model["model_id"]:
            self.app.say(
                "it is the champion itself" if best else f"{model['phase']} has no champion to hold it against",
                "warning",
            )
            return
        self.app.desk.find_out(lambda space: _act(space, "compare", [best["model_id"], model["model_id"]]))

    def hear(self, message: RegistryTold) -> None:
        """The answer stands below the model it is about; a refusal is said aloud as well."""
        about = message.typed[-1]
        rows = [f"{message.typed[0]}"] + ["  " + "  ".join(row).strip() for row in message.table.rows]
        self.below[about] = rows + ([f"  {message.table.note}"] if message.table.note else [])
        if message.table.code:
            self.app.say("\n".join(rows), "error")
        self.read()

    def action_filter(self) -> None:
        self.type_into(self.query_one("#filter", Input))

    def on_input_changed(self, message: Input.Changed) -> None:
        self.wanted = message.value.lower()
        if self.seen is not None:
            self.on_registry_seen(self.seen)

    def on_input_submitted(self) -> None:
        self.query_one("#filter").set_class(bool(self.wanted), "-open")
        self.rows("models").focus()

    def action_clear_filter(self) -> None:
        box = self.query_one("#filter", Input)
        box.value = ""
        box.remove_class("-open")
        self.rows("models").focus()


def _look(space: Workspace, chosen: str | None) -> RegistrySeen:
    """At the desk: the lists, and all about one model."""
    listed = _table(space, "list").data
    name = chosen if any(m["model_id"] == chosen for m in listed) else (listed[0]["model_id"] if listed else None)
    about = _table(space, "show", [name]).rows if name is not None else []
    return RegistrySeen(listed, _table(space, "handoff").data, name, about)


def _act(space: Workspace, action: str, names: list[str], **more: Any) -> RegistryTold:
    return RegistryTold((action, *names), _table(space, action, names, **more))


def _table(space: Workspace, action: str, names: list[str] | None = None, **more: Any) -> Any:
    from console.verbs.models import act

    return act(space, argparse.Namespace(**{"to": None, "reason": "", **more}, action=action, names=names or []))


def model_rows(models: Sequence[dict[str, Any]], now: float) -> list[tuple[str, Text]]:
    """The list of models; each column as wide as what stands in it, so that a narrow pane shows the ages too."""
    told = [
        (m["name"], m["phase"].split("-")[0], m["step"], m["variant"] or m["preset"] or "–", size_said(m["size_bytes"]))
        for m in models
    ]
    widths = [min(24, max(map(len, column))) for column in zip(*told, strict=True)]
    return [(m["model_id"], _model_line(m, words, widths, now)) for m, words in zip(models, told, strict=True)]


def _model_line(model: dict[str, Any], words: Sequence[str], widths: Sequence[int], now: float) -> Text:
    name, phase, step, variant, size = (f"{word:<{width}}" for word, width in zip(words, widths, strict=True))
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append("★ " if model["champion"] else "  ", "yellow")
    text.append(f"{name}  ", "bold")
    text.append(f"{phase}  {step}  {variant}  ")
    text.append(f"{size}  {ago(model['created_at'], now)}  {model['model_type']}", "dim")
    return text


def hand_off_line(hand_off: dict[str, Any], now: float) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{hand_off['source_phase']} → {hand_off['target_phase']}  ", "bold")
    text.append(f"{hand_off['status']}  ", "green" if hand_off["status"] in ("validated", "completed") else "yellow")
    text.append(f"{hand_off['source_model_id']}  {ago(hand_off['at'], now)}", "dim")
    return text


def model_page(about: list[list[str]], below: Sequence[str]) -> Group:
    """Everything the registry knows of one model, then what was found out since; long paths and hashes stay in their column."""
    grid = RichTable.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True, max_width=26)
    grid.add_column(overflow="fold")
    for name, said in about:
        grid.add_row(Text(name), Text(said))
    news = Text()
    for at, line in enumerate(below):
        news.append(f"\n{line}\n" if at == 0 else f"{line}\n", "bold" if at == 0 else "")
    return Group(grid, news)


def _searched(model: dict[str, Any]) -> str:
    kept = ("model_id", "phase", "step", "preset", "variant", "model_type", "session_id")
    return " ".join([*(str(model[k]) for k in kept), *model["tags"]]).lower()
