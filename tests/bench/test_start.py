"""How long it takes to be there: `--help`, the first frame of the app with 5 phases and 1,000 runs, launching a run.

make bench        or        .venv/bin/python -m pytest -c tests/bench/pytest.ini tests/bench/test_start.py -s
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from engine.protocol.durable import write_json
from engine.protocol.layout import Root
from engine.protocol.spec import RunSpec, new_id
from engine.supervisor.ops import prepare
from remote.local_host import LocalHost
from tests.bench.spent import spent

_FIRST_FRAME = """
import os
from console import collector
collector.rest()
from console.cli import parsed
arguments = parsed([])  # as `fractal-console` alone comes here, but for the terminal that it asks for
from engine.protocol.layout import default_root
from console.checked import Checked
from console.settings import prepare_terminal, settings_or_default
root = default_root()
settings, problem = settings_or_default(root, Checked(root / "cache" / "checked"))
prepare_terminal(settings)
from console.app import ConsoleApp
from console.workers import open_workspace

class Once(ConsoleApp):
    def on_ready(self):  # before what the console puts off until the first frame is there
        self.call_after_refresh(self.drawn)
        super().on_ready()

    def on_looked(self, message):
        super().on_looked(message)
        self.call_after_refresh(self.drawn)

    def drawn(self):
        if self.looked is None:
            return
        lines = ["".join(s.text for s in strip) for strip in self.screen._compositor.render_strips()]
        is_useful = any("phase7-ouroboros" in line and "failed" in below for line, below in zip(lines, lines[1:]))
        os._exit(0 if is_useful else 3)

Once(open_workspace(), settings, problem).run(headless=True, size=(120, 40))
"""

_EMPTY_APP = """
import os
from textual.app import App
from textual.widgets import Static

class Empty(App):
    def compose(self):
        yield Static("x")
    def on_mount(self):
        self.call_after_refresh(os._exit, 0)

Empty().run(headless=True, size=(120, 40))
"""


def _root_with_runs(folder: Path, count: int) -> Root:
    """A root with the folders of many finished runs of this repository's phases, as `refresh` finds them."""
    root = Root(folder)
    phases = ["phase1-coconut", "phase3-quietstar", "phase7-ouroboros", "phase11-code-verifier", "phase14-best-of-n"]
    project = Path.cwd().name
    for at in range(count):
        run_id, begun = new_id("bench", str(at), now=1.79e9 + at), 1.79e9 + at
        spec = RunSpec(run_id, project, phases[at % 5], "train", "cpu", "cpu", ["true"], "/", "/", created=begun)
        prepare(root, spec)
        ended = {"state": "failed", "reason": "exit code 1", "code": 1, "started": begun, "ended": begun + 5}
        write_json(root.run(run_id).result, ended)
    return root


def test_help_and_first_frame(tmp_path: Path) -> None:
    """`first start ever`: nothing is compiled, nothing kept, no index. `first start`: compiled, as after an installation."""
    root = _root_with_runs(tmp_path / "root", 1000)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env |= {"FRACTAL_ROOT": str(root.path), "PYTHONPATH": str(Path.cwd()), "PYTHONPYCACHEPREFIX": str(tmp_path / "pyc")}
    frame, empty_app = [sys.executable, "-c", _FIRST_FRAME], [sys.executable, "-c", _EMPTY_APP]
    print()
    ever = once(frame, env)
    shutil.rmtree(root.path / "cache")
    (root.path / "console.db").unlink()
    print(
        f"first start ever: {ever:.3f} CPU-s; compiled, nothing kept, no index of the 1,000 runs: {once(frame, env):.3f}"
    )
    shutil.rmtree(root.path / "cache")
    print(f"with the index as any console leaves it, nothing kept of phases and tree:  {once(frame, env):.3f}")
    print("python -c pass:                ", spent([sys.executable, "-c", "pass"]).words())
    print("fractal-console --help:        ", spent([sys.executable, "-m", "console", "--help"], env=env).words())
    print("fractal-console phases:        ", spent([sys.executable, "-m", "console", "phases"], env=env).words())
    print("empty Textual app, first frame:", spent(empty_app, env=env).words())
    print("first useful frame, 1,000 runs:", spent(frame, env=env).words())
    ours, empty = [], []
    for _ in range(7):  # in turns, so that both meet the same load
        ours.append(once(frame, env))
        empty.append(once(empty_app, env))
    ratio = statistics.median(a / b for a, b in zip(ours, empty, strict=True))
    print(f"first useful frame over an empty app, 7 pairs in turns: {ratio:.2f} times")


def once(argv: list[str], env: dict[str, str]) -> float:
    """CPU seconds of a command, without a warm-up."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(argv, env=env, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_launching_a_run_costs(tmp_path: Path) -> None:
    host = LocalHost(Root(tmp_path / "root"))
    took = []
    for at in range(8):
        work = str(tmp_path / "work")
        spec = RunSpec(new_id("bench"), "p", "phase", "step", "cpu", "cpu", ["true"], "/", work, created=time.time())
        begun = time.perf_counter()
        host.launch(spec)
        if at:
            took.append(time.perf_counter() - begun)
        while host.observe(spec.run_id).live:
            time.sleep(0.01)
    print(f"\nlaunch to claimed: median {sorted(took)[len(took) // 2] * 1000:.0f} ms of {len(took)}")
