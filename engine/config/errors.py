"""What is said of a config that can't be used, and the word that was meant. Standard library only."""

from __future__ import annotations


class ConfigError(Exception):
    """A config that can't be used. The message names the file, the key and the nearest good key. Exit code 2."""


def nearest(word: str, good: list[str]) -> str:
    """`; did you mean 'x'?`, or nothing."""
    close = closest(word, good)
    return f"; did you mean {close[0]!r}?" if close else ""


def closest(word: str, good: list[str]) -> list[str]:
    """The one good word that resembles it, or none."""
    import difflib

    return difflib.get_close_matches(word, good, n=1, cutoff=0.5)
