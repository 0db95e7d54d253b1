"""What is let go of when a screen was closed."""

from __future__ import annotations

from textual._styles_cache import StylesCache


def let_go() -> None:
    """Textual keeps the grounds of a thousand widgets by the widget's painted lines, and so the lines of those long gone.

    Grounds are made again in microseconds.
    """
    StylesCache.get_inner_outer.cache_clear()
