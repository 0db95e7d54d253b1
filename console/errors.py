"""What the console says when something can't be done: one line for what a user can meet, and nothing for a bug, which flies."""

from __future__ import annotations


class UserError(Exception):
    """The user can mend this: the message says what happened to which thing and what to do next. Exit code 2."""


# By name, so that looking an error up imports nothing heavy.
_SPOKEN_ERRORS = frozenset(["ConfigError", "HostError", "LaunchError", "NewerProtocol", "RegistryError", "CloudError"])


def foreseen(error: Exception) -> str | None:
    """The line for an error that a user can meet; None for a bug, which flies."""
    if isinstance(error, UserError):
        return str(error)
    if _SPOKEN_ERRORS & {kind.__name__ for kind in type(error).__mro__}:
        return str(error)
    if isinstance(error, OSError) and error.errno == 28:
        return f"the disk is full ({error.filename or 'writing'}); free some space and try again"
    if type(error).__module__ == "sqlite3":
        from engine.protocol.layout import default_root

        index = default_root() / "console.db"
        return (
            f"the console's index {index} can't be used: {error}. If it is broken, move it aside (mv {index} "
            f"{index}.broken): runs come back from their folders, ticks and overrides have to be said again"
        )
    if isinstance(error, PermissionError):
        return f"no permission for {error.filename}"
    return None


def in_words(error: Exception) -> str:
    """A line for any error, at the edge of a worker: what was not foreseen says so."""
    line = foreseen(error)
    return line if line is not None else f"{type(error).__name__}: {error} (this is a bug)"
