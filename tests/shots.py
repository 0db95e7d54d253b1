"""The README's pictures, exported by the app itself from the runs on this machine.

.venv/bin/python -m tests.shots          # after: make demo
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from console.app import ConsoleApp
from console.project import find_project
from console.workers import open_workspace
from console.workspace import Workspace
from engine.protocol.layout import Root

_PHASE, _STEP = "phase7-ouroboros", "train"
_SIZE = (132, 40)


async def shoot(folder: Path) -> None:
    """The phases with their gates, and the training run with its curves."""
    space = open_workspace()
    app = ConsoleApp(space)
    app.presets[_PHASE] = "cpu"
    app.memory["phase"] = _PHASE
    async with app.run_test(size=_SIZE) as pilot:
        while app.looked is None:
            await pilot.pause(0.1)
        await pilot.pause(1)
        run = next(r for r in space.store.runs(space.project.name, _PHASE) if r.step == _STEP and r.preset == "cpu")
        (folder / "phases.svg").write_text(app.export_screenshot(title="fractal-console"))
        app.open_run(run.run_id)
        await pilot.pause(2)
        await pilot.press("c", "right", "right")
        await pilot.pause(1)
        (folder / "run.svg").write_text(app.export_screenshot(title="fractal-console"))


async def shoot_instances(folder: Path) -> None:
    """Rented machines, over the fake account: no money, no real machine."""
    from console.rental.office import demo_office

    with tempfile.TemporaryDirectory() as place:
        root = Root(Path(place))
        with demo_office(root) as office:
            office.do(["launch", "gpu_1x_a100_sxm4", "--yes", "--name", "a100", "--max-hours", "4", "--max-usd", "5"])
            app = ConsoleApp(Workspace(find_project(), root), office=office)
            async with app.run_test(size=_SIZE) as pilot:
                await pilot.press("4")
                await pilot.pause(8)
                (folder / "instances.svg").write_text(app.export_screenshot(title="fractal-console"))


if __name__ == "__main__":
    asyncio.run(shoot(Path("docs")))
    asyncio.run(shoot_instances(Path("docs")))
