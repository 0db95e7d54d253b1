"""Opening the console on this terminal: over the user's own root, or over a fake cloud and a root that is gone afterwards."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from console.app import ConsoleApp
from console.terminal.hangup import end_with_terminal
from console.workers import open_workspace

if TYPE_CHECKING:
    from console.rental.office import Office
    from console.settings import Settings


def open_console(settings: Settings, problem: str | None = None, office: Office | None = None) -> int:
    """Returns its exit code."""
    app = ConsoleApp(open_workspace(readonly=settings.readonly), settings, problem, office)
    end_with_terminal(lambda: app.call_from_thread(app.exit))
    result = app.run(mouse=settings.mouse)
    return result if isinstance(result, int) else app.return_code or 0


def open_demo(settings: Settings) -> int:
    from console.rental.office import demo_office
    from engine.protocol.layout import Root

    with tempfile.TemporaryDirectory(prefix="fractal-demo-") as folder:
        os.environ["FRACTAL_ROOT"] = folder
        with demo_office(Root(Path(folder))) as office:
            return open_console(settings, None, office)
