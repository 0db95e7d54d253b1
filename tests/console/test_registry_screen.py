"""The registry by keys alone, over models that real runs have registered."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from console.screens.registry import RegistryScreen
from console.screens.run import RunScreen
from console.settings import Settings
from engine.protocol.layout import Root
from engine.registry.registry import Registry
from tests.console.driver import Driver, driven

PROGRAM = """
import json, os
config = json.load(open(os.environ["FRACTAL_SPEC"]))["config"]
open(os.path.join(os.environ["FRACTAL_WORK"], "m.pt"), "w").write(str(config))
with open(os.environ["FRACTAL_EVENTS"], "a") as events:
    print(json.dumps({"kind": "metric", "step": 1, "values": {"acc": 0.5 + config["seed"] / 10}}), file=events)
    print(json.dumps({"kind": "model", "name": "toy", "path": "m.pt", "metadata": {}}), file=events)
"""

PHASE = f"""
phase: PHASE
title: A toy
goal: To be judged.
presets: {{cpu: {{seed: SEED}}}}
steps:
  - {{step: train, run: "{sys.executable} train.py"}}
gates:
  - {{gate: good, after: train, checks: [metric acc > 0.8]}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two phases: the model of the first is good enough, that of the second is not."""
    folder = tmp_path / "toys"
    (folder / "configs" / "phases").mkdir(parents=True)
    for phase, seed in (("phase1-good", 5), ("phase2-poor", 0)):
        text = PHASE.replace("PHASE", phase).replace("SEED", str(seed))
        (folder / "configs" / "phases" / f"{phase}.yaml").write_text(text)
    (folder / "train.py").write_text(PROGRAM)
    return folder


async def trained(driver: Driver, phase: str) -> None:
    """The only step of a phase, run from the keyboard."""
    await driver.keys("1")
    await driver.sees(phase)
    screen = driver.app.screen
    rows = screen.query_one("#phase-list")
    rows.focus()
    rows.choose(phase)
    await driver.sees(f"Phases › {phase}")
    await driver.keys("tab", "r", "enter")
    await driver.until(lambda: isinstance(driver.app.screen, RunScreen), "the run's screen")
    await driver.sees("✓ succeeded")


async def registry(driver: Driver, models: int = 1) -> RegistryScreen:
    """The screen with all of its models: a run is seen to end a moment before its model is taken in."""
    await driver.keys("5")
    await driver.sees(f"Models — {models}")
    await driver.sees("sha256" if models else "No model")
    screen = driver.app.screen
    assert isinstance(screen, RegistryScreen)
    return screen


async def test_models_are_listed_shown_verified_promoted_compared_and_handed_over(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        await trained(driver, "phase1-good")
        screen = await registry(driver)
        await driver.keys("v")
        await driver.sees("the file is whole")
        await driver.keys("c")
        await driver.sees("has no champion")
        await driver.keys("p", *"best so far", "enter")
        await driver.sees("champion    of phase1-good")
        await driver.until(lambda: bool(screen.seen and screen.seen.models[0]["champion"]), "the star")
        await driver.keys("c")
        await driver.sees("it is the champion itself")
        await driver.keys("h", *"phase2-poor", "enter")
        await driver.sees("Hand-offs — 1")
        await driver.sees("phase1-good → phase2-poor")
        await driver.keys("enter")
        await driver.until(lambda: isinstance(driver.app.screen, RunScreen), "the run that made it")


async def test_a_model_behind_a_shut_gate_is_refused_with_the_reason(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        await trained(driver, "phase2-poor")
        screen = await registry(driver)
        await driver.keys("p", *"why not", "enter")
        await driver.sees("is failed (acc is 0.5")
        assert any(
            "gate good is failed (acc is 0.5, needs > 0.8)" in line for lines in screen.below.values() for line in lines
        )
        with_file = Registry(root.path / "registry.db")
        assert with_file.champion("phase2-poor") is None
        with_file.close()


async def test_a_file_that_was_changed_is_found_out(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        await trained(driver, "phase1-good")
        await registry(driver)
        (root.work("toys", "phase1-good", "cpu") / "m.pt").write_text("something else")
        await driver.keys("v")
        await driver.sees("not what was registered")


async def test_models_are_filtered_by_words_and_read_only_promotes_nothing(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        await trained(driver, "phase1-good")
        await trained(driver, "phase2-poor")
        await registry(driver, models=2)
        await driver.keys("slash", *"phase2", "enter")
        await driver.sees("Models — 1")
        await driver.keys("escape")
        await driver.sees("Models — 2")
    async with driven(folder, root, settings=Settings(readonly=True)) as driver:
        await registry(driver, models=2)
        await driver.keys("p")
        await driver.sees("read-only: Promote would change something")
        await driver.keys("v")
        await driver.sees("the file is whole")


async def test_an_empty_registry_says_how_a_model_comes_into_it(folder: Path, root: Root) -> None:
    async with driven(folder, root) as driver:
        await registry(driver, models=0)
        await driver.sees("runlog.model(")
