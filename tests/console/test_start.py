"""The start stays light: what the first frame needs is imported, and nothing else; the first frame is whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from console import cli
from console.app import ConsoleApp
from console.project import Project
from console.workspace import Workspace
from engine.protocol.layout import Root
from tests.console.tiny import make_project

REPOSITORY = Path(__file__).resolve().parents[2]

NOT_YET = {
    *("pydantic", "pydantic_core", "yaml", "numpy"),  # checked before and kept; the first chart
    *("paramiko", "httpx", "cryptography"),  # the first host, the first rented machine
    *("markdown_it", "pygments"),  # the first page
    *("remote.local_host", "remote.mirrors", "engine.supervisor.ops", "engine.config.load", "engine.config.hosts"),
    *("console.launch.start", "console.launch.starting", "console.launch.specs", "console.whatnow.rules"),
    *("console.screens.run", "console.screens.runs", "console.screens.dialogs", "console.screens.launch"),
    *("console.charts.plot", "console.rental.office"),
}

FIRST_FRAME = """
import sys
from console.app import ConsoleApp
from console.workers import open_workspace

class Once(ConsoleApp):
    def on_ready(self):
        self.call_after_refresh(self.drawn)

    def drawn(self):
        assert self.looked is not None
        lines = ["".join(s.text for s in strip) for strip in self.screen._compositor.render_strips()]
        assert any("phase1-tiny" in line and "open" in below for line, below in zip(lines, lines[1:])), lines
        self.exit()

Once(open_workspace()).run(headless=True, size=(120, 40))
print("\\n".join(sys.modules))
"""

PHASES = """
import sys
from console.cli import main
main(["phases"])
print("\\n".join(sys.modules))
"""


@pytest.mark.parametrize("script", [FIRST_FRAME, PHASES], ids=["first frame", "phases"])
def test_a_usual_start_imports_only_what_it_shows(script: str, root: Root, tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    folder = make_project(tmp_path / "tiny")
    for start in ("the first one ever", "a usual one"):
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=folder, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        loaded = set(done.stdout.splitlines())
        if start == "a usual one":
            assert loaded & NOT_YET == set()


def test_nothing_typed_means_what_the_parser_says_it_means() -> None:
    assert vars(cli.parsed([])) == vars(cli.parser([]).parse_args([]))


async def test_the_first_look_is_on_the_first_frame(root: Root, tmp_path: Path) -> None:
    app = ConsoleApp(Workspace(Project(make_project(tmp_path / "tiny")), root))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        lines = ["".join(s.text for s in strip) for strip in app.screen._compositor.render_strips()]
        assert "0/4 checks" in "\n".join(lines)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_a_screen_begins_with_the_classes_of_its_size(root: Root, tmp_path: Path, size: tuple[int, int]) -> None:
    """So that nothing is styled twice; Textual's own must agree with them."""
    app = ConsoleApp(Workspace(Project(make_project(tmp_path / "tiny")), root))
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        points = [*app.screen.HORIZONTAL_BREAKPOINTS, *app.screen.VERTICAL_BREAKPOINTS]  # type: ignore[misc]
        assert set(app.screen.first_classes(app)) == {  # type: ignore[attr-defined]
            name for _, name in points if app.screen.has_class(name)
        }


async def test_a_look_that_takes_long_holds_up_no_screen(
    root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    from console import app as app_module
    from console import workers

    monkeypatch.setattr(app_module, "_PATIENCE_S", 0.0)
    go = threading.Event()
    real = workers.look
    monkeypatch.setattr(workers, "look", lambda space, presets: (go.wait(20), real(space, presets))[1])
    app = ConsoleApp(Workspace(Project(make_project(tmp_path / "tiny")), root))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        lines = ["".join(s.text for s in strip) for strip in app.screen._compositor.render_strips()]
        assert any("phase1-tiny" in line for line in lines)  # its name, and no state that nobody has looked at
        assert "checks" not in "\n".join(lines)
        go.set()
        while app.looked is None:
            await pilot.pause(0.02)
