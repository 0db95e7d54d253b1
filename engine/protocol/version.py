"""The version of what is written in a run folder.

A bump is needed when an older reader would misread a newer folder: a file renamed, a field that changes its meaning, a
state added to `status.json`. No bump is needed for a new optional field, a new kind of event (unknown kinds are kept and
passed on), or a new file beside the others.

A reader meets a newer version with `NewerProtocol`: it names the folder and what to do, and reads nothing from it.

History
    1   2026-11  first version
"""

VERSION = 1


class NewerProtocol(Exception):
    """A folder was written by a newer fractal-console than this one."""

    def __init__(self, where: str, found: int) -> None:
        super().__init__(
            f"{where} was written by a newer fractal-console (protocol {found}, this one reads up to {VERSION}). "
            "Update this installation: git pull && make run"
        )


def require_readable(where: str, found: object) -> None:
    """Refuse what a newer version wrote; anything that is not a whole number counts as version 1."""
    number = found if isinstance(found, int) else 1
    if number > VERSION:
        raise NewerProtocol(where, number)
