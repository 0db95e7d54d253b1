"""The line on top of every screen: where one is, and what burns money now.

Phases › phase7-ouroboros                       2 rented, $2.58/h, $1.20 so far, ends in 3 h 10 min · guard armed
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual.widgets import Static

from console.words import duration, usd

if TYPE_CHECKING:
    from console.rental.burning import Burning

_ROOMY = 100


class Masthead(Static):
    """Told what to show; knows nothing by itself."""

    def __init__(self) -> None:
        super().__init__("", classes="masthead", markup=False)
        self._shown: tuple[list[str], Burning | None, bool] | None = None

    def show(self, crumbs: list[str], burning: Burning | None, readonly: bool) -> None:
        """Draw, where anything is new."""
        if (crumbs, burning, readonly) != self._shown:
            self._shown = (crumbs, burning, readonly)
            self.draw()

    def on_resize(self) -> None:
        self.draw()

    def draw(self) -> None:
        if self._shown is not None:
            self.update(line(*self._shown, self.size.width))


def line(crumbs: list[str], burning: Burning | None, readonly: bool, columns: int) -> Text:
    """Crumbs left, money right; where both don't fit, when it ends is left out first, and the money stays whole."""
    right = cost_text(burning, columns >= _ROOMY)
    left = Text(" › ".join(crumbs), "bold")
    if readonly:
        left.append("  read-only", "reverse")
    left.truncate(max(8, columns - right.cell_len - 2), overflow="ellipsis", pad=False)
    gap = max(2, columns - left.cell_len - right.cell_len) if right else 0
    return Text.assemble(left, " " * gap, right, no_wrap=True, overflow="ellipsis")


def cost_text(burning: Burning | None, is_roomy: bool = True) -> Text:
    """The cost meter in words: what is rented, its price, what it cost so far, when it ends, who guards it."""
    if burning is None or not burning.count:
        return Text("nothing rented" if burning is None or burning.is_known else "ledger unreadable", "dim")
    text = Text()
    text.append(f"▲ {burning.count} rented, {usd(burning.usd_per_h)}/h, {usd(burning.cost_usd)} so far", "yellow bold")
    if burning.ends_in_s <= 0:
        text.append(", OVER ITS CAP", "yellow bold")
    elif is_roomy:
        text.append(f", ends in {duration(burning.ends_in_s)}", "yellow")
    text.append(
        " · guard armed" if burning.is_guarded else " · NO GUARD", "green" if burning.is_guarded else "red bold"
    )
    return text
