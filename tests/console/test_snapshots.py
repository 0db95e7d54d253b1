"""A few screens as text at a fixed size: what a person sees, line by line.

FRACTAL_SNAPSHOTS=write .venv/bin/python -m pytest tests/console/test_snapshots.py     # after a change that was meant
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.rental.office import Office
from engine.protocol.layout import Root
from remote.cloud.cloud_paths import CloudPaths
from remote.cloud.fake_account import DEMO_KEY, FakeAccount
from remote.cloud.fake_lambda import FakeLambda
from tests.console.driver import driven
from tests.console.tiny import make_project

KEPT = Path(__file__).parent / "snapshots"
SCREENS = {
    "instances": (("4",), "gpu_1x_a10"),
    "registry": (("5",), "runlog.model"),
    "rent": (("4", "l"), "at most 4 h"),
}


@pytest.fixture
def office(root: Root) -> Iterator[Office]:
    with FakeLambda(FakeAccount()) as fake:
        environ = {"FRACTAL_LAMBDA_URL": fake.url, "LAMBDA_API_KEY": DEMO_KEY}
        yield Office(CloudPaths(root.path / "cloud"), lambda entry: [], environ, {"start_guard": lambda: None})


@pytest.mark.parametrize("name", SCREENS)
async def test_a_screen_looks_as_it_did(name: str, tmp_path: Path, root: Root, office: Office) -> None:
    keys, seen = SCREENS[name]
    async with driven(make_project(tmp_path / "tiny"), root, (80, 24), office=office) as driver:
        await driver.keys(keys[0])
        await driver.sees("gpu_1x_a10" if name != "registry" else seen)
        await driver.sees("nothing is rented" if name != "registry" else seen)
        await driver.keys(*keys[1:])
        await driver.sees(seen)
        await driver.pilot.pause(0.3)
        shown = "\n".join(line.rstrip() for line in driver.text().splitlines()) + "\n"
    file = KEPT / f"{name}.txt"
    if os.environ.get("FRACTAL_SNAPSHOTS") == "write":
        KEPT.mkdir(exist_ok=True)
        file.write_text(shown)
    assert shown == file.read_text(), f"{name} looks otherwise:\n{shown}"
