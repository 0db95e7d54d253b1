"""Widgets that paint often and keep their lines themselves: straight to the screen, past Textual's way of styling every line.

That way pads, tints and filters each line anew and costs ten times the line. The picture is the same; a widget that has a
border, is tinted or half transparent takes Textual's way.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any, Self

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.geometry import NULL_SPACING, Region
from textual.scrollbar import ScrollBar, ScrollBarRender
from textual.strip import Strip
from textual.widget import Widget


@dataclass(frozen=True)
class Looks:
    """What all lines of a widget have in common."""

    base: Style
    ground: Color
    is_bare: bool
    """No border, tint or veil lies over its lines."""


class Straight(Widget):
    """Its `render_line` gives whole lines with all their colours, the same strip as long as it looks the same."""

    def __init__(self, **about: Any) -> None:
        super().__init__(**about)
        self._padded: dict[int, tuple[Strip, Strip]] = {}
        """Per line what was drawn, and the same with its padding."""
        self._looks: Looks | None = None

    @property
    def base(self) -> Style:
        """The style of what has none of its own."""
        return self.looks.base

    @property
    def looks(self) -> Looks:
        """What Textual walks up to the screen for, this once for as long as no style changes."""
        if self._looks is None:
            self._looks = Looks(self.rich_style, self.background_colors[1], self._is_bare())
        return self._looks

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._looks = None
        self._padded.clear()

    def refresh(self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False) -> Self:
        """Tell the screen at once which cells are new; Textual's way there is three messages for every widget."""
        if layout or recompose or not (repaint and self.is_mounted) or self.app._batch_count:
            return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)
        self._rich_style_cache.clear()
        self._set_dirty(*regions)
        screen = self.screen
        if self.display and self in screen._compositor and screen.is_current:
            screen._dirty_widgets.add(self)
            screen._update_timer.resume()
        return self

    def render_lines(self, crop: Region) -> list[Strip]:
        if not self._is_straight(crop):
            return super().render_lines(crop)
        return self.filtered([self._line(y) for y in crop.line_range])

    def filtered(self, strips: list[Strip]) -> list[Strip]:
        """What the app lays over every line: fewer colours, or none."""
        ground = self.looks.ground
        for one in self.get_line_filters():
            strips = [strip.apply_filter(one, ground) for strip in strips]
        return strips

    def _is_straight(self, crop: Region) -> bool:
        return self.looks.is_bare and crop.column_span == (0, self.outer_size.width)

    def _is_bare(self) -> bool:
        styles = self.styles
        is_framed = styles.gutter != styles.padding or styles.outline.spacing != NULL_SPACING or styles.padding.top
        is_veiled = self.opacity < 1 or styles.tint.a > 0 or styles.hatch not in (None, "none")
        return not (is_framed or is_veiled)

    def _line(self, y: int) -> Strip:
        drawn = self.render_line(y)
        kept = self._padded.get(y)
        if kept is None or kept[0] is not drawn:
            kept = self._padded[y] = drawn, self._pad(drawn)
        return kept[1]

    def _pad(self, drawn: Strip) -> Strip:
        width, left = self.region.width, self.styles.padding.left
        padded = Strip([Segment(" " * left, self.base), *drawn]) if left else drawn
        return padded.adjust_cell_length(width, self.base)


class StillBar(ScrollBar):
    """A scroll bar that is painted when it looks different, not whenever a line more lies above it."""

    _drawn: object = None
    _is_asked = False

    def refresh(
        self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False
    ) -> StillBar:
        """Its size, its window and its place are set one after the other: looked at when all are."""
        if regions or layout or recompose or not self.is_attached:
            super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)
        elif not self._is_asked:
            self._is_asked = self.call_later(self._settle)
        return self

    def _settle(self) -> None:
        self._is_asked = False
        drawn = self._look()
        if drawn != self._drawn:
            self._drawn = drawn
            super().refresh()

    def _look(self) -> object:
        """What Textual's renderer makes of it now."""
        bar = self.render()
        if not isinstance(bar, ScrollBarRender):
            return None
        style = self.app.console.get_style(bar.style)
        made = bar.render_bar(
            size=self.size.height,
            virtual_size=ceil(bar.virtual_size),
            window_size=ceil(bar.window_size),
            position=bar.position,
            thickness=bar.thickness,
            vertical=bar.vertical,
        )
        return style, self.size, made.segments
