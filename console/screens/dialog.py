"""What every dialog has: it lies over a screen, is left with its answer or without one, and shares one style sheet."""

from __future__ import annotations

from pathlib import Path

from textual.screen import ModalScreen, ScreenResultType


class Dialog(ModalScreen[ScreenResultType]):
    """Returns its answer to whoever pushed it."""

    CSS_PATH = Path(__file__).with_name("dialogs.tcss")
