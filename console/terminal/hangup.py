"""The console ends with its terminal, also where SIGHUP is ignored (`nohup`, some multiplexers, a wrapper that shields it).

Without this a console whose terminal is gone lives on, unseen: the thread that writes to it has died, and the one that
reads from it spins. Runs and plans are no part of it; they go on without any console.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable

_GRACE_S = 3.0  # for an orderly end; after it nobody is there who could miss a tidy one
_HUNG_UP = 129  # what a shell says of a program that SIGHUP ended


def end_with_terminal(leave: Callable[[], object], terminal: int = 0) -> None:
    """Watch the terminal from a thread that sleeps in the kernel; when it is gone ask to leave, then leave."""
    if os.isatty(terminal):
        threading.Thread(target=_watch, args=(leave, terminal), name="hangup", daemon=True).start()


def _watch(leave: Callable[[], object], terminal: int) -> None:
    poll = select.poll()
    poll.register(terminal, 0)  # asked for nothing, poll still tells of a hang-up, and of nothing else
    poll.poll()
    threading.Thread(target=_politely, args=(leave,), name="leave", daemon=True).start()
    time.sleep(_GRACE_S)
    os._exit(_HUNG_UP)


def _politely(leave: Callable[[], object]) -> None:
    with contextlib.suppress(RuntimeError):  # the app may be on its way out already
        leave()
