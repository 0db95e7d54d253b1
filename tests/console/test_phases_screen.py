"""The phases on screen: the graph of steps, files, costs and estimates, goals, and what a shut gate lacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.paint.phases import goal_text, notes_text, phase_line
from console.paint.steps import step_rows, sum_line
from console.project import Project
from console.runs.notes import Note
from console.runs.spending import Spent
from console.screens.page import Page
from console.workspace import Workspace
from engine.protocol.layout import Root
from engine.protocol.spec import read_spec
from engine.protocol.status import Status
from tests.console.conftest import Console
from tests.console.driver import driven
from tests.console.made_run import START, ended, made_run
from tests.console.tiny import make_project


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return make_project(tmp_path / "tiny")


@pytest.fixture
def space(tiny: Path, root: Root) -> Workspace:
    return Workspace(Project(tiny), root)


def made(space: Workspace, **about: object) -> str:
    """A finished run that is in the index."""
    paths = made_run(space.root, variant="cpu", **about)
    ended(paths)
    spec = read_spec(paths.spec)
    assert spec is not None
    space.store.put_run(spec, Status("succeeded", "exit code 0", started=START, ended=START + 20))
    return paths.run_id


def test_steps_stand_as_a_graph_with_their_files_and_times(space: Workspace) -> None:
    made(space)
    phase = space.phase("phase1-tiny")
    standing = space.standing(phase, space.choose(phase, "cpu"))
    (_, make), (_, judge) = step_rows(standing, 100, tall=True)
    assert make.plain.splitlines()[0].startswith("● ✓ make   succeeded  20 s of ~6 s  Make numbers")
    assert make.plain.splitlines()[1].startswith("│ ")
    assert "→ rows.jsonl" in make.plain
    assert "rows.jsonl →" in judge.plain
    assert len(step_rows(standing, 100, tall=False)[0][1].plain.splitlines()) == 1
    assert sum_line(standing) == "took 20 s; estimate 6 s"


def test_money_of_a_rented_machine_stands_against_the_estimate(space: Workspace) -> None:
    run_id = made(space, host="gpu")
    space.store.money.set_price(run_id, 1.8)
    phase = space.phase("phase1-tiny")
    standing = space.standing(phase, space.choose(phase, "cpu"))
    assert standing.steps[0].usd == pytest.approx(0.01)
    assert "took 20 s, $0.01" in sum_line(standing)
    assert "20 s $0.01 of ~6 s" in step_rows(standing, 100, tall=False)[0][1].plain


def test_a_phase_tells_what_all_its_runs_have_cost_so_far(space: Workspace) -> None:
    space.store.money.set_price(made(space, host="gpu"), 1.8)
    made(space, run_id="20261120-000001-phase1-make-bbbbb", preset="smoke")
    spent = space.spent()["phase1-tiny"]
    assert (spent.runs, spent.seconds) == (2, 40.0)
    phase = space.phase("phase1-tiny")
    line = phase_line(space.standing(phase, space.choose(phase, "cpu")), spent)
    assert line.plain.endswith("0/4 checks · 40 s $0.01") or "· 40 s $0.01" in line.plain
    assert "·" not in phase_line(space.standing(phase, space.choose(phase, "cpu")), Spent()).plain.split("checks")[1]


def test_a_goal_is_markdown() -> None:
    text = goal_text(
        "# Why\nBecause **it** counts,\nsee [the page](https://x.org/y).\n\n- one\n- two `code`\n\n1. first\n"
    )
    assert text.plain == (
        "Why\nBecause it counts, see the page (https://x.org/y).\n\n  • one\n  • two code\n\n1. first"
    )
    styles = {text.plain[s.start : s.end]: s.style for s in text.spans}
    assert styles["Why"] == "bold underline"
    assert styles["it"] == "bold"
    assert styles["code"] == "cyan"


def test_the_verbs_tell_the_graph_and_the_costs_too(console: Console, project: Path) -> None:
    console("run", "phase1-tiny", "make")
    make, use = console("show", "phase1", "--json").json["steps"]
    assert (make["outputs"], use["inputs"], use["needs"]) == (["made.txt"], ["made.txt"], ["make"])
    assert make["seconds"] > 0
    first = console("phases", "--json").json["phases"][0]
    assert (first["spent"]["runs"], first["spent"]["usd"]) == (1, 0.0)


async def test_what_a_shut_gate_lacks_and_the_whole_goal_are_one_key_away(tiny: Path, root: Root) -> None:
    async with driven(tiny, root) as driver:
        await driver.sees("→ rows.jsonl")
        await driver.keys("g")
        await driver.until(lambda: isinstance(driver.app.screen, Page), "the goal")
        await driver.sees("quickly")
        await driver.keys("escape", "W")
        await driver.until(lambda: isinstance(driver.app.screen, Page), "what is lacking")
        await driver.sees("What phase1-tiny still lacks at cpu")
        await driver.sees("fractal-console run phase1-tiny make --preset cpu")
        await driver.keys("escape", "tab", "tab", "end", "W")  # the manual check alone
        await driver.sees("fractal-console tick phase1-tiny")
        assert "phase1-tiny make" not in driver.text()


async def test_what_went_wrong_with_a_step_is_one_key_away(tiny: Path, root: Root) -> None:
    paths = made_run(root, variant="cpu")
    ended(paths, "failed", "exit code 1", code=1, cause="exit")
    paths.log.write_text("OSError: [Errno 28] No space left on device\n")
    async with driven(tiny, root) as driver:
        await driver.sees("✗ make")
        await driver.keys("tab", "W")
        await driver.sees("The disk of this machine is full.")


def test_a_narrow_list_keeps_the_numbers_and_drops_the_words(space: Workspace) -> None:
    phase = space.phase("phase1-tiny")
    line = phase_line(space.standing(phase, space.choose(phase, "cpu")), Spent(1, 65.0), 24)
    assert line.plain.splitlines()[1].strip() == "open cpu 0/4 1 min 05 s"


@pytest.mark.parametrize("size", [(80, 24), (140, 44)])
async def test_notes_on_a_phase_stand_with_it_as_soon_as_they_are_written(
    size: tuple[int, int], tiny: Path, root: Root
) -> None:
    async with driven(tiny, root, size) as driver:
        await driver.keys("N", "ctrl+n")
        await driver.sees("Note on phase1-tiny")
        await driver.keys(*"!more data first", "enter", "escape")
        await driver.sees("1 note: N")
        if size[0] > 100:
            await driver.sees("✎ learning more data first")


def test_a_long_note_is_cut_and_the_newest_three_are_shown() -> None:
    notes = [Note(n, "note", "tiny", "phase1-tiny", None, f"{n} " + "word " * 80, "ann", 1.0) for n in range(1, 6)]
    lines = notes_text(notes).plain.splitlines()
    assert [line.split()[2] for line in lines] == ["5", "4", "3"]
    assert all(len(line) < 200 and "…" in line for line in lines)
