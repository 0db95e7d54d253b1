"""What the console says when something can't be done.

UserError       the user's to mend; exit code 2; the message says what happened to which thing and what to do next
NotPassed       what was asked for ran and did not succeed; exit code 1
"""

from __future__ import annotations


class UserError(Exception):
    """The user can mend this; no traceback."""


class NotPassed(Exception):
    """A run failed or a gate is shut; said on screen already."""
