"""What signals ask of a training loop, looked at between its steps: SIGUSR2 a checkpoint, SIGINT and SIGTERM to stop."""

from __future__ import annotations

import signal


class Asked:
    def __init__(self) -> None:
        self.checkpoint = self.stop = False
        signal.signal(signal.SIGUSR2, self._on_checkpoint)
        signal.signal(signal.SIGINT, self._on_stop)
        signal.signal(signal.SIGTERM, self._on_stop)

    def _on_checkpoint(self, *_: object) -> None:
        self.checkpoint = True

    def _on_stop(self, *_: object) -> None:
        self.stop = True
