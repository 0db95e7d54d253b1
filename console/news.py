"""News: a check that has just ticked is told as the user wants to hear it, on screen, also by bell, also by the desktop."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from console.paint.phases import fresh_ticks

if TYPE_CHECKING:
    from textual.notifications import SeverityLevel

    from console.app import ConsoleApp
    from console.messages import Looked


def tell_ticks(app: ConsoleApp, before: Looked, now: Looked) -> None:
    """Say which checks have just ticked."""
    for name, standing in now.standings.items():
        old = before.standings.get(name)
        if old is None or old.preset != standing.preset:
            continue
        for verdict in fresh_ticks(old.gates, standing.gates):
            passed = verdict.state == "passed"
            title = f"{'✓' if passed else '✗'} {verdict.state}"
            announce(app, f"{verdict.text}\n{verdict.because}", title, "information" if passed else "error")


def announce(app: ConsoleApp, words: str, title: str, severity: SeverityLevel) -> None:
    how = app.settings.notify
    if how == "off":
        return
    app.notify(words, title=title, severity=severity, markup=False)
    if how in ("bell", "desktop"):
        app.bell()
    if how == "desktop" and app._driver is not None:
        from console.words import desktop_note

        app._driver.write(desktop_note(f"{title}: {words}", os.environ))
