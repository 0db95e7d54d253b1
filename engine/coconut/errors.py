"""A step that can't go on for a reason a person can mend says it in one line and exits with 2.

DataError, TokenError, LayoutError, CheckpointError, ConfigError
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from engine.config.errors import ConfigError
from engine.data.prosqa import DataError

_OURS = ("TokenError", "LayoutError", "CheckpointError", "ParityError")


@contextmanager
def said_once() -> Iterator[None]:
    """Bugs fly; what a person can mend is said."""
    try:
        yield
    except (ConfigError, DataError) as error:
        sys.exit(_said(error))
    except Exception as error:
        # Named, not imported: these come from modules that import torch, which a bad config never gets to.
        if type(error).__name__ in _OURS:
            sys.exit(_said(error))
        raise


def _said(error: Exception) -> int:
    print(f"error: {error}", file=sys.stderr)
    return 2
