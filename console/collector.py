"""When Python looks for garbage: not while everything is being imported and drawn for the first time.

Those few hundred thousand objects stay; going through them, once or again and again, was a tenth of the start.
"""

from __future__ import annotations

import gc


def rest() -> None:
    """Look for no garbage until `work`."""
    gc.disable()


def work() -> None:
    """From now on look for garbage among what is new; nothing to do where it never rested, as in a test."""
    if not gc.isenabled():
        gc.freeze()
        gc.set_threshold(100_000, 20, 20)
        gc.enable()
