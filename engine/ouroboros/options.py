"""Options of a step's command that are no config keys: files and devices named by hand."""

from __future__ import annotations

from engine.ouroboros.errors import Refused


def take_option(argv: list[str], name: str) -> tuple[str | None, list[str]]:
    """The word after `name`, and the words without both."""
    if name not in argv:
        return None, argv
    at = argv.index(name)
    if at + 1 >= len(argv):
        raise Refused(f"{name} needs a value")
    return argv[at + 1], argv[:at] + argv[at + 2 :]
